//! One seed, several sources: rows of the same id join when they are about the same seed.

use super::DatasetError;
use crate::task::Task;

/// Adds a task, or joins it to the one of the same id: MT-Sec splits each carry one conversation of the same seed,
/// and SecCodePLT carries the reference solutions that they lack.
///
/// # Errors
/// The id is used twice for the same thing, or for different tests.
pub fn add(tasks: &mut Vec<Task>, task: Task) -> Result<(), DatasetError> {
    let Some(known) = tasks.iter_mut().find(|known| known.id == task.id) else {
        tasks.push(task);
        return Ok(());
    };
    let same_seed = known.tests == task.tests && known.function == task.function && known.cwe == task.cwe;
    let repeated = task
        .conversations
        .keys()
        .any(|key| known.conversations.contains_key(key))
        || (known.conversations.is_empty() && task.conversations.is_empty());
    let conflicting = known.references.is_some() && task.references.is_some() && known.references != task.references;
    if !same_seed || repeated || conflicting {
        return Err(DatasetError::Duplicate {
            id: task.id,
            first: known.origin.clone(),
            second: task.origin,
        });
    }
    if known.description != task.description {
        let problem = format!(
            "its description differs from the one in {}: the rows are not about one seed",
            known.origin
        );
        return Err(DatasetError::Task {
            origin: task.origin,
            id: task.id,
            problem,
        });
    }
    for requirement in task.requires {
        if !known.requires.contains(&requirement) {
            known.requires.push(requirement);
        }
    }
    known.conversations.extend(task.conversations);
    known.drafts.extend(task.drafts);
    known.references = known.references.take().or(task.references);
    Ok(())
}
