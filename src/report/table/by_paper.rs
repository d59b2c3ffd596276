//! The paper's layout: a line for each cell, a column for each interaction.

use std::borrow::Cow;

use super::build::{Placed, Plan, build};
use super::{Head, ResultTable};
use crate::conversation::Interaction;
use crate::report::compare::{Method, Side};
use crate::report::published::Published;
use crate::verdict::Verdict;

/// Lays the rows of all sides out, the lines of publications below them.
pub fn paper_table(sides: &[Side], published: &[Published], method: Method) -> ResultTable {
    let rows = || {
        sides
            .iter()
            .flat_map(|side| side.rows.iter().map(move |row| (side, row)))
    };
    let of_runs = |interaction: &Interaction| rows().any(|(_, row)| row.labels.interaction == *interaction);
    let is_published = |interaction: &Interaction| {
        let mut cells = published.iter().flat_map(Published::cells);
        cells.any(|cell| cell.is_of(interaction.name()))
    };
    let interactions: Vec<Interaction> = Interaction::ALL
        .into_iter()
        .filter(|interaction| of_runs(interaction) || is_published(interaction))
        .collect();
    let placed: Vec<Placed> = rows()
        .map(|(side, row)| Placed {
            side,
            row: Cow::Borrowed(row),
            // Cells may differ in what no name tells, such as their limits.
            line: row.labels.cell.clone(),
            names: [&row.labels.scaffold, &row.labels.model, &row.labels.options]
                .map(Clone::clone)
                .into(),
            column: interactions
                .iter()
                .position(|known| *known == row.labels.interaction)
                .unwrap_or_default(),
        })
        .collect();
    let plan = Plan {
        caption: String::new(),
        names: ["scaffold", "model", "options"].map(str::to_owned).into(),
        columns: heads(&interactions),
        shares: vec![Verdict::CorrectSecure, Verdict::CorrectInsecure],
        brittle: true,
        open: true,
    };
    build(plan, &placed, published, sides, method)
}

/// A column for each interaction, tested against the single turn where there is one.
pub(super) fn heads(interactions: &[Interaction]) -> Vec<Head> {
    let single = interactions.contains(&Interaction::Single);
    let head = |interaction: &Interaction| Head {
        title: interaction.to_string(),
        baseline: (single && *interaction != Interaction::Single).then(|| Interaction::Single.to_string()),
    };
    interactions.iter().map(head).collect()
}
