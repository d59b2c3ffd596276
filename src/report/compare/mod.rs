//! Two sides compared pair by pair: the same tasks under another scaffold, model, option or interaction.
//!
//! A pair is one task and attempt that both sides have a verdict on. McNemar's test looks at the pairs whose sides differ.

mod caveats;
mod choice;
mod notes;
mod pairs;
mod render;
mod side;
mod standing;

use serde::Serialize;

use crate::stats::{Discordant, Interval, Level, PairedTest, Proportion, difference, holm, marker};
use crate::verdict::Verdict;
use pairs::Pair;

pub(super) use caveats::caveats;
pub use choice::SideChoice;
pub(super) use notes::{Notes, SEVERAL_ATTEMPTS, title};
pub(super) use pairs::{row, same_task};
pub(super) use render::people;
pub use render::render_comparison;
pub use side::{Labels, Side, why_apart};
pub(super) use side::{SideRow, SideTrial};
pub use standing::LeftOut;
pub(super) use standing::counting;

/// The bound below which a difference counts as shown, and gets its first star.
const ALPHA: f64 = 0.05;

/// How differences are judged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Method {
    pub test: PairedTest,
    /// Of all intervals.
    pub level: Level,
    /// Whether p-values and markers are corrected for the number of tests in the table.
    pub holm: bool,
}

/// What two sides have shown.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// The first side, as it was chosen.
    pub a: String,
    pub b: String,
    #[serde(flatten)]
    pub method: Method,
    /// Loud: numbers of a scripted model say nothing about agents.
    pub scripted: bool,
    /// What else must be known of the numbers.
    pub caveats: Vec<String>,
    pub rows: Vec<ComparedRow>,
    /// Rows of the first side that belong to none of the second.
    pub unmatched_a: Vec<Labels>,
    pub unmatched_b: Vec<Labels>,
}

/// A row of the one side with a row of the other.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ComparedRow {
    /// What is compared, where the labels do not tell it: in a table of an experiment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    pub a: Labels,
    pub b: Labels,
    /// Trials that count on each side, paired or not: the denominators of `report`.
    pub n_a: usize,
    pub n_b: usize,
    /// The denominator of everything below.
    pub pairs: usize,
    /// How many tasks the pairs are of: with more attempts than one the pairs of a task are not independent.
    pub tasks: usize,
    pub left_out: LeftOut,
    /// Whether both sides had the same limits of time, answers and disk.
    pub same_limits: bool,
    /// The smallest difference, in percentage points, that so many pairs can show at .05 in a single test: if all that differ
    /// go one way.
    pub least_difference: Option<f64>,
    pub measures: Vec<Measure>,
}

/// One verdict's share on both sides of the pairs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Measure {
    pub verdict: Verdict,
    pub a: Share,
    pub b: Share,
    /// B less A, in percentage points; `None` without pairs.
    pub difference: Option<f64>,
    pub interval: Option<Interval>,
    pub discordant: Discordant,
    /// `None` without pairs: nothing was tested.
    pub p_value: Option<f64>,
    /// By Holm, over all tests of the table, where it is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p_corrected: Option<f64>,
    /// Of the corrected p-value where there is one.
    pub marker: &'static str,
    /// The smallest |b − c| among so many discordant pairs that is significant at .05 in a single test; `None`: there are too few.
    pub least_significant: Option<u64>,
    /// Pairs that have it on the first side only: tasks, with the attempt where there are more.
    pub only_a: Vec<String>,
    pub only_b: Vec<String>,
}

/// `count` of the pairs; the rest in percent.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Share {
    pub count: u64,
    pub percent: Option<f64>,
    pub standard_error: Option<f64>,
    /// Wilson's.
    pub interval: Option<Interval>,
}

/// Compares every row of the one side with those of the other that it differs from in nothing but what is compared.
pub fn compare(a: &Side, b: &Side, method: Method) -> Comparison {
    let (partners, unmatched) = side::partners(a, b);
    let rows = partners
        .into_iter()
        .map(|(first, second)| pairs::row(a, first, b, second, method))
        .collect();
    let [unmatched_a, unmatched_b] = unmatched.map(|rows| rows.iter().map(|row| row.labels.clone()).collect());
    Comparison {
        unmatched_a,
        unmatched_b,
        ..Comparison::of(&[a, b], rows, method)
    }
}

impl Comparison {
    /// Of the first side and the last.
    pub(super) fn of(sides: &[&Side], mut rows: Vec<ComparedRow>, method: Method) -> Self {
        if method.holm {
            correct(&mut rows);
        }
        let name = |side: Option<&&Side>| side.map(|side| side.name.clone()).unwrap_or_default();
        Self {
            a: name(sides.first()),
            b: name(sides.last()),
            method,
            scripted: sides.iter().any(|side| side.scripted),
            caveats: caveats(sides),
            rows,
            unmatched_a: Vec::new(),
            unmatched_b: Vec::new(),
        }
    }
}

/// A row without pairs tests nothing and is no test of the table.
fn correct(rows: &mut [ComparedRow]) {
    let measures = rows.iter_mut().flat_map(|row| &mut row.measures);
    let mut measures: Vec<&mut Measure> = measures.filter(|measure| measure.p_value.is_some()).collect();
    let p_values: Vec<f64> = measures.iter().filter_map(|measure| measure.p_value).collect();
    for (measure, corrected) in measures.iter_mut().zip(holm(&p_values)) {
        measure.p_corrected = Some(corrected);
        measure.marker = marker(corrected);
    }
}

impl Measure {
    fn of(verdict: Verdict, pairs: &[Pair], method: Method) -> Self {
        let count = |side: fn(&Pair) -> Verdict| pairs.iter().filter(|pair| side(pair) == verdict).count();
        let only = |has: fn(&Pair) -> Verdict, has_not: fn(&Pair) -> Verdict| -> Vec<String> {
            let only = pairs
                .iter()
                .filter(|pair| has(pair) == verdict && has_not(pair) != verdict);
            only.map(|pair| pair.name.clone()).collect()
        };
        let first: fn(&Pair) -> Verdict = |pair| pair.a;
        let second: fn(&Pair) -> Verdict = |pair| pair.b;
        let (only_a, only_b) = (only(first, second), only(second, first));
        let discordant = Discordant {
            b: only_a.len() as u64,
            c: only_b.len() as u64,
        };
        let p_value = (!pairs.is_empty()).then(|| method.test.p_value(discordant));
        let share = |count| Share::of(count, pairs.len(), method.level);
        let (difference, interval) = difference(discordant, pairs.len() as u64, method.level).unzip();
        Self {
            verdict,
            a: share(count(first)),
            b: share(count(second)),
            difference: difference.map(|share| 100.0 * share),
            interval: interval.map(in_percent),
            discordant,
            p_value,
            p_corrected: None,
            marker: p_value.map_or("", marker),
            least_significant: method.test.least_significant(discordant.count(), ALPHA),
            only_a,
            only_b,
        }
    }
}

impl Share {
    pub(super) fn of(count: usize, n: usize, level: Level) -> Self {
        let proportion = Proportion {
            count: count as u64,
            n: n as u64,
        };
        Self {
            count: proportion.count,
            percent: proportion.share().map(|share| 100.0 * share),
            standard_error: proportion.standard_error().map(|error| 100.0 * error),
            interval: proportion.wilson(level).map(in_percent),
        }
    }
}

fn in_percent(interval: Interval) -> Interval {
    Interval {
        low: 100.0 * interval.low,
        high: 100.0 * interval.high,
    }
}
