//! A comparison as a table for the terminal, Markdown, CSV or JSON.

use comfy_table::CellAlignment;

use super::choice::Dimension;
use super::{ComparedRow, Comparison, Measure, Share};
use crate::report::Format;
use crate::report::render::{SCRIPTED, empty_table, in_cell};
use crate::stats::Interval;

/// Of a list of pairs, in text for people.
const MOST_SHOWN: usize = 20;

/// The comparison as text, ending in a newline.
///
/// # Errors
/// Never for comparisons that this program made; the encoders' own errors are passed on.
pub fn render_comparison(comparison: &Comparison, format: Format) -> anyhow::Result<String> {
    Ok(match format {
        Format::Table | Format::Markdown => people(comparison, format, Notes::All),
        Format::Latex => anyhow::bail!("a comparison has no LaTeX form"),
        Format::Csv => csv(comparison)?,
        Format::Json => format!("{}\n", serde_json::to_string_pretty(comparison)?),
    })
}

/// What is said below the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::report) enum Notes {
    All,
    /// Without what another table has said already: which runs, markers, and that a model is scripted.
    Own,
}

/// The table with its notes and the names of the discordant pairs.
pub(in crate::report) fn people(comparison: &Comparison, format: Format, which: Notes) -> String {
    let name = |text: String| in_cell(&text, format);
    let (mut table, end) = empty_table(format);
    table.set_header(headings(comparison));
    for row in &comparison.rows {
        for measure in &row.measures {
            let mut cells = vec![name(title(row)), measure.verdict.to_string()];
            cells.extend([row.pairs.to_string(), share(&measure.a), share(&measure.b)]);
            cells.push(difference(measure));
            cells.extend([measure.discordant.b, measure.discordant.c].map(|count| count.to_string()));
            cells.push(match row.pairs {
                0 => "–".to_owned(),
                _ => format!(
                    "{}{}",
                    p_value(measure.p_corrected.unwrap_or(measure.p_value)),
                    measure.marker
                ),
            });
            cells.push(
                row.least_difference
                    .map_or_else(|| "–".to_owned(), |least| format!("{least:.1}")),
            );
            cells.extend([row.n_a.to_string(), row.n_b.to_string()]);
            table.add_row(cells);
        }
    }
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let mut text = format!("{table}{end}");
    for line in notes(comparison, which).into_iter().chain(lists(comparison)) {
        text.push_str(&name(line));
        text.push_str(end);
    }
    if format == Format::Markdown {
        text.pop();
    }
    text
}

fn headings(comparison: &Comparison) -> Vec<String> {
    let percent = comparison.method.level.percent();
    let p = match comparison.method.holm {
        true => format!("p ({}, Holm)", comparison.method.test),
        false => format!("p ({})", comparison.method.test),
    };
    let difference = format!("B − A [{percent} %]");
    let mut headings: Vec<String> = ["A → B", "", "pairs", "A, % ± SE", "B, % ± SE"]
        .map(str::to_owned)
        .into();
    headings.extend([difference, "b".to_owned(), "c".to_owned(), p]);
    headings.extend(["least", "n of A", "n of B"].map(str::to_owned));
    headings
}

/// What both sides have in common, and what is compared.
fn title(row: &ComparedRow) -> String {
    let differs = |dimension: &Dimension| row.a.value(*dimension) != row.b.value(*dimension);
    let shown = |value: &str| {
        if value.is_empty() {
            "defaults".to_owned()
        } else {
            value.to_owned()
        }
    };
    let told = Dimension::ALL
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
    // Nothing else tells them apart: two runs of one cell, or cells with other limits.
    if compared.is_empty() {
        parts.push(format!("{} → {}", row.a.cell, row.b.cell));
    }
    parts.join(", ")
}

fn share(share: &Share) -> String {
    match (share.percent, share.standard_error) {
        (Some(percent), Some(error)) => format!("{} ({percent:.1} ± {error:.1})", share.count),
        _ => "–".to_owned(),
    }
}

fn difference(measure: &Measure) -> String {
    match (measure.difference, measure.interval) {
        (Some(difference), Some(Interval { low, high })) => format!("{difference:+.1} [{low:+.1}, {high:+.1}]"),
        _ => "–".to_owned(),
    }
}

fn p_value(p_value: f64) -> String {
    match p_value {
        p if p < 0.0001 => "<0.0001".to_owned(),
        p => format!("{p:.4}"),
    }
}

fn notes(comparison: &Comparison, which: Notes) -> Vec<String> {
    let mut notes = Vec::new();
    if which == Notes::All {
        notes.push(format!("A: {}. B: {}.", comparison.a, comparison.b));
    }
    notes.push("pairs: task and attempt with a verdict that counts on both sides; shares, differences and b, c are of the pairs. b: in A only, c: in B only. least: the smallest difference that so many pairs can show at .05. n: trials that count on a side, paired or not.".to_owned());
    if which == Notes::All {
        notes.push("* p < .05, ** p < .01, *** p < .001.".to_owned());
    }
    for row in &comparison.rows {
        if let Some(left_out) = row.left_out.told() {
            notes.push(format!("{}: in no pair: {left_out}.", title(row)));
        }
    }
    if comparison.rows.iter().any(|row| row.pairs > row.tasks) {
        notes.push(
            "More than one attempt at a task: pairs of one task are not independent, and p-values are too small."
                .to_owned(),
        );
    }
    if comparison.scripted && which == Notes::All {
        notes.push(SCRIPTED.to_owned());
    }
    notes
}

/// The pairs whose sides differ, by name.
fn lists(comparison: &Comparison) -> Vec<String> {
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

fn csv(comparison: &Comparison) -> anyhow::Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let mut headings: Vec<String> = Vec::new();
    for side in ["a", "b"] {
        headings.extend(
            Dimension::ALL
                .iter()
                .map(|dimension| format!("{side}_{}", dimension.name())),
        );
    }
    let numbers = [
        "verdict",
        "pairs",
        "tasks",
        "n_a",
        "n_b",
        "count_a",
        "count_b",
        "percent_a",
        "percent_b",
        "se_a",
        "se_b",
        "difference",
        "low",
        "high",
        "b",
        "c",
        "test",
        "p",
        "p_holm",
        "marker",
        "least_difference",
        "left_out",
        "scripted",
    ];
    headings.extend(numbers.map(str::to_owned));
    writer.write_record(&headings)?;
    let number = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
    for row in &comparison.rows {
        for measure in &row.measures {
            let mut fields: Vec<String> = Vec::new();
            for labels in [&row.a, &row.b] {
                fields.extend(
                    Dimension::ALL
                        .iter()
                        .map(|dimension| labels.value(*dimension).to_owned()),
                );
            }
            fields.push(measure.verdict.to_string());
            fields.extend([row.pairs, row.tasks, row.n_a, row.n_b].map(|count| count.to_string()));
            fields.extend([measure.a.count, measure.b.count].map(|count| count.to_string()));
            fields.extend([measure.a.percent, measure.b.percent].map(number));
            fields.extend([measure.a.standard_error, measure.b.standard_error].map(number));
            fields.push(number(measure.difference));
            fields.extend(
                [
                    measure.interval.map(|interval| interval.low),
                    measure.interval.map(|interval| interval.high),
                ]
                .map(number),
            );
            fields.extend([measure.discordant.b, measure.discordant.c].map(|count| count.to_string()));
            fields.push(comparison.method.test.to_string());
            fields.extend([
                number(Some(measure.p_value)),
                number(measure.p_corrected),
                measure.marker.to_owned(),
            ]);
            fields.extend([
                number(row.least_difference),
                row.left_out.total().to_string(),
                comparison.scripted.to_string(),
            ]);
            writer.write_record(&fields)?;
        }
    }
    Ok(String::from_utf8(writer.into_inner()?)?)
}
