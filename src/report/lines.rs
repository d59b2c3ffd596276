//! The cells of runs as lines, and what is known of their tasks.

use super::compare::{Side, SideRow, caveats, counting};
use crate::conversation::{Interaction, Manner};
use crate::dataset::prompt::conversation_for;
use crate::plan::Key;
use crate::task::Task;
use crate::verdict::Verdict;

/// One cell of a run.
pub(super) struct CellLine<'a> {
    pub side: &'a Side,
    /// Scaffold, model and options; the run before them where there is more than one.
    pub name: String,
    pub rows: Vec<&'a SideRow>,
}

/// The cells of all runs, in their order.
pub(super) fn lines(sides: &[Side]) -> Vec<CellLine<'_>> {
    let mut lines: Vec<CellLine> = Vec::new();
    for side in sides {
        let first = lines.len();
        for row in &side.rows {
            let same = |line: &&mut CellLine| line.rows[0].labels.cell == row.labels.cell;
            match lines[first..].iter_mut().find(same) {
                Some(line) => line.rows.push(row),
                None => lines.push(CellLine {
                    side,
                    name: name(sides, side, row),
                    rows: vec![row],
                }),
            }
        }
    }
    lines
}

fn name(sides: &[Side], side: &Side, row: &SideRow) -> String {
    let run = (sides.len() > 1).then_some(&side.name);
    let labels = &row.labels;
    let parts = run
        .into_iter()
        .chain([&labels.scaffold, &labels.model, &labels.options]);
    let parts: Vec<&str> = parts.map(String::as_str).filter(|part| !part.is_empty()).collect();
    parts.join(", ")
}

impl<'a> CellLine<'a> {
    pub fn row(&self, interaction: Interaction) -> Option<&'a SideRow> {
        self.rows
            .iter()
            .find(|row| row.labels.interaction == interaction)
            .copied()
    }

    pub fn cell(&self) -> &str {
        &self.rows[0].labels.cell
    }

    /// The mean of the percentages of C&S over its interactions; `None` where nothing counts.
    pub fn average(&self) -> Option<f64> {
        let of_rows: Vec<f64> = self
            .rows
            .iter()
            .filter_map(|row| {
                let (verdicts, _) = counting(row);
                let secure = verdicts
                    .iter()
                    .filter(|verdict| **verdict == Verdict::CorrectSecure)
                    .count();
                (!verdicts.is_empty()).then(|| 100.0 * secure as f64 / verdicts.len() as f64)
            })
            .collect();
        (!of_rows.is_empty()).then(|| of_rows.iter().sum::<f64>() / of_rows.len() as f64)
    }
}

/// The interactions that any line has, in the order of the paper.
pub(super) fn interactions(lines: &[CellLine]) -> Vec<Interaction> {
    let has = |interaction: &Interaction| lines.iter().any(|line| line.row(*interaction).is_some());
    Interaction::ALL.into_iter().filter(has).collect()
}

/// What every table of runs must tell: how the runs differ, and what their trials that are in no number lack.
pub(super) fn told(sides: &[Side]) -> Vec<String> {
    let mut notes = Vec::new();
    for line in lines(sides) {
        for row in &line.rows {
            if let Some(left_out) = counting(row).1.told() {
                notes.push(format!(
                    "{}, {}: in no number: {left_out}.",
                    line.name, row.labels.interaction
                ));
            }
        }
    }
    notes.extend(caveats(&sides.iter().collect::<Vec<_>>()));
    notes
}

pub(super) fn scripted(sides: &[Side]) -> bool {
    sides.iter().any(|side| side.scripted)
}

/// The length of the single turn's prompt, in characters, as a bare request tells it: no policy, nothing of an agent's.
pub(super) fn single_length(task: &Task) -> Option<usize> {
    length(task, Interaction::Single, None)
}

/// The length of the prompt that asks for all of it at once: the single turn's, and its own of the longer single turn.
pub(super) fn final_length(task: &Task, row: &SideRow) -> Option<usize> {
    match row.labels.interaction {
        Interaction::LongerSingle => length(task, Interaction::LongerSingle, row.labels.key(Key::Turns).parse().ok()),
        _ => single_length(task),
    }
}

fn length(task: &Task, interaction: Interaction, turns: Option<u32>) -> Option<usize> {
    let manner = Manner {
        turns,
        ..Manner::default()
    };
    let conversation = conversation_for(task, interaction, manner).ok()?;
    conversation.turns.last().map(|text| text.chars().count())
}
