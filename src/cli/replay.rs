//! `replay`: re-runs the agents of a recorded run against its recorded model traffic.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use serde::Serialize;

use super::budgets::Budgets;
use super::destination::Destination;
use super::live::{Job, Start};
use super::select::Filter;
use super::stored::{stored_recipes, stored_request, stored_tasks};
use super::{Failed, Result, endpoints, run};
use crate::console::Console;
use crate::keys;
use crate::plan::{ContainmentKind, Endpoint, Endpoints, Lock, TrialKey};
use crate::recipe::Recipes;
use crate::report::{Format, ReplayComparison, Summary, compare_replay, either, number_of, render, render_replay};
use crate::runner::Request;
use crate::runner::replay::Source;
use crate::runner::resolve::{self, ResolvedCell};
use crate::store::RunFolder;
use crate::task::Task;

/// Re-run the agents of a recorded run against the recorded answers of its model, at no cost
///
/// Every request of an agent is compared with the recorded one. The first difference is the trial's divergence, and ends it:
/// it is neither right nor wrong. With --until the conversation goes on after that turn with a model that is called, and paid.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Replay {
    /// The recorded run's folder, such as jobs/2026-01-31__12-00-00
    run: PathBuf,
    /// The last turn that is answered from the record
    #[arg(long, value_name = "TURN", requires = "model", value_parser = at_least_one)]
    until: Option<usize>,
    /// The model that goes on after that turn, named as in `run`
    #[arg(short, long, value_name = "MODEL", requires = "until", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    model: Option<String>,
    /// Another endpoint for that model, as in `run`
    #[arg(long, value_name = "[NAME=]URL", requires = "model")]
    api_base: Vec<Endpoint>,
    #[command(flatten)]
    budgets: Budgets,
    #[command(flatten)]
    filter: Filter,
    /// Trials at once [default: the number of cores, at most 8]
    #[arg(short = 'n', long, value_name = "N", value_parser = at_least_one)]
    concurrent: Option<usize>,
    #[command(flatten)]
    destination: Destination,
}

const EXAMPLES: &str = "\
Examples:
  mtsec-agents replay jobs/mine                                 do the agents still do the same?
  mtsec-agents replay jobs/mine -i CWE-79 --job-name again
  mtsec-agents replay jobs/mine --until 1 --model o3            the first turn from the record, then o3

Exit codes: 0 every trial came to its recorded verdict, 7 one did not or left its record, 4 infrastructure failures
are left over, 130 interrupted: `resume` goes on.";

/// A replay whose inputs are all good.
pub struct Planned {
    pub source: Arc<Source>,
    pub jobs: PathBuf,
    pub name: Option<String>,
    pub cells: Vec<ResolvedCell>,
    pub tasks: Vec<Task>,
    pub trials: Vec<TrialKey>,
}

impl Replay {
    pub fn carry_out(self, console: &Arc<Console>) -> Result {
        let lock: Lock = RunFolder::open(&self.run)
            .and_then(|run| run.read_json("lock.json"))
            .map_err(Failed::bad_input)?;
        let recorded = stored_request(&self.run)?;
        let recipes = stored_recipes(&self.run, &recorded)?;
        let planned = self.plan(&recipes, console)?;
        let request = Request {
            scaffolds: recorded.scaffolds,
            agent_versions: recorded.agent_versions,
            // Nobody has said in this command that an agent may do what the user can.
            containment: match lock.settings.containment {
                ContainmentKind::None => ContainmentKind::default(),
                kind => kind,
            },
            sandbox: lock.settings.sandbox,
            trial_budget: self.budgets.trial(),
            run_budget: self.budgets.run(),
            models: planned.cells.iter().map(|cell| cell.cell.model.clone()).collect(),
            api_base: self.endpoints(&lock)?,
            include: self.filter.include.clone(),
            exclude: self.filter.exclude.clone(),
            attempts: 1,
            concurrent: self.concurrent,
            retries: lock.settings.retries,
            test_turns: lock.test_turns,
            replay: Some(planned.source.path.clone()),
            until: self.until,
            ..Request::default()
        };
        Job {
            request,
            start: Start::Replay(Box::new(planned)),
            concurrent: self.concurrent,
            json: self.destination.json,
            console: console.clone(),
        }
        .carry_out()
    }

    /// The endpoints of the model that goes on, or of the recorded one.
    fn endpoints(&self, lock: &Lock) -> std::result::Result<Endpoints, Failed> {
        match &self.model {
            Some(model) => {
                let critics = lock.cells.iter().filter_map(|cell| cell.options.critic.as_deref());
                endpoints::of(&self.api_base, critics.chain([model.as_str()]))
            }
            None => Ok(lock.settings.api_base.clone()),
        }
    }

    fn plan(&self, recipes: &Recipes, console: &Console) -> std::result::Result<Planned, Failed> {
        let source = Source::open(&self.run, recipes).map_err(Failed::bad_input)?;
        let mut tasks = stored_tasks(&RunFolder::open(&self.run)?, &source.lock)?;
        self.filter.apply(&mut tasks)?;
        let model = self.model.as_deref().map(resolve::absolute).transpose();
        let then = model.map_err(Failed::bad_input)?;
        let then = then.as_deref().zip(self.until);
        let endpoints = self.endpoints(&source.lock)?;
        let (mut cells, mut trials, mut left_out) = (Vec::new(), Vec::new(), 0);
        for recorded in &source.lock.cells {
            let recipe = super::check::recipe_of(recorded, recipes)?;
            super::check::same_version(recorded, recipe, &source.lock.version)?;
            let cell = source.cell(recorded, then);
            let recorded = recorded.id();
            let of_cell = source.lock.trials.iter().filter(|trial| trial.cell == recorded);
            let chosen = of_cell.filter(|trial| tasks.iter().any(|task| task.id == trial.task));
            let before = trials.len();
            for trial in chosen {
                if source.can_replay(trial, self.until).map_err(Failed::bad_input)? {
                    trials.push(TrialKey {
                        cell: cell.id(),
                        ..trial.clone()
                    });
                } else {
                    left_out += 1;
                }
            }
            if trials.len() > before {
                // A model that goes on is named now.
                let resolved = match then {
                    None => resolve::stored_cell(cell, &endpoints, &keys::get),
                    Some(_) => resolve::resolve_cell(cell, &endpoints, &keys::get),
                };
                cells.push(resolved.map_err(Failed::bad_input)?);
            }
        }
        let why = match self.until {
            None => "no verdict".to_owned(),
            Some(turn) => format!("no turn after turn {turn}, or did not come that far"),
        };
        let has = either(left_out, "has", "have");
        if trials.is_empty() {
            return Err(Failed::bad_input(anyhow::anyhow!(
                "nothing of {} can be replayed: {} {has} {why}",
                self.run.display(),
                number_of(left_out, "chosen trial")
            )));
        }
        if left_out > 0 {
            console.warn(&format!(
                "{} {has} {why}, and {} left out of the replay",
                number_of(left_out, "trial"),
                either(left_out, "is", "are")
            ));
        }
        // Task by task, as in the recorded run.
        let place = |trial: &TrialKey| {
            let same = |known: &TrialKey| {
                (&known.task, known.interaction, known.attempt) == (&trial.task, trial.interaction, trial.attempt)
            };
            source.lock.trials.iter().position(same)
        };
        trials.sort_by_cached_key(place);
        tasks.retain(|task| trials.iter().any(|trial| trial.task == task.id));
        Ok(Planned {
            source: Arc::new(source),
            jobs: self.destination.jobs_dir.clone(),
            name: self.destination.name()?,
            cells,
            tasks,
            trials,
        })
    }
}

/// Prints what a replay has come to beside what is recorded; whether the two agree.
pub fn print(
    run: &RunFolder,
    source: &Path,
    summary: &Summary,
    json: bool,
    console: &Console,
) -> std::result::Result<bool, Failed> {
    #[derive(Serialize)]
    struct Both<'a> {
        #[serde(flatten)]
        summary: &'a Summary,
        comparison: &'a ReplayComparison,
    }
    let comparison = compare_replay(run, &RunFolder::open(source)?)?;
    let text = if json {
        let both = Both {
            summary,
            comparison: &comparison,
        };
        format!("{}\n", serde_json::to_string_pretty(&both)?)
    } else {
        render(summary, Format::Table)? + &render_replay(&comparison)
    };
    console.result(&text)?;
    Ok(comparison.agrees())
}

fn at_least_one(text: &str) -> std::result::Result<usize, String> {
    run::at_least_one(text)
}
