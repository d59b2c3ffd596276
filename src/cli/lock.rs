//! What a run is begun with: its request, its tasks, its recipe and its lock.

use sha2::{Digest, Sha256};

use super::Failed;
use super::check::Checked;
use super::stored::{NEXT_TASKS, TASKS};
use super::sweep::Sweeping;
use crate::plan::{InstalledAgent, Lock, Settings};
use crate::recipe::Recipes;
use crate::runner::Request;
use crate::runner::resolve::ResolvedCell;
use crate::store::RunFolder;
use crate::tester::Tester;
use crate::yaml;

/// The run's own copy of the experiment file that it was made from.
pub const EXPERIMENT: &str = "experiment.yaml";

/// The run's own copy of a recipe that the user wrote; `index` is the place of its scaffold in the request, from 0.
pub fn recipe_file(index: usize) -> String {
    match index {
        0 => "recipe.yaml".to_owned(),
        _ => format!("recipe.{}.yaml", index + 1),
    }
}

/// Writes what was asked and what it was resolved to; `lock.json` last, for it makes the folder a run. A run that grows has its
/// old lock or its new one at every moment, and its files are fit for both: what is written before is more than the old one
/// needs, and the tasks of the old one are replaced after.
pub fn write_lock(
    run: &RunFolder,
    request: &Request,
    recipes: &Recipes,
    checked: &Checked,
    tester: &Tester,
    agents: Vec<InstalledAgent>,
    sweeping: Option<Sweeping>,
) -> std::result::Result<Lock, Failed> {
    let mut lines = Vec::new();
    for task in &checked.tasks {
        serde_json::to_writer(&mut lines, task)?;
        lines.push(b'\n');
    }
    let Sweeping {
        text,
        names,
        stay,
        earlier,
    } = sweeping.unwrap_or_default();
    let tasks = match &earlier {
        None => TASKS,
        Some(_) => NEXT_TASKS,
    };
    run.write(tasks, &lines)?;
    for (index, recipe) in recipes.iter().enumerate() {
        if let Some(own) = &recipe.own {
            run.write(&recipe_file(index), own.text.as_bytes())?;
        }
    }
    run.write("run.yaml", yaml::write(request)?.as_bytes())?;
    if let Some(text) = &text {
        run.write(EXPERIMENT, text.as_bytes())?;
    }
    // Of trials that were run before, what ran them is told; it is the same.
    let (version, created) = match &earlier {
        None => (env!("CARGO_PKG_VERSION").to_owned(), jiff::Timestamp::now()),
        Some(lock) => (lock.version.clone(), lock.created),
    };
    let lock = Lock {
        version,
        created,
        cells: checked.cells.iter().map(|cell| cell.cell.clone()).collect(),
        trials: checked.trials.clone(),
        stay,
        names,
        test_turns: request.test_turns,
        tasks_digest: hex::encode(Sha256::digest(&lines)),
        skipped_rows: checked.skipped_rows,
        scripted: checked
            .cells
            .iter()
            .flat_map(ResolvedCell::models)
            .any(|model| model.is_scripted())
            || checked.source.as_ref().is_some_and(|source| source.lock.scripted),
        settings: Settings {
            api_base: request.api_base.clone(),
            retries: request.retries,
            tester: tester.describe(),
            trial_budget: request.trial_budget,
            run_budget: request.run_budget,
            sandbox: request.sandbox,
            containment: request.containment,
        },
        replays: checked.source.as_ref().map(|source| source.path.clone()),
        agents,
    };
    run.write("lock.json", &serde_json::to_vec_pretty(&lock)?)?;
    if tasks != TASKS {
        run.replace(TASKS, tasks)?;
    }
    Ok(lock)
}
