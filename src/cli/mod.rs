//! The command line: one file per subcommand.

mod agents;
mod budgets;
mod check;
mod compare;
mod completions;
mod destination;
mod doctor;
mod endpoints;
mod gc;
mod held_out;
mod import_results;
mod live;
mod lock;
mod models;
mod parts;
mod printed;
mod replay;
mod report;
mod resume;
mod retest;
mod run;
mod said;
mod schema;
mod select;
mod signals;
mod statistics;
mod stored;
mod sweep;
mod tasks;

use std::fmt;
use std::sync::Arc;

use clap::{Parser, Subcommand};

use crate::console::Console;
use crate::exit_code::Exit;

/// Runs real coding agents over multi-turn secure-coding tasks and reports Correct & Secure.
#[derive(Debug, Parser)]
#[command(name = "mtsec-agents", version, max_term_width = 110, after_help = EXAMPLES)]
pub struct Cli {
    /// Print warnings and results only
    #[arg(short, long, global = true)]
    quiet: bool,
    /// Print more of what happens; RUST_LOG=mtsec_agents=debug prints all of it
    #[arg(short, long, global = true)]
    verbose: bool,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  mtsec-agents run aider --model oracle                    every built-in task, with the scripted model: no key needed
  mtsec-agents run aider --model o3 --interaction editing  a real model; its key is read from OPENAI_API_KEY
  mtsec-agents sweep experiments/demo.yaml                 an experiment file: a matrix of cells in one run, which can grow
  mtsec-agents resume jobs/2026-01-31__12-00-00            finish a run that was interrupted
  mtsec-agents report jobs/2026-01-31__12-00-00 --layout paper
  mtsec-agents report jobs/2026-01-31__12-00-00 --by cwe
  mtsec-agents compare jobs/aider jobs/codex               what differs, pair by pair, and is it chance?
  mtsec-agents retest jobs/2026-01-31__12-00-00 -k 5       are its verdicts a matter of chance?
  mtsec-agents replay jobs/2026-01-31__12-00-00            the agents again, with the recorded answers: no cost
  mtsec-agents doctor                                      what this machine lacks, and the remedies
  mtsec-agents gc                                          remove what killed runs left on this machine
  mtsec-agents tasks validate                              prove every task's reference solutions

Exit codes: 0 all trials have a verdict, 1 internal error, 2 bad input, 3 a prerequisite is missing,
4 infrastructure failures are left over, 5 a validation failed, 6 the run's budget is used up, 7 a retest or
a replay differs from the record, 130 interrupted.";

#[derive(Debug, Subcommand)]
enum Command {
    Run(Box<run::Run>),
    Sweep(Box<sweep::Sweep>),
    Resume(resume::Resume),
    Report(report::Report),
    Compare(compare::Compare),
    ImportResults(import_results::ImportResults),
    Retest(retest::Retest),
    Replay(Box<replay::Replay>),
    #[command(subcommand)]
    Tasks(tasks::Tasks),
    #[command(subcommand)]
    Agents(agents::Agents),
    Models(models::Models),
    Schema(schema::Schema),
    Doctor(doctor::Doctor),
    Gc(gc::Gc),
    Completions(completions::Completions),
}

impl Cli {
    /// Carries the command out; every error has become a message by the time this returns.
    pub fn carry_out(self) -> Exit {
        let console = Arc::new(Console::new(self.quiet, self.verbose));
        let outcome = match self.command {
            Command::Run(command) => command.carry_out(&console),
            Command::Sweep(command) => command.carry_out(&console),
            Command::Resume(command) => command.carry_out(&console),
            Command::Report(command) => command.carry_out(&console),
            Command::Compare(command) => command.carry_out(&console),
            Command::ImportResults(command) => command.carry_out(&console),
            Command::Retest(command) => command.carry_out(&console),
            Command::Replay(command) => command.carry_out(&console),
            Command::Tasks(command) => command.carry_out(&console),
            Command::Agents(command) => command.carry_out(&console),
            Command::Models(command) => command.carry_out(&console),
            Command::Schema(command) => command.carry_out(&console),
            Command::Doctor(command) => command.carry_out(&console),
            Command::Gc(command) => command.carry_out(&console),
            Command::Completions(command) => command.carry_out(&console),
        };
        outcome.unwrap_or_else(|error| {
            console.error(&error.to_string());
            error.exit
        })
    }
}

/// An error on its way to the user, with the exit code that it means.
#[derive(Debug)]
pub struct Failed {
    exit: Exit,
    error: anyhow::Error,
}

impl fmt::Display for Failed {
    /// The error with its causes, each said once: many errors tell their cause themselves.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        for cause in self.error.chain().map(ToString::to_string) {
            if text.is_empty() {
                text = cause;
            } else if !text.contains(&cause) {
                text.push_str(&format!(": {cause}"));
            }
        }
        f.write_str(&text)
    }
}

impl Failed {
    fn bad_input(error: impl Into<anyhow::Error>) -> Self {
        Self {
            exit: Exit::BadInput,
            error: error.into(),
        }
    }

    fn missing(error: impl Into<anyhow::Error>) -> Self {
        Self {
            exit: Exit::MissingPrerequisite,
            error: error.into(),
        }
    }
}

impl<E: Into<anyhow::Error>> From<E> for Failed {
    fn from(error: E) -> Self {
        Self {
            exit: Exit::Internal,
            error: error.into(),
        }
    }
}

/// Every command's result.
type Result = std::result::Result<Exit, Failed>;
