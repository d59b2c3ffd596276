//! From rows that have their place to the table.

use std::borrow::Cow;

use super::{Entry, Head, Line, ResultTable, Value};
use crate::report::compare::{Comparison, Method, Share, Side, SideRow, counting, row};
use crate::report::published::{Published, PublishedCell};
use crate::verdict::Verdict;

/// What the lines and columns of a table are.
pub(super) struct Plan {
    pub caption: String,
    pub names: Vec<String>,
    pub columns: Vec<Head>,
    pub shares: Vec<Verdict>,
    pub brittle: bool,
    /// Published settings without a column get one of their own.
    pub open: bool,
}

/// A row, or how it stood after some retries, in its place.
pub(super) struct Placed<'a> {
    pub side: &'a Side,
    pub row: Cow<'a, SideRow>,
    /// What makes it the same line as others of its side.
    pub line: String,
    pub names: Vec<String>,
    pub column: usize,
}

/// Lays out what is placed, tests it, and sets published lines below.
pub(super) fn build(
    mut plan: Plan,
    placed: &[Placed],
    published: &[Published],
    sides: &[Side],
    method: Method,
) -> ResultTable {
    let same_line = |one: &Placed, other: &Placed| std::ptr::eq(one.side, other.side) && one.line == other.line;
    let mut pairs = Vec::new();
    let mut compared = Vec::new();
    for (index, of) in placed.iter().enumerate() {
        let Some(baseline) = &plan.columns[of.column].baseline else {
            continue;
        };
        let is_baseline = |other: &&Placed| same_line(of, other) && plan.columns[other.column].title == *baseline;
        if let Some(base) = placed.iter().find(is_baseline) {
            let mut tested = row(base.side, &base.row, of.side, &of.row, method);
            let several = sides.len() > 1;
            let run = several.then(|| of.side.name.clone());
            let own = plan.names.iter().zip(&of.names).filter(|(_, name)| !name.is_empty());
            let names: Vec<String> = run.into_iter().chain(own.map(told)).collect();
            tested.title = Some(format!(
                "{}: {baseline} → {}",
                names.join(", "),
                plan.columns[of.column].title
            ));
            // What is not shown is not tested: Holm counts what is in the table.
            tested.measures.retain(|measure| plan.shares.contains(&measure.verdict));
            pairs.push(index);
            compared.push(tested);
        }
    }
    let all: Vec<&Side> = sides.iter().collect();
    let tests = Comparison::of(&all, compared, method);

    let mut lines: Vec<Line> = Vec::new();
    // Where each line begins.
    let mut firsts: Vec<&Placed> = Vec::new();
    for (index, of) in placed.iter().enumerate() {
        let mut entry = entry(of, &plan.columns[of.column].title, method);
        if let Some(test) = pairs.iter().position(|tested| *tested == index) {
            for measure in &tests.rows[test].measures {
                if let Some(value) = entry.value_mut(measure.verdict) {
                    value.marker = measure.marker.to_owned();
                }
            }
        }
        match firsts.iter().position(|first| same_line(first, of)) {
            Some(line) => lines[line].entries.push(entry),
            None => {
                firsts.push(of);
                lines.push(Line::new(&of.side.name, of.names.clone(), vec![entry]));
            }
        }
    }
    let mut caveats = tests.caveats.clone();
    if !published.is_empty() {
        caveats.push(PUBLISHED.to_owned());
    }
    for source in published {
        lines.extend(published_lines(source, &mut plan, &mut caveats, method));
    }
    for line in &mut lines {
        line.brittleness_secure = line.brittleness(Verdict::CorrectSecure);
        line.brittleness_insecure = line.brittleness(Verdict::CorrectInsecure);
        line.set_deltas(&plan.columns);
    }
    ResultTable {
        caption: plan.caption,
        names: plan.names,
        columns: plan.columns,
        shares: plan.shares,
        brittle: plan.brittle,
        scripted: tests.scripted,
        caveats,
        lines,
        tests,
    }
}

/// A name of a line as it stands among others: values that do not speak for themselves have their key.
fn told((key, value): (&String, &String)) -> String {
    match key.as_str() {
        "name" | "scaffold" | "model" | "options" | "interaction" => value.clone(),
        key => format!("{key}={value}"),
    }
}

/// Said wherever a published number stands.
const PUBLISHED: &str = "(published): taken from a publication, with its own ± and markers; in no test here.";

fn entry(of: &Placed, column: &str, method: Method) -> Entry {
    let (verdicts, left_out) = counting(&of.row);
    let n = verdicts.len();
    let value = |verdict: Verdict| {
        let count = verdicts.iter().filter(|other| **other == verdict).count();
        Value::of(Share::of(count, n, method.level))
    };
    Entry {
        column: column.to_owned(),
        cell: Some(of.row.labels.cell.clone()),
        interaction: Some(of.row.labels.interaction),
        n: Some(n),
        left_out,
        correct_secure: value(Verdict::CorrectSecure),
        correct_insecure: value(Verdict::CorrectInsecure),
    }
}

/// The lines of a publication; its settings stand in the columns that have their name.
fn published_lines(source: &Published, plan: &mut Plan, caveats: &mut Vec<String>, method: Method) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut unplaced: Vec<&str> = Vec::new();
    for published in &source.lines {
        let mut entries = Vec::new();
        for cell in &published.cells {
            let known = plan.columns.iter().find(|column| cell.is_of(&column.title));
            let title = match known {
                Some(column) => column.title.clone(),
                None if plan.open => {
                    plan.columns.push(Head {
                        title: cell.setting.clone(),
                        baseline: None,
                    });
                    cell.setting.clone()
                }
                None => {
                    if !unplaced.contains(&cell.setting.as_str()) {
                        unplaced.push(&cell.setting);
                    }
                    continue;
                }
            };
            entries.push(published_entry(cell, title, method));
        }
        let mut names = vec![String::new(); plan.names.len()];
        let at = plan.names.iter().position(|name| name == "model").unwrap_or(0);
        if let Some(name) = names.get_mut(at) {
            *name = format!("{} (published)", published.name);
        }
        let mut line = Line::new(&source.name, names, entries);
        line.published = true;
        lines.push(line);
    }
    if !unplaced.is_empty() {
        caveats.push(format!(
            "{}: published settings without a column of their name, and not shown: {} (`import-results --rename OLD=NEW` gives them one).",
            source.name,
            unplaced.join(", ")
        ));
    }
    lines
}

fn published_entry(cell: &PublishedCell, column: String, method: Method) -> Entry {
    let value = |number: &crate::report::published::Number| {
        // Where the publication prints no ±, it follows from its n.
        let computed = |n: usize| {
            let count = (number.percent? * n as f64 / 100.0).round() as usize;
            Share::of(count, n, method.level).standard_error
        };
        Value {
            percent: number.percent,
            standard_error: number.standard_error.or_else(|| computed(cell.n?)),
            marker: number.marker.clone(),
            ..Value::default()
        }
    };
    Entry {
        column,
        cell: None,
        interaction: None,
        n: cell.n,
        left_out: Default::default(),
        correct_secure: value(&cell.correct_secure),
        correct_insecure: value(&cell.correct_insecure),
    }
}

impl Line {
    fn new(run: &str, names: Vec<String>, entries: Vec<Entry>) -> Self {
        Self {
            run: run.to_owned(),
            published: false,
            names,
            entries,
            brittleness_secure: None,
            brittleness_insecure: None,
        }
    }

    fn set_deltas(&mut self, columns: &[Head]) {
        for head in columns {
            let Some(baseline) = &head.baseline else { continue };
            for verdict in [Verdict::CorrectSecure, Verdict::CorrectInsecure] {
                let base = self.value(baseline, verdict).and_then(|value| value.percent);
                let own = self.entries.iter_mut().find(|entry| entry.column == head.title);
                if let Some(value) = own.and_then(|entry| entry.value_mut(verdict)) {
                    value.delta = value.percent.zip(base).map(|(own, base)| own - base);
                }
            }
        }
    }
}
