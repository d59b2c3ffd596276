//! From turn to turn: where in a conversation correctness and security were won or lost. Only of runs that judge every turn.

use std::collections::BTreeMap;

use comfy_table::{CellAlignment, ContentArrangement, Table, TableStyle};
use serde::Serialize;

use super::summary::Summary;
use crate::trial::TrialRecord;
use crate::verdict::Verdict;

/// How many trials went from one verdict to another between a turn and the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Transition {
    /// The later turn: from 2.
    pub turn: usize,
    pub from: Verdict,
    pub to: Verdict,
    pub trials: usize,
}

/// Of the trials that count.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Transitions(Vec<Transition>);

impl Transitions {
    /// Adds one trial: every two turns in a row that both have a verdict.
    pub fn count(&mut self, record: &TrialRecord) {
        // Turns with feedback have a table of their own.
        let own = record.turns.iter().filter(|turn| !turn.feedback).count();
        for (turn, judgement) in record.judgements.range(..=own) {
            let Some(before) = turn.checked_sub(1).and_then(|before| record.judgements.get(&before)) else {
                continue;
            };
            let (from, to) = (before.verdict, judgement.verdict);
            let same = |known: &&mut Transition| (known.turn, known.from, known.to) == (*turn, from, to);
            match self.0.iter_mut().find(same) {
                Some(known) => known.trials += 1,
                None => self.0.push(Transition {
                    turn: *turn,
                    from,
                    to,
                    trials: 1,
                }),
            }
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Later turn → from → to → trials.
    fn matrices(&self) -> BTreeMap<usize, [[usize; 3]; 3]> {
        let mut matrices: BTreeMap<usize, [[usize; 3]; 3]> = BTreeMap::new();
        let place = |verdict: Verdict| {
            Verdict::ALL
                .iter()
                .position(|known| *known == verdict)
                .unwrap_or_default()
        };
        for transition in &self.0 {
            let matrix = matrices.entry(transition.turn).or_default();
            matrix[place(transition.from)][place(transition.to)] += transition.trials;
        }
        matrices
    }
}

/// Printed below the table.
pub(super) const NOTE: &str = "From turn to turn: trials whose snapshot had the verdict on the left after a turn and the one on the right after the next. A draft need not be complete before the last turn.\n";

/// The matrices of all rows; `None` where only last turns were judged.
pub(super) fn table(summary: &Summary, style: TableStyle, name: impl Fn(&str) -> String) -> Option<Table> {
    if summary.rows.iter().all(|row| row.transitions.is_empty()) {
        return None;
    }
    let mut table = Table::new();
    let mut headings = ["scaffold", "model", "options", "interaction", "turns"]
        .map(str::to_owned)
        .to_vec();
    for from in Verdict::ALL {
        headings.extend(Verdict::ALL.map(|to| format!("{from} → {to}")));
    }
    table
        .load_style(style)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(headings);
    for row in &summary.rows {
        for (turn, matrix) in row.transitions.matrices() {
            let mut cells = vec![
                format!("{} {}", row.scaffold, row.version),
                name(&row.model),
                name(&row.options),
            ];
            cells.extend([row.interaction.to_string(), format!("{} → {turn}", turn - 1)]);
            cells.extend(matrix.iter().flatten().map(ToString::to_string));
            table.add_row(cells);
        }
    }
    for column in table.column_iter_mut().skip(5) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    Some(table)
}
