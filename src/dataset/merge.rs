//! One seed, several sources: rows of the same id join when they are about the same seed.

use std::collections::{BTreeMap, BTreeSet};

use super::{DatasetError, rules};
use crate::conversation::Interaction;
use crate::task::Task;

/// The conversation of a task that has several of one interaction, unless `--turns` says another: the paper's main tables have
/// three turns.
const OWN: usize = 3;

/// Adds a task, or joins it to the one of the same id: MT-Sec splits each carry one conversation of the same seed,
/// and SecCodePLT carries the reference solutions that they lack. Of conversations of one interaction that differ in their
/// number of turns the one of three turns is the task's own, else the shortest, in whatever order they come.
///
/// # Errors
/// The task could not be run or judged; or its id is used twice for the same thing, or for different tests.
pub fn add(tasks: &mut Vec<Task>, mut task: Task) -> Result<(), DatasetError> {
    rules::check(&task)?;
    let Some(known) = tasks.iter_mut().find(|known| known.id == task.id) else {
        for (interaction, turns) in std::mem::take(&mut task.lengths).into_iter().flat_map(of_each_length) {
            add_conversation(&mut task, interaction, turns, None);
        }
        tasks.push(task);
        return Ok(());
    };
    let same_seed = known.tests == task.tests && known.function == task.function && known.cwe == task.cwe;
    let (before, more) = (lengths(known), lengths(&task));
    let repeated = !before.is_disjoint(&more) || (before.is_empty() && more.is_empty());
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
    for (interaction, turns) in task.conversations {
        let drafts = task.drafts.get(&interaction).cloned();
        add_conversation(known, interaction, turns, drafts);
    }
    for (interaction, turns) in task.lengths.into_iter().flat_map(of_each_length) {
        add_conversation(known, interaction, turns, None);
    }
    known.distractions.extend(task.distractions);
    known.references = known.references.take().or(task.references);
    Ok(())
}

/// The conversations that a task has, by interaction and number of turns.
fn lengths(task: &Task) -> BTreeSet<(Interaction, usize)> {
    let own = task
        .conversations
        .iter()
        .map(|(interaction, turns)| (*interaction, turns.len()));
    let further = task.lengths.iter().flat_map(|(interaction, further)| {
        let counts = further.values().map(Vec::len);
        counts.map(|count| (*interaction, count))
    });
    own.chain(further).collect()
}

fn of_each_length(
    (interaction, further): (Interaction, BTreeMap<u32, Vec<String>>),
) -> impl Iterator<Item = (Interaction, Vec<String>)> {
    further.into_values().map(move |turns| (interaction, turns))
}

/// Adds a conversation of a length that the task does not have.
fn add_conversation(task: &mut Task, interaction: Interaction, turns: Vec<String>, drafts: Option<Vec<String>>) {
    // Three turns come before all others, then fewer before more.
    let rank = |turns: &Vec<String>| (turns.len() != OWN, turns.len());
    let own = task.conversations.get(&interaction);
    if own.is_some_and(|own| rank(own) < rank(&turns)) {
        put_further(&mut task.lengths, interaction, turns);
        return;
    }
    if let Some(other) = task.conversations.insert(interaction, turns) {
        put_further(&mut task.lengths, interaction, other);
    }
    match drafts {
        Some(drafts) => drop(task.drafts.insert(interaction, drafts)),
        None => drop(task.drafts.remove(&interaction)),
    }
}

fn put_further(
    lengths: &mut BTreeMap<Interaction, BTreeMap<u32, Vec<String>>>,
    interaction: Interaction,
    turns: Vec<String>,
) {
    let length = u32::try_from(turns.len()).unwrap_or(u32::MAX);
    lengths.entry(interaction).or_default().insert(length, turns);
}
