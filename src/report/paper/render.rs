//! The paper's layout for the terminal, Markdown, LaTeX, CSV or JSON.

use comfy_table::CellAlignment;

use super::{Entry, PaperTable, Value, latex};
use crate::report::Format;
use crate::report::compare::{Notes, people as tests};
use crate::report::render::{empty_table, in_cell};

/// The table as text, ending in a newline.
///
/// # Errors
/// Never for tables that this program made; the encoders' own errors are passed on.
pub fn render_paper(table: &PaperTable, format: Format) -> anyhow::Result<String> {
    Ok(match format {
        Format::Table | Format::Markdown => people(table, format),
        Format::Latex => latex::render(table),
        Format::Csv => csv(table)?,
        Format::Json => format!("{}\n", serde_json::to_string_pretty(table)?),
    })
}

/// What is told below the numbers, whatever the layout.
pub(super) fn notes(table: &PaperTable) -> Vec<String> {
    let mut notes = vec![format!(
        "C&S and C&I in percent of n, the trials with a verdict that are not contaminated, ± Bernoulli's standard error. MT − ST: mean of the three conversations less the single turn. Markers: two-sided McNemar test ({}{}) of the pairs with the single turn; * p < .05, ** p < .01, *** p < .001.",
        table.tests.method.test,
        if table.tests.method.holm { ", Holm" } else { "" },
    )];
    for line in &table.lines {
        for entry in &line.entries {
            if let Some(left_out) = entry.left_out.told() {
                let (line, interaction) = (line.name(table.several_runs()), entry.interaction);
                notes.push(format!("{line}, {interaction}: in no number: {left_out}."));
            }
        }
    }
    notes.extend(table.caveats.iter().cloned());
    notes
}

fn people(paper: &PaperTable, format: Format) -> String {
    let name = |text: &str| in_cell(text, format);
    let (mut table, end) = empty_table(format);
    let mut headings = vec!["scaffold".to_owned(), "model".to_owned(), "options".to_owned()];
    if paper.several_runs() {
        headings.insert(0, "run".to_owned());
    }
    let names = headings.len();
    for interaction in &paper.interactions {
        headings.extend([format!("{interaction} n"), "C&S".to_owned(), "C&I".to_owned()]);
    }
    headings.extend(["MT − ST, C&S", "C&I"].map(str::to_owned));
    table.set_header(headings);
    for line in &paper.lines {
        let mut cells = vec![name(&line.scaffold), name(&line.model), name(&line.options)];
        if paper.several_runs() {
            cells.insert(0, name(&line.run));
        }
        for interaction in &paper.interactions {
            cells.extend(match line.entry(*interaction) {
                Some(entry) => [
                    entry.n.to_string(),
                    value(&entry.correct_secure),
                    value(&entry.correct_insecure),
                ],
                None => ["–"; 3].map(str::to_owned),
            });
        }
        cells.extend([line.brittleness_secure, line.brittleness_insecure].map(points));
        table.add_row(cells);
    }
    for column in table.column_iter_mut().skip(names) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let mut text = format!("{table}{end}");
    for note in notes(paper) {
        text.push_str(&note);
        text.push_str(end);
    }
    if !paper.tests.rows.is_empty() {
        let tests = tests(&paper.tests, format, Notes::Own);
        text.push_str(&format!(
            "The tests behind the markers, single turn (A) against conversation (B):{end}{tests}"
        ));
    }
    text
}

fn value(value: &Value) -> String {
    match (value.share.percent, value.share.standard_error) {
        (Some(percent), Some(error)) => format!("{percent:.1} ± {error:.1}{}", value.marker),
        _ => "–".to_owned(),
    }
}

fn points(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:+.1}"))
}

fn csv(paper: &PaperTable) -> anyhow::Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record([
        "run",
        "scaffold",
        "model",
        "options",
        "cell",
        "interaction",
        "n",
        "cs",
        "cs_se",
        "cs_marker",
        "ci",
        "ci_se",
        "ci_marker",
        "brittleness_cs",
        "brittleness_ci",
        "scripted",
    ])?;
    let number = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
    for line in &paper.lines {
        for interaction in &paper.interactions {
            let Some(Entry {
                n,
                correct_secure,
                correct_insecure,
                ..
            }) = line.entry(*interaction)
            else {
                continue;
            };
            let mut fields = [&line.run, &line.scaffold, &line.model, &line.options, &line.cell]
                .map(Clone::clone)
                .to_vec();
            fields.extend([interaction.to_string(), n.to_string()]);
            for value in [correct_secure, correct_insecure] {
                fields.extend([
                    number(value.share.percent),
                    number(value.share.standard_error),
                    value.marker.to_owned(),
                ]);
            }
            fields.extend([
                number(line.brittleness_secure),
                number(line.brittleness_insecure),
                paper.scripted.to_string(),
            ]);
            writer.write_record(&fields)?;
        }
    }
    Ok(String::from_utf8(writer.into_inner()?)?)
}
