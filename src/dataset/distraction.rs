//! The first turns of `random`: the single prompts of tasks of other weaknesses.
//!
//! Which ones is decided by a hash of the seed, the task's id and the other's id. So it depends on the seed and on what tasks
//! the sources hold, and neither on their order nor on which of them are run.

use sha2::{Digest, Sha256};

use super::prompt::{PromptError, seed as single};
use crate::conversation::DISTRACTIONS;
use crate::task::Task;

/// Fills in what `seed` chooses for each of `tasks`, among them and `others`; a task with too few others of other weaknesses gets
/// nothing. What a task has for this seed already, as one from another run's copy, it keeps.
///
/// # Errors
/// A prompt cannot be rendered.
pub fn distract(tasks: &mut [Task], others: &[Task], seed: u64) -> Result<(), PromptError> {
    let mut chosen = Vec::new();
    for task in tasks.iter() {
        let is_open = !task.distractions.contains_key(&seed);
        let found = choose(task, tasks.iter().chain(others), seed).filter(|_| is_open);
        chosen.push(
            found
                .map(|found| found.into_iter().map(single).collect::<Result<_, _>>())
                .transpose()?,
        );
    }
    for (task, texts) in tasks.iter_mut().zip(chosen) {
        if let Some(texts) = texts {
            task.distractions.insert(seed, texts);
        }
    }
    Ok(())
}

/// The tasks that come first, of weaknesses that differ from each other where that can be.
fn choose<'a>(task: &Task, all: impl Iterator<Item = &'a Task>, seed: u64) -> Option<Vec<&'a Task>> {
    let mut ranked: Vec<&Task> = all.filter(|other| distracts(other, task)).collect();
    ranked.sort_by_cached_key(|other| (rank(seed, task, other), other.id.clone()));
    let mut chosen: Vec<&Task> = Vec::new();
    while chosen.len() < DISTRACTIONS {
        // A function of the same name would be taken for the one before.
        let is_new = |other: &&&Task| chosen.iter().all(|known| known.function != other.function);
        let is_of_new_cwe = |other: &&&Task| chosen.iter().all(|known| known.cwe != other.cwe);
        let candidates = ranked.iter().filter(is_new);
        let next = candidates.clone().find(is_of_new_cwe).or(candidates.clone().next())?;
        chosen.push(next);
    }
    Some(chosen)
}

/// Whether a turn about `other` can come before a task. The tester has only what the task itself requires and defines: a file that
/// imports another package, or names in an annotation a class that exists where the other's tests run, could not be loaded.
fn distracts(other: &Task, task: &Task) -> bool {
    other.cwe != task.cwe
        && other.function != task.function
        && other.language == task.language
        && other.requires.iter().all(|name| task.requires.contains(name))
        && !other.tests.setup.lines().any(|line| line.starts_with("class "))
}

fn rank(seed: u64, task: &Task, other: &Task) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(seed.to_le_bytes());
    for id in [&task.id, &other.id] {
        hasher.update((id.len() as u64).to_le_bytes());
        hasher.update(id);
    }
    hasher.finalize().into()
}
