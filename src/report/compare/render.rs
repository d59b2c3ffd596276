//! A comparison as a table for the terminal, Markdown, CSV or JSON.

use comfy_table::CellAlignment;

use super::choice::Dimension;
use super::notes::{Notes, lists, notes, title};
use super::{Comparison, Measure, Share};
use crate::report::Format;
use crate::report::render::{empty_table, in_cell};
use crate::stats::Interval;

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
            cells.push(p_value(measure));
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
    let lists = match which {
        Notes::Brief => Vec::new(),
        Notes::All | Notes::Own => lists(comparison),
    };
    for line in notes(comparison, which).into_iter().chain(lists) {
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

fn p_value(measure: &Measure) -> String {
    match measure.p_corrected.or(measure.p_value) {
        None => "–".to_owned(),
        Some(p) if p < 0.0001 => format!("<0.0001{}", measure.marker),
        Some(p) => format!("{p:.4}{}", measure.marker),
    }
}

fn csv(comparison: &Comparison) -> anyhow::Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let mut headings: Vec<String> = Vec::new();
    for side in ["a", "b"] {
        headings.extend(
            Dimension::TOLD
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
                    Dimension::TOLD
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
                number(measure.p_value),
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
