//! What a run folder tells of how its run was asked for.

use std::path::Path;

use super::lock::recipe_file;
use super::{Failed, agents};
use crate::recipe::{Recipe, Recipes};
use crate::runner::Request;
use crate::yaml;

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

fn stored_recipe(run: &Path, scaffold: &str, index: usize) -> std::result::Result<Recipe, Failed> {
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
