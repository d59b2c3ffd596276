//! What went wrong in the turns of a run, counted: beside the verdicts, and of the same trials.

use std::collections::BTreeMap;

use comfy_table::{CellAlignment, ContentArrangement, Table, TableStyle};
use serde::Serialize;

use super::summary::Summary;
use crate::finding::FindingKind;
use crate::trial::TurnRecord;

/// How many turns were played, and in how many of them each kind was found. Only of trials that count.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct FindingCounts {
    /// Turn → trials that played it.
    pub played: BTreeMap<usize, usize>,
    /// The same without last turns, which nothing was to come after.
    pub went_on: BTreeMap<usize, usize>,
    pub kinds: BTreeMap<FindingKind, FindingCount>,
}

/// Where one kind was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct FindingCount {
    /// Trials that have it in any turn.
    pub trials: usize,
    /// Turn → trials that have it there.
    pub turns: BTreeMap<usize, usize>,
}

impl FindingCounts {
    /// Adds one trial.
    pub fn count(&mut self, turns: &[TurnRecord]) {
        let mut kinds: Vec<FindingKind> = Vec::new();
        // An agent cannot end what it does not know to go on.
        let known = turns.iter().filter(|turn| !turn.feedback).count();
        for turn in turns.iter().filter(|turn| turn.ending.was_played()) {
            *self.played.entry(turn.turn).or_default() += 1;
            if turn.turn < known {
                *self.went_on.entry(turn.turn).or_default() += 1;
            }
            for finding in &turn.findings {
                let count = self.kinds.entry(finding.kind).or_default();
                *count.turns.entry(turn.turn).or_default() += 1;
                if !kinds.contains(&finding.kind) {
                    kinds.push(finding.kind);
                    count.trials += 1;
                }
            }
        }
    }

    fn add(&mut self, other: &Self) {
        let sum = |mine: &mut BTreeMap<usize, usize>, theirs: &BTreeMap<usize, usize>| {
            for (turn, count) in theirs {
                *mine.entry(*turn).or_default() += count;
            }
        };
        sum(&mut self.played, &other.played);
        sum(&mut self.went_on, &other.went_on);
        for (kind, theirs) in &other.kinds {
            let mine = self.kinds.entry(*kind).or_default();
            mine.trials += theirs.trials;
            sum(&mut mine.turns, &theirs.turns);
        }
    }
}

/// Printed below the table.
pub(super) const NOTE: &str = "Findings: what went wrong on the way, told automatically, in how many trials and turns. They change no verdict; `trial.json` holds the evidence, `turns/N/transcript.md` what was said.\n";

/// Trials and turns of the same agent and model with the same options.
struct Group {
    /// Scaffold, model and options.
    names: [String; 3],
    n: usize,
    counts: FindingCounts,
}

impl Group {
    /// In how many trials and turns a kind can be at all: only where more is to come an agent ends early.
    fn possible(&self, kind: FindingKind) -> (usize, &BTreeMap<usize, usize>) {
        let counts = &self.counts;
        match kind {
            FindingKind::EarlyTermination => (counts.went_on.get(&1).copied().unwrap_or(0), &counts.went_on),
            _ => (self.n, &counts.played),
        }
    }
}

/// All findings by scaffold, model and options; `None` where nothing was found.
pub(super) fn table(summary: &Summary, style: TableStyle, name: impl Fn(&str) -> String) -> Option<Table> {
    let mut groups: Vec<Group> = Vec::new();
    for row in &summary.rows {
        let scaffold = format!("{} {}", row.scaffold, row.version);
        let names = [scaffold, name(&row.model), name(&row.options)];
        let known = groups.iter().position(|group| group.names == names);
        let position = known.unwrap_or_else(|| {
            groups.push(Group {
                names,
                n: 0,
                counts: FindingCounts::default(),
            });
            groups.len() - 1
        });
        let group = &mut groups[position];
        group.n += row.n;
        group.counts.add(&row.findings);
    }
    groups.retain(|group| !group.counts.kinds.is_empty());
    let turns = groups
        .iter()
        .filter_map(|group| group.counts.played.keys().max())
        .max()
        .copied()?;
    let mut table = Table::new();
    table
        .load_style(style)
        .set_content_arrangement(ContentArrangement::Disabled);
    let headings = ["scaffold", "model", "options", "finding", "trials"].map(str::to_owned);
    table.set_header(
        headings
            .into_iter()
            .chain((1..=turns).map(|turn| format!("turn {turn}"))),
    );
    for group in &groups {
        let at = |of: &BTreeMap<usize, usize>, turn: usize| of.get(&turn).copied().unwrap_or(0);
        for (kind, count) in &group.counts.kinds {
            let (trials, possible) = group.possible(*kind);
            let mut cells = group.names.to_vec();
            cells.push(kind.to_string());
            cells.push(format!("{} of {trials}", count.trials));
            for turn in 1..=turns {
                cells.push(match at(possible, turn) {
                    0 => "–".to_owned(),
                    turns => format!("{} of {turns}", at(&count.turns, turn)),
                });
            }
            table.add_row(cells);
        }
    }
    for column in table.column_iter_mut().skip(4) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    Some(table)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Finding;
    use crate::trial::Ending;

    fn turn(number: usize, ending: Ending, kinds: &[FindingKind]) -> TurnRecord {
        let finding = |kind: &FindingKind| Finding {
            kind: *kind,
            evidence: vec!["somewhere".to_owned()],
            more: 0,
        };
        TurnRecord {
            ending,
            findings: kinds.iter().map(finding).collect(),
            ..TurnRecord::not_reached(number)
        }
    }

    #[test]
    fn a_kind_counts_once_for_a_turn_and_once_for_a_trial() {
        use FindingKind::{Refusal, Timeout, ToolError};
        let mut counts = FindingCounts::default();
        counts.count(&[
            turn(1, Ending::Answered, &[ToolError]),
            turn(2, Ending::Answered, &[ToolError, Refusal]),
        ]);
        counts.count(&[turn(1, Ending::Answered, &[Timeout]), turn(2, Ending::NotReached, &[])]);
        assert_eq!(counts.played, [(1, 2), (2, 1)].into());
        assert_eq!(counts.went_on, [(1, 2)].into());
        let of = |kind| counts.kinds.get(&kind).cloned().unwrap_or_default();
        let one = |trials, turns: &[(usize, usize)]| FindingCount {
            trials,
            turns: turns.iter().copied().collect(),
        };
        assert_eq!(of(ToolError), one(1, &[(1, 1), (2, 1)]));
        assert_eq!(of(Refusal), one(1, &[(2, 1)]));
        assert_eq!(of(Timeout), one(1, &[(1, 1)]));
        let mut twice = counts.clone();
        twice.add(&counts);
        assert_eq!(twice.kinds[&ToolError], one(2, &[(1, 2), (2, 2)]));
    }
}
