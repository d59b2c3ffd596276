//! The cells of an experiment file, with their recipes and models.

use std::path::Path;

use super::super::stored::{at_versions, stored_recipe, stored_request};
use super::super::{Failed, agents};
use super::plan::Earlier;
use crate::conversation::Interaction;
use crate::experiment::{Experiment, WantedCell};
use crate::plan;
use crate::recipe::{Recipe, Recipes};
use crate::runner::Request;
use crate::runner::resolve::{self, ResolvedCell};

/// A cell of the file, what it is run with, and where it is written.
pub struct Named {
    pub resolved: ResolvedCell,
    pub wanted: WantedCell,
}

impl Named {
    /// The cell with its interactions.
    pub fn span(&self) -> (&plan::Cell, &[Interaction]) {
        (&self.resolved.cell, &self.wanted.interactions)
    }
}

/// The recipes of all scaffolds; of those that the run has already, its own copies, in their places.
pub fn recipes(request: &mut Request, wanted: &[WantedCell], earlier: Option<&Earlier>) -> Result<Recipes, Failed> {
    let mut recipes: Vec<Recipe> = Vec::new();
    if let Some(Earlier { folder, lock, .. }) = earlier {
        for (index, scaffold) in stored_request(folder.path())?.scaffolds.iter().enumerate() {
            recipes.push(stored_recipe(folder.path(), scaffold, index)?);
            request.scaffolds.push(scaffold.clone());
        }
        // What a crash has kept from the lock is not part of the run.
        let is_used = |recipe: &Recipe| lock.cells.iter().any(|cell| cell.scaffold == recipe.source.name);
        let used = recipes.iter().rposition(is_used).map_or(0, |last| last + 1);
        recipes.truncate(used);
        request.scaffolds.truncate(used);
    }
    let before = recipes.len();
    for cell in wanted {
        let scaffold = &cell.asked.scaffold;
        match request.scaffolds.iter().position(|known| known == scaffold) {
            None => {
                recipes.push(agents::recipe(scaffold)?);
                request.scaffolds.push(scaffold.clone());
            }
            Some(index) if index < before && Recipe::is_path(scaffold) && Path::new(scaffold).exists() => {
                let digest = |recipe: &Recipe| recipe.own.as_ref().map(|own| own.digest.clone());
                if digest(&agents::recipe(scaffold)?) != digest(&recipes[index]) {
                    return Err(Failed::bad_input(anyhow::anyhow!(
                        "{scaffold}: it is not the recipe that the run was started with, or its program has changed: give it another `name` and file, or the run another --job-name"
                    )));
                }
            }
            Some(_) => {}
        }
    }
    at_versions(recipes, request)
}

/// The cells that the file asks for, each once, needing no key.
pub fn cells(
    experiment: &Experiment,
    wanted: &[WantedCell],
    request: &Request,
    recipes: &Recipes,
    as_written: bool,
) -> Result<Vec<Named>, Failed> {
    let mut cells: Vec<Named> = Vec::new();
    for cell in wanted {
        let resolved = resolved(experiment, cell, request, recipes, &resolve::no_call)?;
        let Some(same) = cells.iter_mut().find(|known| known.resolved.cell == resolved.cell) else {
            cells.push(Named {
                resolved,
                wanted: cell.clone(),
            });
            continue;
        };
        // The file can name what a recipe does anyway.
        if let (true, Some(one), Some(other)) = (as_written, &same.wanted.name, &cell.name) {
            let (line, column) = same.wanted.place;
            let message = format!("cell `{other}` is the same as `{one}` ({line}:{column}): leave one of them out");
            return Err(Failed::bad_input(experiment.wrong(cell, message)));
        }
        let named = &mut same.wanted;
        named.name = named.name.take().or_else(|| cell.name.clone());
        for interaction in &cell.interactions {
            if !named.interactions.contains(interaction) {
                named.interactions.push(*interaction);
            }
        }
    }
    Ok(cells)
}

/// A cell of the file with its recipe and model; what is wrong is told at its place.
pub fn resolved(
    experiment: &Experiment,
    wanted: &WantedCell,
    request: &Request,
    recipes: &Recipes,
    keys: resolve::Keys<'_>,
) -> Result<ResolvedCell, Failed> {
    let index = request
        .scaffolds
        .iter()
        .position(|known| *known == wanted.asked.scaffold);
    let recipe = index.and_then(|index| recipes.iter().nth(index));
    let recipe = recipe.ok_or_else(|| anyhow::anyhow!("no recipe of {} was read", wanted.asked.scaffold))?;
    resolve::cell_with(&wanted.asked, recipe, request, keys)
        .map_err(|error| Failed::bad_input(experiment.wrong(wanted, error.to_string())))
}
