//! `tasks`: looking at, proving and converting tasks.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use comfy_table::{Table, presets};

use super::parts::{no_verdict, runtime, start_tester};
use super::select::Selection;
use super::{Failed, Result, gc};
use crate::console::Console;
use crate::conversation::{Interaction, Manner, Policy};
use crate::dataset::{self, prompt};
use crate::exit_code::Exit;
use crate::plan::SandboxKind;
use crate::report::number_of;
use crate::task::Task;
use crate::tester::{Tester, Tree};
use crate::verdict::{Judgement, Verdict};

/// List, show, validate and import tasks
#[derive(Debug, Subcommand)]
pub enum Tasks {
    List(List),
    Show(Show),
    Validate(Validate),
    Import(Import),
}

/// List tasks with their weakness and their conversations
#[derive(Debug, Args)]
pub struct List {
    #[command(flatten)]
    selection: Selection,
    /// Print the tasks as JSON lines without tests and solutions
    #[arg(long)]
    json: bool,
}

/// Print the prompts of a task as the model will receive them
#[derive(Debug, Args)]
pub struct Show {
    /// The task's id
    id: String,
    #[command(flatten)]
    selection: Selection,
    /// Only this interaction: also longer-single and random, which are made from the tasks [default: those that are written in
    /// the task, and single]
    #[arg(long, value_name = "NAME")]
    interaction: Option<Interaction>,
    /// The conversations of so many turns [default: the task's own]
    #[arg(long, value_name = "N")]
    turns: Option<u32>,
    /// Where the security policy is said: none, system, first, last or every
    #[arg(long, value_name = "PLACE", default_value = "none")]
    policy: Policy,
    /// Chooses the first turns of random
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Also print the hidden tests and the reference solutions
    #[arg(long)]
    hidden: bool,
}

/// Prove that each task's secure solution is C&S and its insecure one C&I
#[derive(Debug, Args)]
pub struct Validate {
    #[command(flatten)]
    selection: Selection,
    /// Prove everything this many times: verdicts must not depend on chance
    #[arg(long, default_value_t = 1, value_name = "N")]
    rounds: u32,
    /// What is around the code that is judged: namespaces or docker
    #[arg(long, default_value = "namespaces", value_name = "KIND")]
    sandbox: SandboxKind,
    /// Print the verdicts as JSON lines
    #[arg(long)]
    json: bool,
}

/// Convert tasks of any format to our own JSON lines
#[derive(Debug, Args)]
pub struct Import {
    /// Files or folders to read: SecCodePLT rows, MT-Sec rows, or our own format
    #[arg(required = true, value_name = "PATH")]
    from: Vec<PathBuf>,
    /// The JSON-lines file to write; it must not exist
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// What the turns of MT-Sec rows are, where neither the row nor the file's name says it
    #[arg(long, value_name = "NAME")]
    rows_are: Option<Interaction>,
}

impl Tasks {
    pub fn carry_out(self, console: &Console) -> Result {
        match self {
            Self::List(command) => command.carry_out(console),
            Self::Show(command) => command.carry_out(console),
            Self::Validate(command) => command.carry_out(console),
            Self::Import(command) => command.carry_out(console),
        }
    }
}

impl List {
    fn carry_out(self, console: &Console) -> Result {
        let dataset = self.selection.load()?;
        let names = |task: &Task| -> Vec<&str> { task.interactions().iter().map(|known| known.name()).collect() };
        let turns = |task: &Task| -> BTreeMap<&str, Vec<usize>> {
            let written = Interaction::CONVERSATIONS.into_iter();
            let counts = written.map(|known| (known.name(), task.counts(known)));
            counts.filter(|(_, counts)| !counts.is_empty()).collect()
        };
        if self.json {
            for task in &dataset.tasks {
                let line = serde_json::json!({
                    "id": task.id, "cwe": task.cwe, "function": task.function, "interactions": names(task),
                    "turns": turns(task), "has_policy": task.has_policy(), "requires": task.requires, "has_references": task.references.is_some(), "origin": task.origin,
                });
                console.result(&format!("{line}\n"))?;
            }
        } else {
            let mut table = Table::new();
            table.load_style(presets::UTF8_FULL_CONDENSED);
            table.set_header(["id", "CWE", "function", "interactions", "turns", "policy", "references"]);
            let yes = |there: bool| if there { "yes" } else { "no" };
            for task in &dataset.tasks {
                let told = turns(task)
                    .into_iter()
                    .map(|(name, counts)| format!("{name} {}", joined(&counts)));
                let further = told.filter(|text| text.contains(',')).collect::<Vec<_>>().join("; ");
                let (policy, references) = (yes(task.has_policy()), yes(task.references.is_some()));
                let interactions = names(task).join(" ");
                table.add_row([
                    &task.id,
                    &task.cwe,
                    &task.function,
                    &interactions,
                    &further,
                    policy,
                    references,
                ]);
            }
            console.result(&format!("{table}\n{}\n", number_of(dataset.tasks.len(), "task")))?;
        }
        tell_skipped(console, dataset.skipped.len());
        Ok(Exit::Done)
    }
}

impl Show {
    fn carry_out(self, console: &Console) -> Result {
        let mut dataset = self.selection.load()?;
        dataset::distract(&mut dataset.tasks, &dataset.others, self.seed).map_err(Failed::bad_input)?;
        let task = dataset.tasks.iter().find(|task| task.id == self.id).ok_or_else(|| {
            Failed::bad_input(anyhow::anyhow!(
                "no task has the id `{}`: `mtsec-agents tasks list` prints them",
                self.id
            ))
        })?;
        let mut text = format!(
            "{} ({}), function `{}`, from {}\n",
            task.id, task.cwe, task.function, task.origin
        );
        let further = Interaction::CONVERSATIONS.map(|known| (known, task.counts(known)));
        for (interaction, counts) in further.into_iter().filter(|(_, counts)| counts.len() > 1) {
            text.push_str(&format!(
                "{interaction} has conversations of {} turns (--turns)\n",
                joined(&counts)
            ));
        }
        for interaction in self.interactions(task) {
            let conversation = prompt::conversation_for(task, interaction, self.manner()).map_err(Failed::bad_input)?;
            if let Some(system) = &conversation.system {
                text.push_str(&format!(
                    "\n--- {interaction}, added to the system prompt by the gateway\n{system}\n"
                ));
            }
            for (index, turn) in conversation.turns.iter().enumerate() {
                text.push_str(&format!(
                    "\n--- {interaction}, turn {} of {}\n{turn}\n",
                    index + 1,
                    conversation.turns.len()
                ));
            }
        }
        if self.hidden {
            text.push_str(&format!(
                "\n--- setup\n{}\n\n--- tests\n{}\n",
                task.tests.setup, task.tests.testcases
            ));
            if let Some(references) = &task.references {
                text.push_str(&format!(
                    "\n--- secure\n{}\n\n--- insecure\n{}\n",
                    references.secure, references.insecure
                ));
            }
        }
        console.result(&text)?;
        Ok(Exit::Done)
    }
}

impl Show {
    fn manner(&self) -> Manner {
        Manner {
            policy: self.policy,
            turns: self.turns,
            seed: self.seed,
            ..Manner::default()
        }
    }

    /// The one that was asked for; else those that the task has, of so many turns where that was asked for.
    fn interactions(&self, task: &Task) -> Vec<Interaction> {
        if let Some(only) = self.interaction {
            return vec![only];
        }
        let has_turns = |known: &Interaction| self.turns.is_none() || task.turns(*known, self.turns).is_some();
        task.interactions().into_iter().filter(has_turns).collect()
    }
}

fn joined(counts: &[usize]) -> String {
    let counts: Vec<String> = counts.iter().map(usize::to_string).collect();
    counts.join(", ")
}

impl Validate {
    fn carry_out(self, console: &Console) -> Result {
        let dataset = self.selection.load()?;
        tell_skipped(console, dataset.skipped.len());
        let wrong = runtime()?.block_on(async {
            gc::reap(None, console).await;
            let tester = start_tester(self.sandbox).await?;
            let mut wrong = 0;
            for round in 1..=self.rounds.max(1) {
                for task in &dataset.tasks {
                    wrong += self.prove(task, &tester, round, console).await?;
                }
            }
            Ok::<usize, Failed>(wrong)
        })?;
        let tasks = dataset.tasks.len();
        if wrong > 0 {
            console.warn(&format!("{wrong} verdicts over {tasks} tasks are not as they must be"));
            return Ok(Exit::Invalid);
        }
        console.say(&format!(
            "{tasks} tasks: every secure solution is C&S, every insecure one is C&I"
        ));
        Ok(Exit::Done)
    }

    /// How many of the task's two verdicts are wrong.
    async fn prove(
        &self,
        task: &Task,
        tester: &Tester,
        round: u32,
        console: &Console,
    ) -> std::result::Result<usize, Failed> {
        let Some(references) = &task.references else {
            let counts = tester.check(task).await.map_err(no_verdict)?;
            console.say(&format!(
                "{}: {} capability and {} safety cases, no reference solutions",
                task.id, counts.capability, counts.safety
            ));
            return Ok(0);
        };
        let wanted = [
            ("secure", &references.secure, Verdict::CorrectSecure),
            ("insecure", &references.insecure, Verdict::CorrectInsecure),
        ];
        let mut wrong = 0;
        for (which, code, want) in wanted {
            let tree = Tree::of(code.clone());
            let judgement = tester.judge(task, &tree).await.map_err(no_verdict)?;
            let holds = judgement.verdict == want;
            wrong += usize::from(!holds);
            if self.json {
                let line = serde_json::json!({ "task": task.id, "solution": which, "round": round, "holds": holds, "judgement": judgement });
                console.result(&format!("{line}\n"))?;
            } else {
                let mark = if holds { "ok   " } else { "WRONG" };
                console.result(&format!(
                    "{mark} {} {which}: {}{}\n",
                    task.id,
                    judgement.verdict,
                    why(&judgement)
                ))?;
            }
        }
        Ok(wrong)
    }
}

fn why(judgement: &Judgement) -> String {
    match (&judgement.failure, &judgement.missing_module) {
        (_, Some(module)) => format!(" (the module `{module}` is missing)"),
        (Some(failure), _) => format!(" ({:?}: {})", failure.kind, failure.detail),
        _ => String::new(),
    }
}

impl Import {
    fn carry_out(self, console: &Console) -> Result {
        let dataset = crate::dataset::load(&self.from, self.rows_are).map_err(Failed::bad_input)?;
        let mut lines = Vec::new();
        for task in &dataset.tasks {
            serde_json::to_writer(&mut lines, task)?;
            lines.push(b'\n');
        }
        let cannot = |error: std::io::Error| {
            Failed::bad_input(anyhow::anyhow!("cannot write {}: {error}", self.output.display()))
        };
        let mut file = std::fs::File::create_new(&self.output).map_err(cannot)?;
        std::io::Write::write_all(&mut file, &lines).map_err(cannot)?;
        console.say(&format!(
            "{} tasks written to {}",
            dataset.tasks.len(),
            self.output.display()
        ));
        tell_skipped(console, dataset.skipped.len());
        Ok(Exit::Done)
    }
}

/// Rows that were left out are never silent.
pub fn tell_skipped(console: &Console, count: usize) {
    if count > 0 {
        console.warn(&format!("{count} rows without dynamic tests were skipped"));
    }
}
