//! What a run folder tells of how its run was asked for.

use std::path::Path;

use sha2::{Digest, Sha256};

use super::lock::recipe_file;
use super::{Failed, agents};
use crate::plan::Lock;
use crate::recipe::{Recipe, Recipes};
use crate::runner::Request;
use crate::store::RunFolder;
use crate::task::Task;
use crate::yaml;

/// The run's own copy of its tasks.
pub const TASKS: &str = "tasks.jsonl";

/// Where the copy of a run that grows is written before its new lock is; it takes the place of the other after that.
pub const NEXT_TASKS: &str = "tasks.next.jsonl";

/// The recipes that a run was made with, from what its user named as the scaffolds.
pub fn stored_recipes(run: &Path, request: &Request) -> std::result::Result<Recipes, Failed> {
    let mut recipes = Vec::new();
    for (index, scaffold) in request.scaffolds.iter().enumerate() {
        recipes.push(stored_recipe(run, scaffold, index)?);
    }
    at_versions(recipes, request)
}

/// The recipes at the versions that were asked for.
pub fn at_versions(recipes: Vec<Recipe>, request: &Request) -> std::result::Result<Recipes, Failed> {
    let recipes = Recipes::at_versions(recipes, &request.agent_versions).map_err(Failed::bad_input)?;
    Recipes::new(recipes).map_err(Failed::bad_input)
}

/// The recipe of a scaffold; `index` is its place in the request.
pub fn stored_recipe(run: &Path, scaffold: &str, index: usize) -> std::result::Result<Recipe, Failed> {
    if !Recipe::is_path(scaffold) {
        return agents::recipe(scaffold);
    }
    let file = run.join(recipe_file(index));
    let text = std::fs::read_to_string(&file)
        .map_err(|error| Failed::bad_input(anyhow::anyhow!("cannot read {}: {error}", file.display())))?;
    Recipe::own(Path::new(scaffold), &file.display().to_string(), text).map_err(Failed::bad_input)
}

/// What was asked of a run.
pub fn stored_request(run: &Path) -> std::result::Result<Request, Failed> {
    let path = run.join("run.yaml");
    let text = std::fs::read_to_string(&path)
        .map_err(|error| Failed::bad_input(anyhow::anyhow!("cannot read {}: {error}", path.display())))?;
    yaml::read(&path.display().to_string(), &text).map_err(Failed::bad_input)
}

/// Ends what a crash has cut short when the run grew: the tasks that its lock means are in their place, and there are no others.
/// Only for the process that holds the run.
pub fn settle_tasks(run: &RunFolder) -> std::result::Result<(), Failed> {
    let next = run.path().join(NEXT_TASKS);
    if !next.exists() {
        return Ok(());
    }
    let lock: Lock = run.read_json("lock.json")?;
    let of = |path: &Path| std::fs::read(path).map(|text| hex::encode(Sha256::digest(&text)));
    match of(&run.path().join(TASKS)).is_ok_and(|digest| digest == lock.tasks_digest) {
        true => Ok(std::fs::remove_file(&next)?),
        false => Ok(run.replace(TASKS, NEXT_TASKS)?),
    }
}

/// The run's own copy of its tasks: of the two that there are while a run grows, the one that the lock means.
pub fn stored_tasks(run: &RunFolder, lock: &Lock) -> std::result::Result<Vec<Task>, Failed> {
    let path = run.path().join(TASKS);
    let damaged = |why: String| Failed::bad_input(anyhow::anyhow!("{}: {why}", path.display()));
    let is_meant = |text: &Vec<u8>| hex::encode(Sha256::digest(text)) == lock.tasks_digest;
    let text = std::fs::read(&path).map_err(|error| damaged(error.to_string()))?;
    let text = match is_meant(&text) {
        true => Some(text),
        false => std::fs::read(run.path().join(NEXT_TASKS)).ok().filter(is_meant),
    };
    let text = text.ok_or_else(|| damaged("it is not what the run was started with".into()))?;
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines
        .map(|line| serde_json::from_slice(line).map_err(|error| damaged(error.to_string())))
        .collect()
}
