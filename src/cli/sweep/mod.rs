//! `sweep`: an experiment file, in a run folder that can grow.

mod cells;
mod dry_run;
mod grow;
mod plan;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use clap::builder::NonEmptyStringValueParser;

use super::budgets::Budgets;
use super::check::{check_writable, same_agents};
use super::destination::Destination;
use super::live::{Job, Start, create};
use super::report::of_experiment;
use super::run::at_least_one;
use super::select::Selection;
use super::{Failed, Result};
use crate::console::Console;
use crate::exit_code::Exit;
use crate::plan::{Endpoint, InstalledAgent, Lock, TrialKey};
use crate::recipe::Recipes;
use crate::report::{number_of, render_counts, summarise, used};
use crate::runner::resolve::ResolvedCell;
use crate::store::RunFolder;
use crate::task::Task;
use crate::tester::Tester;
use crate::trial::Usage;

/// Run an experiment file: every cell of its matrix, in one run folder that grows with the file
///
/// Again on the same folder it finishes what is missing, and runs what the file asks for beyond what there is: trials that have
/// their outcome are never run again. Options stand above the file.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Sweep {
    /// The experiment file, such as experiments/table2.yaml
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Instead of every cell's model, such as oracle for a try at no cost
    #[arg(short, long = "model", value_delimiter = ',', value_name = "MODEL", value_parser = NonEmptyStringValueParser::new())]
    models: Vec<String>,
    /// Another endpoint (vLLM, Ollama, …), instead of those of the file; NAME= as in `run`
    #[arg(long, value_name = "[NAME=]URL")]
    api_base: Vec<Endpoint>,
    #[command(flatten)]
    selection: Selection,
    /// Attempts at each task
    #[arg(short = 'k', long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    attempts: Option<u32>,
    /// Trials at once [default: number of cores, at most 8]
    #[arg(short = 'n', long, value_name = "N", value_parser = at_least_one)]
    concurrent: Option<usize>,
    /// How often an infrastructure failure is tried again
    #[arg(short, long, value_name = "N")]
    retries: Option<u32>,
    #[command(flatten)]
    budgets: Budgets,
    /// Print cells, trials, and an estimate of tokens and cost; start nothing; no key is needed
    #[arg(long, help_heading = "Output")]
    dry_run: bool,
    #[command(flatten)]
    destination: Destination,
}

const EXAMPLES: &str = "\
Examples:
  mtsec-agents sweep experiments/table2.yaml --dry-run            what would be run, and what it may cost
  mtsec-agents sweep experiments/table2.yaml -m oracle -l 2 --job-name try     a try at no cost
  mtsec-agents sweep experiments/table2.yaml --tasks mt-sec.jsonl --run-budget-usd 50
  mtsec-agents sweep experiments/table2.yaml --tasks mt-sec.jsonl   again: finishes, or grows with the file";

/// An experiment that was read and resolved, and the run that it is done in.
pub struct Swept {
    pub recipes: Recipes,
    /// Those that the file asks for, then those of trials that stay.
    pub cells: Vec<ResolvedCell>,
    /// With their canaries.
    pub tasks: Vec<Task>,
    /// Those that the file asks for, then those that stay.
    pub trials: Vec<TrialKey>,
    /// How many of them the file asks for.
    pub wanted: usize,
    pub skipped_rows: usize,
    names: BTreeMap<String, String>,
    text: String,
    place: Place,
}

/// Where an experiment is run.
enum Place {
    New {
        jobs: PathBuf,
        name: String,
    },
    /// In a run that is there already.
    Grown {
        folder: Box<RunFolder>,
        lock: Box<Lock>,
    },
}

/// What an experiment adds to the files of a run.
#[derive(Debug, Default)]
pub struct Sweeping {
    /// The experiment file, as it was given.
    pub text: Option<String>,
    /// What it calls its cells, by their ids.
    pub names: BTreeMap<String, String>,
    /// How many of the run's trials it asks for no more: the last.
    pub stay: usize,
    /// Of the run that grows.
    pub earlier: Option<Lock>,
}

impl Sweep {
    pub fn carry_out(self, console: &Arc<Console>) -> Result {
        let (json, concurrent, dry_run) = (self.destination.json, self.concurrent, self.dry_run);
        let (request, swept) = plan::plan(self, console)?;
        let job = Job {
            request,
            start: Start::Sweep(Box::new(swept)),
            concurrent,
            json,
            console: console.clone(),
        };
        match &job.start {
            Start::Sweep(swept) if dry_run => {
                let checked = job.check(&swept.recipes)?;
                dry_run::print(swept, &checked, json, console)?;
                Ok(Exit::Done)
            }
            _ => job.carry_out(),
        }
    }
}

impl Swept {
    /// The run that grows, if one does.
    pub fn folder(&self) -> Option<&RunFolder> {
        match &self.place {
            Place::New { .. } => None,
            Place::Grown { folder, .. } => Some(folder),
        }
    }

    /// Finds out now whether the run can be made.
    pub fn check_writable(&self) -> std::result::Result<(), Failed> {
        match &self.place {
            Place::New { jobs, .. } => check_writable(jobs),
            Place::Grown { folder, .. } => check_writable(folder.path()),
        }
    }

    /// The run's folder, what is written into it, and all agents of the run; last of all checks.
    ///
    /// # Errors
    /// What judges now, or an agent as it is installed, is another than before.
    pub fn begin(
        self,
        tester: &Tester,
        mut agents: Vec<InstalledAgent>,
    ) -> std::result::Result<(RunFolder, Sweeping, Vec<InstalledAgent>), Failed> {
        let mut sweeping = Sweeping {
            text: Some(self.text),
            names: self.names,
            stay: self.trials.len() - self.wanted,
            earlier: None,
        };
        match self.place {
            Place::New { jobs, name } => {
                let run = create(&jobs, Some(name)).map_err(Failed::bad_input)?;
                Ok((run, sweeping, agents))
            }
            Place::Grown { folder, lock } => {
                grow::same_tester(folder.path(), &lock, &tester.describe())?;
                same_agents(&lock, &agents)?;
                let is_new = |agent: &InstalledAgent| lock.agents.iter().all(|known| known.scaffold != agent.scaffold);
                agents.retain(is_new);
                let agents = lock.agents.iter().cloned().chain(agents).collect();
                sweeping.earlier = Some(*lock);
                Ok((*folder, sweeping, agents))
            }
        }
    }
}

/// Prints what the run has shown: nothing of it depends on how often it was interrupted.
pub fn print(path: &Path, json: bool, console: &Console) -> std::result::Result<bool, Failed> {
    let run = RunFolder::open(path)?;
    let summary = summarise(&run)?;
    let text = match json {
        true => format!("{}\n", serde_json::to_string_pretty(&summary)?),
        false => {
            // What cannot be laid out ends no run: `report` can print it with another table.
            let table = of_experiment(path).unwrap_or_else(|error| {
                console.warn(&format!("there is no table: {error}"));
                None
            });
            let counts = render_counts(&summary, table.is_none());
            match table {
                Some(table) => format!("{counts}\n{table}"),
                None => counts,
            }
        }
    };
    console.result(&text)?;
    let mut usage = Usage::default();
    for row in &summary.rows {
        usage.add(&row.usage);
    }
    console.say(&format!("Used so far: {}", used(&usage)));
    if !summary.warnings.is_empty() {
        let count = number_of(summary.warnings.len(), "warning");
        console.say(&format!(
            "{count}: `mtsec-agents report {} --json` lists them",
            path.display()
        ));
    }
    Ok(true)
}
