//! The layout of the paper's tables: a line for each scaffold, model and options, and for each interaction the shares of C&S and C&I
//! with their standard errors, marked where they differ from the single turn (paper, tables 1 and 9 to 11).

mod latex;
mod render;

use serde::Serialize;

use super::compare::{Comparison, LeftOut, Measure, Method, Share, Side, SideRow, counting, row};
use crate::conversation::Interaction;
use crate::stats::brittleness;
use crate::verdict::Verdict;

pub use render::render_paper;

/// What several runs have shown, side by side.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PaperTable {
    /// Those that any line has, in the order of the paper.
    pub interactions: Vec<Interaction>,
    pub scripted: bool,
    /// What else must be known of the numbers.
    pub caveats: Vec<String>,
    pub lines: Vec<Line>,
    /// The tests behind the markers: each interaction (B) against the single turn (A) of its line.
    pub tests: Comparison,
}

/// One cell of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Line {
    /// As it was named.
    pub run: String,
    pub scaffold: String,
    pub model: String,
    pub options: String,
    pub cell: String,
    pub entries: Vec<Entry>,
    /// Mean of C&S over the three conversations less that of the single turn, in percentage points (paper, table 17); `None`
    /// unless the line has all four interactions.
    pub brittleness_secure: Option<f64>,
    /// The same of C&I (table 18).
    pub brittleness_insecure: Option<f64>,
}

/// One interaction of a line.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Entry {
    pub interaction: Interaction,
    /// Trials that count.
    pub n: usize,
    /// Those that do not.
    pub left_out: LeftOut,
    pub correct_secure: Value,
    pub correct_insecure: Value,
}

/// A share of `n`, and the marker of its difference from the single turn.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Value {
    #[serde(flatten)]
    pub share: Share,
    pub marker: &'static str,
}

impl PaperTable {
    /// Whether lines are of more runs than one.
    pub(super) fn several_runs(&self) -> bool {
        self.lines.windows(2).any(|lines| lines[0].run != lines[1].run)
    }
}

/// Lays the rows of all sides out.
pub fn paper_table(sides: &[Side], method: Method) -> PaperTable {
    let mut pairs = Vec::new();
    for side in sides {
        for row in &side.rows {
            let single = side
                .rows
                .iter()
                .find(|other| other.labels.cell == row.labels.cell && other.labels.interaction == Interaction::Single);
            pairs.extend(
                single
                    .filter(|single| single.labels != row.labels)
                    .map(|single| (side, single, row)),
            );
        }
    }
    let compared = pairs
        .iter()
        .map(|(side, single, other)| row(side, single, side, other, method));
    let compared = compared.collect();
    let sides: Vec<&Side> = sides.iter().collect();
    let tests = Comparison::of(&sides, compared, method);
    let tested = tests.rows.iter().zip(&pairs);
    let mut lines: Vec<Line> = Vec::new();
    for side in &sides {
        let first = lines.len();
        for row in &side.rows {
            let measures = tested
                .clone()
                .find(|(_, (of, _, other))| std::ptr::eq(*of, *side) && std::ptr::eq(*other, row));
            let measures = measures.map(|(compared, _)| compared.measures.as_slice());
            let entry = entry(row, measures, method);
            match lines[first..].iter_mut().find(|line| line.cell == row.labels.cell) {
                Some(line) => line.entries.push(entry),
                None => lines.push(Line::new(side, row, entry)),
            }
        }
    }
    for line in &mut lines {
        line.brittleness_secure = line.brittleness(|entry| entry.correct_secure);
        line.brittleness_insecure = line.brittleness(|entry| entry.correct_insecure);
    }
    let has = |interaction: &Interaction| lines.iter().any(|line| line.entry(*interaction).is_some());
    PaperTable {
        interactions: Interaction::ALL.into_iter().filter(has).collect(),
        scripted: tests.scripted,
        caveats: tests.caveats.clone(),
        lines,
        tests,
    }
}

fn entry(row: &SideRow, measures: Option<&[Measure]>, method: Method) -> Entry {
    let (verdicts, left_out) = counting(row);
    let n = verdicts.len();
    let value = |verdict: Verdict| {
        let count = verdicts.iter().filter(|other| **other == verdict).count();
        let measure = measures.and_then(|measures| measures.iter().find(|measure| measure.verdict == verdict));
        Value {
            share: Share::of(count, n, method.level),
            marker: measure.map_or("", |measure| measure.marker),
        }
    };
    Entry {
        interaction: row.labels.interaction,
        n,
        left_out,
        correct_secure: value(Verdict::CorrectSecure),
        correct_insecure: value(Verdict::CorrectInsecure),
    }
}

impl Line {
    fn new(side: &Side, row: &SideRow, entry: Entry) -> Self {
        Self {
            run: side.name.clone(),
            scaffold: row.labels.scaffold.clone(),
            model: row.labels.model.clone(),
            options: row.labels.options.clone(),
            cell: row.labels.cell.clone(),
            entries: vec![entry],
            brittleness_secure: None,
            brittleness_insecure: None,
        }
    }

    /// Its names, that of the run only where there is more than one.
    pub(super) fn name(&self, several_runs: bool) -> String {
        let run = several_runs.then_some(&self.run);
        let parts = run.into_iter().chain([&self.scaffold, &self.model, &self.options]);
        let parts: Vec<&str> = parts.map(String::as_str).filter(|part| !part.is_empty()).collect();
        parts.join(", ")
    }

    /// What the line shows of an interaction.
    pub fn entry(&self, interaction: Interaction) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.interaction == interaction)
    }

    fn brittleness(&self, value: fn(&Entry) -> Value) -> Option<f64> {
        let percent = |interaction| value(self.entry(interaction)?).share.percent;
        let conversations: Option<Vec<f64>> = Interaction::CONVERSATIONS.into_iter().map(percent).collect();
        brittleness(percent(Interaction::Single)?, &conversations?)
    }
}
