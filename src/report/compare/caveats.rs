//! What a reader of numbers of several runs must know of them.

use super::side::Side;
use crate::plan::ContainmentKind;
use crate::report::render::{NO_CONTAINMENT, SCRIPTED};
use crate::report::words::number_of;

/// One line each.
pub(in crate::report) fn caveats(sides: &[&Side]) -> Vec<String> {
    let mut caveats = Vec::new();
    for (what, of) in DIFFERING {
        let values: Vec<String> = sides.iter().map(|side| of(side)).collect();
        if values.iter().any(|value| *value != values[0]) {
            let told: Vec<String> = sides
                .iter()
                .zip(&values)
                .map(|(side, value)| format!("{}: {value}", side.name))
                .collect();
            caveats.push(format!("NOT ALIKE in {what}: {}.", told.join("; ")));
        }
    }
    for side in sides.iter().filter(|side| side.skipped_rows > 0) {
        let skipped = side.skipped_rows;
        let told = format!(
            "{}: {skipped} rows without dynamic tests were skipped and are in no number.",
            side.name
        );
        if !caveats.contains(&told) {
            caveats.push(told);
        }
    }
    for side in sides.iter().filter(|side| side.stay > 0) {
        let count = number_of(side.stay, "trial");
        let told = format!(
            "{}: {count} of an earlier experiment file in no number: the other layouts and `compare` count them.",
            side.name
        );
        if !caveats.contains(&told) {
            caveats.push(told);
        }
    }
    if sides.iter().any(|side| side.scripted) {
        caveats.push(SCRIPTED.to_owned());
    }
    if sides
        .iter()
        .any(|side| side.settings.containment == ContainmentKind::None)
    {
        caveats.push(NO_CONTAINMENT.to_owned());
    }
    caveats
}

/// A run's setting in words.
type Setting = fn(&Side) -> String;

/// What should be the same for all runs whose numbers stand side by side.
const DIFFERING: [(&str, Setting); 3] = [
    ("what judged", |side| side.settings.tester.clone()),
    ("what held the agents", |side| side.settings.containment.to_string()),
    ("the budget of a trial", |side| side.settings.trial_budget.to_string()),
];
