//! What the trials of a new run will say: tasks completed with it, and what cannot be said and is left out.

use std::collections::{BTreeMap, BTreeSet};

use super::Failed;
use crate::conversation::{DISTRACTIONS, Interaction};
use crate::dataset::{self, Dataset};
use crate::plan::{Cell, Options};
use crate::task::{Lack, Task};

/// The chosen tasks, with the first turns of `random` for every seed that a cell asks for: so the run's own copy of its tasks
/// holds all that is said.
///
/// # Errors
/// A cell has an option that none of its trials heeds; or a prompt cannot be rendered.
pub fn complete(dataset: &Dataset, cells: &[(&Cell, &[Interaction])]) -> Result<Vec<Task>, Failed> {
    let mut tasks = dataset.tasks.clone();
    let mut seeds = BTreeSet::new();
    for (cell, interactions) in cells {
        if let Some(misfit) = cell.options.misfit(interactions) {
            return Err(Failed::bad_input(anyhow::anyhow!("{misfit}")));
        }
        if interactions.contains(&Interaction::Random) {
            seeds.insert(cell.options.seed);
        }
    }
    for seed in seeds {
        dataset::distract(&mut tasks, &dataset.others, seed).map_err(Failed::bad_input)?;
    }
    Ok(tasks)
}

/// Tells how many tasks are left out of what, and why: never silently. `named`: whether the user has named the interactions;
/// otherwise a task without a conversation of a kind is just one that does not have it.
pub fn left_out(tasks: &[Task], cells: &[(&Cell, &[Interaction])], named: bool) -> Vec<String> {
    // Cells that say the same leave out the same.
    let mut asked: Vec<(Interaction, Options)> = Vec::new();
    for (cell, interactions) in cells {
        let Options {
            policy, turns, seed, ..
        } = cell.options;
        for interaction in *interactions {
            let options = Options {
                policy,
                turns,
                seed,
                ..Options::default()
            };
            if !asked.contains(&(*interaction, options.clone())) {
                asked.push((*interaction, options));
            }
        }
    }
    let mut told = Vec::new();
    for (interaction, options) in asked {
        let mut lacks: BTreeMap<Lack, usize> = BTreeMap::new();
        for lack in tasks.iter().filter_map(|task| task.lacks(interaction, &options)) {
            *lacks.entry(lack).or_default() += 1;
        }
        let of_no_interest = |lack: &Lack| !named && matches!(lack, Lack::Conversation { turns: None, .. });
        for (lack, count) in lacks.into_iter().filter(|(lack, _)| !of_no_interest(lack)) {
            let hint = match lack {
                Lack::Conversation {
                    of: Interaction::Random,
                    ..
                } => format!(" (random has {} turns)", DISTRACTIONS + 1),
                _ => String::new(),
            };
            let text = format!(
                "{count} of {} tasks have {lack} and are left out of {interaction}{hint}",
                tasks.len()
            );
            if !told.contains(&text) {
                told.push(text);
            }
        }
    }
    told
}
