//! `retest`: judges the stored snapshots of a run again.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use super::parts::{runtime, start_tester};
use super::select::Filter;
use super::signals::stop_on_signals;
use super::stored::stored_tasks;
use super::{Failed, Result, gc};
use crate::console::Console;
use crate::exit_code::Exit;
use crate::plan::Lock;
use crate::report::{number_of, render_retest};
use crate::retest::RetestRecord;
use crate::runner::retest::Retest as Retesting;
use crate::store::RunFolder;

/// Judge the stored snapshots of a run again, with the run's own copy of its tasks: no agent, no model, no cost
///
/// Tells verdicts and test cases that are a matter of chance. The recorded verdicts stay as they are. A trial whose tester
/// had failed gets its verdict, when all rounds agree on one: what was recorded is kept beside it as trial.json.1.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Retest {
    /// The run's folder, such as jobs/2026-01-31__12-00-00; it may be unfinished
    run: PathBuf,
    /// How often each snapshot is judged
    #[arg(short = 'k', long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    #[command(flatten)]
    filter: Filter,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  mtsec-agents retest jobs/mine                 is every verdict still the same?
  mtsec-agents retest jobs/mine -k 10 -i CWE-79 is any of these cases flaky?

The result is kept in RUN/retests/. Exit codes: 0 everything as recorded, 7 a verdict or a case differed,
4 the tester failed somewhere, 130 interrupted.";

impl Retest {
    pub fn carry_out(self, console: &Arc<Console>) -> Result {
        let run = RunFolder::open_exclusive(&self.run).map_err(Failed::bad_input)?;
        let lock: Lock = run.read_json("lock.json").map_err(Failed::bad_input)?;
        let mut tasks = stored_tasks(&run, &lock)?;
        self.filter.apply(&mut tasks)?;
        let options = lock
            .cells
            .iter()
            .map(|cell| (cell.id(), cell.options.clone()))
            .collect();
        let mut trials = lock.trials;
        trials.retain(|trial| tasks.iter().any(|task| task.id == trial.task));
        runtime()?.block_on(async {
            gc::reap(None, console).await;
            let tester = start_tester(lock.settings.sandbox).await?;
            for task in &tasks {
                tester.check(task).await.map_err(|error| match error.is_broken_task() {
                    true => Failed::bad_input(error),
                    false => Failed::missing(error),
                })?;
            }
            let bar = Arc::new(console.bar(0));
            let (shown, said) = (bar.clone(), console.clone());
            let retest = Retesting {
                run,
                test_turns: lock.test_turns,
                trials,
                tasks: tasks
                    .into_iter()
                    .map(|task| (task.id.clone(), Arc::new(task)))
                    .collect(),
                options,
                tester,
                rounds: self.rounds,
                concurrent: std::thread::available_parallelism().map_or(1, usize::from),
                cancel: stop_on_signals(console.clone())?,
                show: Box::new(move |trial| {
                    shown.inc(1);
                    if shown.is_hidden() {
                        said.say(&format!("{}: judged again", trial.key));
                    }
                }),
            };
            let (judged, chosen) = retest.count()?;
            if judged == 0 {
                return Err(Failed::bad_input(anyhow::anyhow!(
                    "none of the {chosen} chosen trials of {} has a snapshot that a verdict is about",
                    self.run.display()
                )));
            }
            bar.set_length(judged as u64);
            console.say(&format!(
                "{} to judge, {} each",
                number_of(judged, "trial"),
                number_of(self.rounds as usize, "round")
            ));
            let done = retest.carry_out().await;
            bar.finish_and_clear();
            self.finish(&done?, console)
        })
    }

    fn finish(&self, record: &RetestRecord, console: &Console) -> Result {
        let path = self.keep(record)?;
        let text = match self.json {
            true => format!("{}\n", serde_json::to_string_pretty(record)?),
            false => render_retest(record),
        };
        console.result(&text)?;
        console.say(&format!("Kept in {}", path.display()));
        Ok(match record {
            _ if record.interrupted => Exit::Interrupted,
            _ if record.has_failures() => Exit::InfrastructureFailures,
            _ if !record.agrees() => Exit::Differs,
            _ => Exit::Done,
        })
    }

    /// Keeps the result, under a name of its own.
    fn keep(&self, record: &RetestRecord) -> std::result::Result<PathBuf, Failed> {
        let run = RunFolder::open(&self.run)?;
        let folder = self.run.join("retests");
        std::fs::create_dir_all(&folder)?;
        let time = jiff::Zoned::now().strftime("%Y-%m-%d__%H-%M-%S").to_string();
        let mut name = format!("retests/{time}.json");
        let mut number = 1;
        while self.run.join(&name).exists() {
            number += 1;
            name = format!("retests/{time}-{number}.json");
        }
        run.write(&name, &serde_json::to_vec_pretty(record)?)?;
        Ok(self.run.join(name))
    }
}
