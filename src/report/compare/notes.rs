//! What is said in words below a comparison.

use super::choice::Dimension;
use super::{ComparedRow, Comparison};

/// Of a list of pairs, in text for people.
const MOST_SHOWN: usize = 20;

/// Said where it is so.
pub(in crate::report) const SEVERAL_ATTEMPTS: &str =
    "More than one attempt at a task: pairs of one task are not independent, and p-values are too small.";

/// What is said below the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::report) enum Notes {
    All,
    /// Without what another table has said already: which runs, markers, and that a model is scripted.
    Own,
    /// As [`Self::Own`], and without the names of the pairs whose sides differ.
    Brief,
}

/// What both sides have in common, and what is compared.
pub(in crate::report) fn title(row: &ComparedRow) -> String {
    if let Some(title) = &row.title {
        return title.clone();
    }
    let differs = |dimension: &Dimension| row.a.value(*dimension) != row.b.value(*dimension);
    let shown = |value: &str| {
        if value.is_empty() {
            "defaults".to_owned()
        } else {
            value.to_owned()
        }
    };
    let told = Dimension::TOLD
        .into_iter()
        .filter(|dimension| *dimension != Dimension::Cell);
    let mut parts: Vec<String> = told
        .clone()
        .filter(|dimension| !differs(dimension) && !row.a.value(*dimension).is_empty())
        .map(|dimension| row.a.value(dimension).to_owned())
        .collect();
    let compared: Vec<Dimension> = told.filter(differs).collect();
    for dimension in &compared {
        parts.push(format!(
            "{} → {}",
            shown(row.a.value(*dimension)),
            shown(row.b.value(*dimension))
        ));
    }
    // What tells them apart where nothing else does: two runs of one cell, or cells with other limits.
    if compared.is_empty() && row.a.run != row.b.run {
        parts.push(format!("{} → {}", row.a.run, row.b.run));
    } else if compared.is_empty() {
        parts.push(format!("{} → {}", row.a.cell, row.b.cell));
    }
    parts.join(", ")
}

pub(super) fn notes(comparison: &Comparison, which: Notes) -> Vec<String> {
    let mut notes = Vec::new();
    if which == Notes::All {
        notes.push(format!("A: {}. B: {}.", comparison.a, comparison.b));
    }
    notes.push("pairs: task and attempt with a verdict that counts on both sides; shares, differences and b, c are of the pairs. b: in A only, c: in B only. least: the smallest difference that so many pairs can show at .05 in a single test. n: trials that count on a side, paired or not.".to_owned());
    if which == Notes::All {
        notes.push("* p < .05, ** p < .01, *** p < .001.".to_owned());
    }
    for row in &comparison.rows {
        if let Some(left_out) = row.left_out.told() {
            notes.push(format!("{}: in no pair: {left_out}.", title(row)));
        }
    }
    for row in comparison.rows.iter().filter(|row| !row.same_limits) {
        notes.push(format!(
            "{}: NOT ALIKE in their limits (lock.json tells them).",
            title(row)
        ));
    }
    for (side, rows) in [("A", &comparison.unmatched_a), ("B", &comparison.unmatched_b)] {
        for row in rows {
            let told: Vec<&str> = Dimension::TOLD
                .iter()
                .map(|dimension| row.value(*dimension))
                .filter(|value| !value.is_empty())
                .collect();
            notes.push(format!("In {side} only, and not compared: {}.", told.join(", ")));
        }
    }
    if comparison.rows.iter().any(|row| row.pairs > row.tasks) {
        notes.push(SEVERAL_ATTEMPTS.to_owned());
    }
    if which == Notes::All {
        notes.extend(comparison.caveats.iter().cloned());
    }
    notes
}

/// The pairs whose sides differ, by name.
pub(super) fn lists(comparison: &Comparison) -> Vec<String> {
    let mut lines = Vec::new();
    for row in &comparison.rows {
        for measure in &row.measures {
            for (side, names) in [("A", &measure.only_a), ("B", &measure.only_b)] {
                if !names.is_empty() {
                    let mut shown = names.iter().take(MOST_SHOWN).cloned().collect::<Vec<_>>().join(", ");
                    if names.len() > MOST_SHOWN {
                        shown.push_str(&format!(" and {} more (--json names all)", names.len() - MOST_SHOWN));
                    }
                    lines.push(format!("{}, {} in {side} only: {shown}", title(row), measure.verdict));
                }
            }
        }
    }
    lines
}
