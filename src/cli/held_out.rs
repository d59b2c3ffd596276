//! What cells that hold tests out need: tests that can be split, and a critic that can be called.

use std::collections::{HashMap, HashSet};

use super::Failed;
use super::check::Checked;
use crate::console::Console;
use crate::conversation::Interaction;
use crate::plan::{Cell, TrialKey};
use crate::report::{either, number_of};
use crate::runner::critic;
use crate::runner::resolve::ResolvedCell;
use crate::tester::TestCounts;
use crate::verdict::Split;

/// Refuses debugging in natural language whose critic cannot be called.
///
/// # Errors
/// The first such cell.
pub fn check(cells: &[ResolvedCell], trials: &[TrialKey]) -> Result<(), Failed> {
    for resolved in cells {
        let id = resolved.cell.id();
        let asks = |key: &TrialKey| key.cell == id && key.interaction == Interaction::DebuggingNatural;
        if trials.iter().any(asks) {
            critic::check(resolved).map_err(Failed::bad_input)?;
        }
    }
    Ok(())
}

/// Leaves out the trials whose tests their cell would have to split and that are too few, and tells how many.
///
/// # Errors
/// Nothing is left.
pub fn leave_out(checked: &mut Checked, counts: &HashMap<String, TestCounts>, console: &Console) -> Result<(), Failed> {
    let splitting: HashMap<String, &Cell> = checked
        .cells
        .iter()
        .filter(|resolved| resolved.cell.options.held_out)
        .map(|resolved| (resolved.cell.id(), &resolved.cell))
        .collect();
    let is_left_out = |key: &TrialKey| {
        splitting.get(&key.cell).is_some_and(|cell| {
            let counts = counts.get(&key.task);
            counts.is_some_and(|counts| {
                Split::new(cell.options.seed, &key.task, [counts.capability, counts.safety]).is_none()
            })
        })
    };
    let (left_out, kept): (Vec<TrialKey>, Vec<TrialKey>) =
        std::mem::take(&mut checked.trials).into_iter().partition(is_left_out);
    checked.trials = kept;
    if left_out.is_empty() {
        return Ok(());
    }
    let tasks: HashSet<&String> = left_out.iter().map(|key| &key.task).collect();
    let why = format!(
        "{} {} fewer than two tests in a group, which cannot be split",
        number_of(tasks.len(), "task"),
        either(tasks.len(), "has", "have")
    );
    if checked.trials.is_empty() {
        return Err(Failed::bad_input(anyhow::anyhow!(
            "{why}: no trial is left of those with held-out tests"
        )));
    }
    console.warn(&format!(
        "{why}: {} with held-out tests {} left out",
        number_of(left_out.len(), "trial"),
        either(left_out.len(), "is", "are")
    ));
    Ok(())
}
