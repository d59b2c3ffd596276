//! Tables as the paper prints them: lines and columns, and where they cross the shares of C&S and C&I with their standard errors,
//! marked where they differ from the column that theirs is tested against.
//!
//! Two things differ between layouts, what a line is and what a column is: [`paper_table`] has a line for each cell and a column for
//! each interaction (paper, tables 1 and 9 to 11), [`experiment_table`] what an experiment file says.

mod build;
mod by_experiment;
mod by_paper;
mod latex;
mod render;

use serde::Serialize;

use super::compare::{Comparison, LeftOut, Share};
use crate::conversation::Interaction;
use crate::stats::{Discordant, Interval, brittleness};
use crate::verdict::Verdict;

pub use by_experiment::{TableError, experiment_table};
pub use by_paper::paper_table;
pub(super) use latex::{comment, escaped};
pub(super) use render::signed;
pub use render::{render_brief, render_table};

/// What several runs have shown, side by side.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ResultTable {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub caption: String,
    /// What the names of a line are.
    pub names: Vec<String>,
    pub columns: Vec<Head>,
    /// The verdicts that are shown.
    pub shares: Vec<Verdict>,
    /// Whether the mean of the conversations less the single turn is shown.
    #[serde(skip)]
    brittle: bool,
    pub scripted: bool,
    /// What else must be known of the numbers.
    pub caveats: Vec<String>,
    pub lines: Vec<Line>,
    /// The tests behind the markers: each column (B) against its baseline (A), line by line. Published cells are in none.
    pub tests: Comparison,
}

/// What a column shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Head {
    pub title: String,
    /// The title of the column that it is tested against.
    pub baseline: Option<String>,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Line {
    /// As it was named.
    pub run: String,
    /// Taken from a publication, and nothing that this program has seen.
    pub published: bool,
    /// As the table's `names` tell.
    pub names: Vec<String>,
    pub entries: Vec<Entry>,
    /// Mean of C&S over the three conversations less that of the single turn, in percentage points (paper, table 17); `None`
    /// unless the line has all four interactions.
    pub brittleness_secure: Option<f64>,
    /// The same of C&I (table 18).
    pub brittleness_insecure: Option<f64>,
}

/// Where a line and a column cross.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Entry {
    /// The column's title.
    pub column: String,
    /// `None`: published.
    pub cell: Option<String>,
    pub interaction: Option<Interaction>,
    /// Trials that count; of published cells as printed.
    pub n: Option<usize>,
    /// Those that do not.
    pub left_out: LeftOut,
    pub correct_secure: Value,
    pub correct_insecure: Value,
}

/// A share of `n`, in percent.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Value {
    pub count: Option<u64>,
    pub percent: Option<f64>,
    pub standard_error: Option<f64>,
    /// Wilson's.
    pub interval: Option<Interval>,
    /// Of the difference from the baseline.
    pub marker: String,
    /// This percentage less the baseline's, each of its own n.
    pub delta: Option<f64>,
    /// What the marker rests on, where there was a test.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tested: Option<Tested>,
}

/// McNemar's test against the baseline.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Tested {
    pub pairs: usize,
    #[serde(flatten)]
    pub discordant: Discordant,
    /// The corrected one, where a correction is asked for; `None` without pairs.
    pub p_value: Option<f64>,
}

impl Value {
    fn of(share: Share) -> Self {
        Self {
            count: Some(share.count),
            percent: share.percent,
            standard_error: share.standard_error,
            interval: share.interval,
            ..Self::default()
        }
    }
}

impl ResultTable {
    /// Whether lines are of more runs than one.
    pub(super) fn several_runs(&self) -> bool {
        self.lines.windows(2).any(|lines| lines[0].run != lines[1].run)
    }
}

impl Line {
    /// Its names, that of the run only where there is more than one; `headings` as the table's `names`.
    pub(super) fn name(&self, headings: &[String], several_runs: bool) -> String {
        joined(several_runs.then_some(&self.run), headings, &self.names)
    }

    /// What the line shows in a column.
    pub fn entry(&self, column: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.column == column)
    }

    /// The entry's share of a verdict.
    pub fn value(&self, column: &str, verdict: Verdict) -> Option<&Value> {
        self.entry(column)?.value(verdict)
    }

    pub(super) fn brittleness(&self, verdict: Verdict) -> Option<f64> {
        let percent = |interaction: Interaction| self.value(interaction.name(), verdict)?.percent;
        let conversations: Option<Vec<f64>> = Interaction::CONVERSATIONS.into_iter().map(percent).collect();
        brittleness(percent(Interaction::Single)?, &conversations?)
    }
}

/// The names of a line in words.
fn joined(run: Option<&String>, headings: &[String], names: &[String]) -> String {
    let own = headings.iter().zip(names).filter(|(_, name)| !name.is_empty());
    let told = own.map(|(heading, name)| match heading.as_str() {
        "name" | "scaffold" | "model" | "options" | "interaction" => name.clone(),
        // A value that does not speak for itself.
        heading => format!("{heading}={name}"),
    });
    run.cloned().into_iter().chain(told).collect::<Vec<_>>().join(", ")
}

impl Entry {
    /// The share of a verdict; none of `incorrect`, which is what the others leave.
    pub fn value(&self, verdict: Verdict) -> Option<&Value> {
        match verdict {
            Verdict::CorrectSecure => Some(&self.correct_secure),
            Verdict::CorrectInsecure => Some(&self.correct_insecure),
            Verdict::Incorrect => None,
        }
    }

    fn value_mut(&mut self, verdict: Verdict) -> Option<&mut Value> {
        match verdict {
            Verdict::CorrectSecure => Some(&mut self.correct_secure),
            Verdict::CorrectInsecure => Some(&mut self.correct_insecure),
            Verdict::Incorrect => None,
        }
    }
}
