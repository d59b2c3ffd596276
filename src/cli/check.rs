//! What must hold before a run starts anything.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use super::live::{Job, Start};
use super::lock::recipe_file;
use super::stored::stored_tasks;
use super::sweep::Swept;
use super::{Failed, Result, held_out, said, tasks};
use crate::budget::Budget;
use crate::console::Console;
use crate::containment;
use crate::conversation::{Interaction, Manner};
use crate::dataset::prompt;
use crate::exit_code::Exit;
use crate::gateway::catalogue::ModelError;
use crate::plan::{self, InstalledAgent, Lock, Settings, TrialKey};
use crate::recipe::{Recipe, Recipes};
use crate::report::number_of;
use crate::runner::Scratch;
use crate::runner::replay::Source;
use crate::runner::resolve::{self, ResolveError, ResolvedCell};
use crate::scaffold::{PATH, Scaffold};
use crate::store::RunFolder;
use crate::task::Task;
use crate::trial::Outcome;

/// The version of this program.
const PROGRAM: &str = env!("CARGO_PKG_VERSION");

/// A run whose inputs are all good.
pub struct Checked {
    pub cells: Vec<ResolvedCell>,
    pub tasks: Vec<Task>,
    pub trials: Vec<TrialKey>,
    pub skipped_rows: usize,
    /// The recorded run, when one is replayed.
    pub source: Option<Arc<Source>>,
}

impl Job {
    /// Everything that can be wrong with the input, found before anything is started.
    pub fn check(&self, recipes: &Recipes) -> std::result::Result<Checked, Failed> {
        let mut source = None;
        let (cells, tasks, trials, skipped_rows) = match &self.start {
            Start::New { dataset, .. } => {
                let cells = resolve::cells(&self.request, recipes, self.keys()).map_err(Failed::bad_input)?;
                let interactions = match self.request.interactions.as_slice() {
                    [] => Interaction::USUAL.to_vec(),
                    chosen => chosen.to_vec(),
                };
                let wanted: Vec<_> = cells
                    .iter()
                    .map(|resolved| (&resolved.cell, interactions.as_slice()))
                    .collect();
                let tasks = said::complete(dataset, &wanted)?;
                let trials = plan::trials(&tasks, wanted.iter().copied(), self.request.attempts);
                for told in said::left_out(&tasks, &wanted, !self.request.interactions.is_empty()) {
                    self.console.warn(&told);
                }
                (cells, tasks, trials, dataset.skipped.len())
            }
            Start::Replay(planned) => {
                source = Some(planned.source.clone());
                (planned.cells.clone(), planned.tasks.clone(), planned.trials.clone(), 0)
            }
            Start::Sweep(swept) => {
                let Swept {
                    cells, tasks, trials, ..
                } = &**swept;
                (cells.clone(), tasks.clone(), trials.clone(), swept.skipped_rows)
            }
            Start::Again { folder, .. } => {
                let lock: Lock = folder.read_json("lock.json").map_err(Failed::bad_input)?;
                let tasks = stored_tasks(folder, &lock)?;
                if let Some(path) = &lock.replays {
                    let opened = Source::open(path, recipes).map_err(Failed::bad_input)?;
                    opened.check(&lock.cells).map_err(Failed::bad_input)?;
                    source = Some(Arc::new(opened));
                }
                let waits = |cell: &str| self.waits(folder, &lock.trials, cell);
                let kept = |cell: &plan::Cell| kept_cell(folder, &lock, cell, recipes, waits);
                let cells = lock.cells.iter().map(kept);
                let cells = cells.collect::<std::result::Result<_, _>>()?;
                tell_other_program(&lock.version, &self.console);
                (cells, tasks, lock.trials, lock.skipped_rows)
            }
        };
        held_out::check(&cells, &trials)?;
        resolve::check_models(&cells, &tasks).map_err(Failed::bad_input)?;
        resolve::check_budgets(&cells, &self.budgets()?).map_err(Failed::bad_input)?;
        if let Some(path) = self.request.tasks.iter().find(|path| path.to_str().is_none()) {
            return Err(Failed::bad_input(anyhow::anyhow!(
                "the path {} is not UTF-8, and the run could not be recorded: rename it",
                path.display()
            )));
        }
        if trials.is_empty() {
            let wanted = match self.request.interactions.as_slice() {
                [] => &Interaction::USUAL,
                chosen => chosen,
            };
            let wanted: Vec<&str> = wanted.iter().map(|known| known.name()).collect();
            return Err(Failed::bad_input(anyhow::anyhow!(
                "no selected task can be run with {} under these options",
                wanted.join(" or ")
            )));
        }
        Ok(Checked {
            cells,
            tasks,
            trials,
            skipped_rows,
            source,
        })
    }

    /// What starts nothing calls nobody, and needs no key.
    fn keys(&self) -> resolve::Keys<'static> {
        match self.start {
            Start::New { dry_run: true, .. } => &resolve::no_call,
            _ => &crate::keys::get,
        }
    }

    /// Whether a run that goes on has something to do in a cell.
    fn waits(&self, folder: &RunFolder, trials: &[TrialKey], cell: &str) -> bool {
        let Start::Again {
            retry_infrastructure, ..
        } = self.start
        else {
            return true;
        };
        let of_cell = trials.iter().filter(|trial| trial.cell == cell);
        let mut outcomes = of_cell.map(|trial| folder.trial(trial).whole_record());
        outcomes.any(|record| match record {
            Ok(Some(record)) => retry_infrastructure && matches!(record.outcome, Outcome::InfrastructureFailure { .. }),
            Ok(None) | Err(_) => true,
        })
    }

    /// The budgets that this run is held to.
    fn budgets(&self) -> std::result::Result<[Budget; 2], Failed> {
        match &self.start {
            Start::New { .. } | Start::Replay(_) | Start::Sweep(_) => {
                Ok([self.request.trial_budget, self.request.run_budget])
            }
            Start::Again { folder, run_budget, .. } => {
                let lock: Lock = folder.read_json("lock.json").map_err(Failed::bad_input)?;
                let Settings {
                    trial_budget,
                    run_budget: begun_with,
                    ..
                } = lock.settings;
                Ok([trial_budget, run_budget.or(begun_with)])
            }
        }
    }

    pub fn dry_run(&self, checked: &Checked, recipes: &Recipes) -> Result {
        tasks::tell_skipped(&self.console, checked.skipped_rows);
        if self.json {
            let cells: Vec<_> = checked
                .cells
                .iter()
                .map(|cell| serde_json::json!({ "id": cell.cell.id(), "cell": cell.cell }))
                .collect();
            let plan =
                serde_json::json!({ "cells": cells, "trials": checked.trials, "skipped_rows": checked.skipped_rows });
            self.console
                .result(&format!("{}\n", serde_json::to_string_pretty(&plan)?))?;
            return Ok(Exit::Done);
        }
        let mut text = String::new();
        for resolved in &checked.cells {
            let cell = &resolved.cell;
            let (id, plan::Cell { scaffold, version, .. }) = (cell.id(), cell);
            let dialect = resolve::dialect(recipe_of(cell, recipes)?, resolved).map_err(Failed::bad_input)?;
            let (model, options) = (&cell.model, &cell.options);
            let options = options.to_string();
            let options = if options.is_empty() {
                options
            } else {
                format!(", {options}")
            };
            let endpoint = resolved.model.endpoint();
            let at = endpoint.map(|url| format!(" at {url}")).unwrap_or_default();
            text.push_str(&format!(
                "cell {id}: {scaffold} {version}, model {model} in {dialect}{at}{options}\n"
            ));
        }
        for trial in &checked.trials {
            text.push_str(&format!("trial {trial}\n"));
        }
        let (cells, trials) = (checked.cells.len(), checked.trials.len());
        text.push_str(&format!(
            "{}, {}, {}; nothing was started\n",
            number_of(cells, "cell"),
            number_of(checked.tasks.len(), "task"),
            number_of(trials, "trial")
        ));
        self.console.result(&text)?;
        Ok(Exit::Done)
    }
}

/// A cell of a run's lock, with its model. Who has no key is told so where the cell `waits` to be run: another calls nobody.
pub fn kept_cell(
    run: &RunFolder,
    lock: &Lock,
    cell: &plan::Cell,
    recipes: &Recipes,
    waits: impl FnOnce(&str) -> bool,
) -> std::result::Result<ResolvedCell, Failed> {
    let recipe = recipe_of(cell, recipes)?;
    if cell.recipe.as_ref() != recipe.own.as_ref().map(|own| &own.digest) {
        let copy = run.path().join(recipe_file(recipes.index(&cell.scaffold)));
        return Err(Failed::bad_input(anyhow::anyhow!(
            "{}: it is not the recipe that the run was started with, or its program has changed: put it back, or start a new run",
            copy.display()
        )));
    }
    same_version(cell, recipe, &lock.version)?;
    let waits = waits(&cell.id());
    if waits
        && !cell.is_only_replayed()
        && cell.scripts.is_some()
        && cell.scripts != resolve::scripts(&cell.model, &cell.options)
    {
        return Err(Failed::bad_input(anyhow::anyhow!(
            "{}: the script that it answers from, or its critic's, has changed since the run was started: put it back, or start a new run",
            cell.model
        )));
    }
    let endpoints = &lock.settings.api_base;
    let resolved = match resolve::stored_cell(cell.clone(), endpoints, &crate::keys::get) {
        Err(ResolveError::Model(ModelError::MissingKey { .. })) if !waits => {
            resolve::stored_cell(cell.clone(), endpoints, &resolve::no_call)
        }
        resolved => resolved,
    };
    resolved.map_err(Failed::bad_input)
}

/// Finds out now whether the jobs folder takes files.
pub fn check_writable(jobs: &Path) -> std::result::Result<(), Failed> {
    let probe = || -> std::io::Result<()> {
        std::fs::create_dir_all(jobs)?;
        let mut file = tempfile::NamedTempFile::new_in(jobs)?;
        std::io::Write::write_all(&mut file, &[0; 64 * 1024])?;
        file.as_file().sync_data()
    };
    probe().map_err(|error| {
        Failed::bad_input(anyhow::anyhow!(
            "cannot write to the jobs folder {}: {error}",
            jobs.display()
        ))
    })
}

/// Tries the folder of temporary files before anything is started: agents and their gateway meet there.
pub fn check_temporary() -> std::result::Result<(), Failed> {
    Scratch::try_out().map_err(|error| {
        Failed::missing(anyhow::anyhow!(
            "the temporary folder {} cannot be used: {error}; set TMPDIR to a writable folder with a short path, such as /tmp",
            std::env::temp_dir().display()
        ))
    })
}

/// Tries whether agents can be held, before anything is started.
pub fn check_containment() -> std::result::Result<(), Failed> {
    let program = std::env::current_exe()?;
    // On a full disk nothing can be tried; who needs the room will say so.
    let Ok(scratch) = Scratch::passing() else {
        return Ok(());
    };
    containment::probe(&program, scratch.path()).map_err(Failed::missing)
}

/// Refuses agents that start programs which this machine does not have.
pub fn check_needs(recipes: &Recipes) -> std::result::Result<(), Failed> {
    for recipe in recipes.iter() {
        let source = &recipe.source;
        let is_there = |name: &String| std::env::split_paths(PATH).any(|folder| folder.join(name).is_file());
        let missing: Vec<&str> = source
            .needs
            .iter()
            .filter(|name| !is_there(name))
            .map(String::as_str)
            .collect();
        if !missing.is_empty() {
            return Err(Failed::missing(anyhow::anyhow!(
                "{} starts programs that are not in {PATH}: {}. Install them: on Debian and Ubuntu `apt install {}`",
                source.name,
                missing.join(", "),
                missing.join(" ")
            )));
        }
    }
    Ok(())
}

/// Refuses conversations that an agent could not carry to its model byte for byte, as its trials will say them.
pub fn check_carried(checked: &Checked, recipe: &Recipe, scaffold: &dyn Scaffold) -> std::result::Result<(), Failed> {
    let cells = checked.cells.iter().map(|cell| &cell.cell);
    let own = cells.filter(|cell| cell.scaffold == recipe.source.name);
    let manners: HashMap<String, Manner> = own.map(|cell| (cell.id(), recipe.manner(&cell.options))).collect();
    let said = checked.trials.iter().filter_map(|trial| {
        let manner = manners.get(&trial.cell)?;
        Some((trial.task.as_str(), trial.interaction, *manner))
    });
    // Attempts and cells mostly say the same.
    let said: HashSet<_> = said.collect();
    for task in &checked.tasks {
        for (_, interaction, manner) in said.iter().filter(|(id, ..)| *id == task.id) {
            let conversation = prompt::conversation_for(task, *interaction, *manner).map_err(Failed::bad_input)?;
            for (index, turn) in conversation.turns.iter().enumerate() {
                scaffold.carries(turn).map_err(|refusal| {
                    let place = format!("{}: task `{}`, {interaction}, turn {}", task.origin, task.id, index + 1);
                    Failed::bad_input(anyhow::Error::new(refusal).context(place))
                })?;
            }
        }
    }
    Ok(())
}

/// The recipe of a cell's scaffold.
///
/// # Errors
/// The run's request does not name it.
pub fn recipe_of<'a>(cell: &plan::Cell, recipes: &'a Recipes) -> std::result::Result<&'a Arc<Recipe>, Failed> {
    recipes.of(&cell.scaffold).ok_or_else(|| {
        Failed::bad_input(anyhow::anyhow!(
            "the run's lock.json has a cell of `{}`, which its run.yaml does not name",
            cell.scaffold
        ))
    })
}

/// Says that a run is gone on with by another version of this program than it was started with, where it is so.
pub fn tell_other_program(made_by: &str, console: &Console) {
    if made_by != PROGRAM {
        console.warn(&format!(
            "the run was started with mtsec-agents {made_by}, and this is {PROGRAM}: its other trials may be driven and judged in another way"
        ));
    }
}

/// Refuses a run of another version of the agent; `made_by` is the version of this program that made it.
pub fn same_version(cell: &plan::Cell, recipe: &Recipe, made_by: &str) -> std::result::Result<(), Failed> {
    if cell.version == recipe.source.version {
        return Ok(());
    }
    Err(Failed::bad_input(anyhow::anyhow!(
        "the run was made with {} {}, and this program (mtsec-agents {PROGRAM}) drives {}: use mtsec-agents {made_by}, which made it",
        cell.scaffold,
        cell.version,
        recipe.source.version
    )))
}

/// Refuses agents that are no longer those that the run was started with; runs that do not tell are believed.
pub fn same_agents(lock: &Lock, agents: &[InstalledAgent]) -> std::result::Result<(), Failed> {
    for agent in agents {
        let recorded = lock.agents.iter().find(|known| known.scaffold == agent.scaffold);
        if let Some(recorded) = recorded
            && recorded.digest != agent.digest
        {
            let name = |digest: &Option<String>| digest.clone().unwrap_or_else(|| "none".to_owned());
            return Err(Failed::bad_input(anyhow::anyhow!(
                "{} {} is installed with other files than the run was started with (digest {}, recorded {}): `mtsec-agents agents verify {}` tells what has changed; with other packages start a new run",
                agent.scaffold,
                agent.version,
                name(&agent.digest),
                name(&recorded.digest),
                agent.scaffold
            )));
        }
    }
    Ok(())
}
