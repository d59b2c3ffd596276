//! A table of results for the terminal, Markdown, LaTeX, CSV or JSON.

use comfy_table::{CellAlignment, presets};

use super::{Entry, Line, ResultTable, Tested, Value, latex};
use crate::report::Format;
use crate::report::compare::{Notes, people as tests};
use crate::report::render::{empty_table, in_cell};
use crate::report::words::number_of;
use crate::verdict::Verdict;

/// The table as text, ending in a newline.
///
/// # Errors
/// Never for tables that this program made; the encoders' own errors are passed on.
pub fn render_table(table: &ResultTable, format: Format) -> anyhow::Result<String> {
    Ok(match format {
        Format::Table | Format::Markdown => people(table, format, Notes::Own),
        Format::Latex => latex::render(table),
        Format::Csv => csv(table)?,
        Format::Json => format!("{}\n", serde_json::to_string_pretty(table)?),
    })
}

/// The table for the terminal at the end of a run: of the tests only those whose sides differ anywhere.
pub fn render_brief(table: &ResultTable) -> String {
    let mut brief = table.clone();
    let all = measures(&brief);
    for row in &mut brief.tests.rows {
        row.measures.retain(|measure| measure.discordant.count() > 0);
    }
    brief.tests.rows.retain(|row| !row.measures.is_empty());
    let mut text = people(&brief, Format::Table, Notes::Brief);
    let alike = all - measures(&brief);
    if alike > 0 {
        text.push_str(&format!(
            "Not listed: {} with b = c = 0; `report` lists all, and the pairs that differ.\n",
            number_of(alike, "test")
        ));
    }
    text
}

/// How many tests there are.
fn measures(table: &ResultTable) -> usize {
    table.tests.rows.iter().map(|row| row.measures.len()).sum()
}

/// What is told below the numbers, whatever the format.
pub(super) fn notes(table: &ResultTable) -> Vec<String> {
    let mut notes = vec![
        "C&S and C&I in percent of n, the trials with a verdict that are not contaminated, ± Bernoulli's standard error."
            .to_owned(),
    ];
    let mut tested: Vec<(&str, Vec<&str>)> = Vec::new();
    for head in &table.columns {
        let Some(baseline) = head.baseline.as_deref() else {
            continue;
        };
        match tested.iter_mut().find(|(known, _)| *known == baseline) {
            Some((_, titles)) => titles.push(&head.title),
            None => tested.push((baseline, vec![&head.title])),
        }
    }
    if !tested.is_empty() {
        let told: Vec<String> = tested
            .iter()
            .map(|(baseline, titles)| format!("{baseline} for {}", titles.join(", ")))
            .collect();
        notes.push(format!(
            "In brackets: less the baseline's percentage, each of its own n. Baseline: {}.",
            told.join("; ")
        ));
        notes.push(format!(
            "Markers: two-sided McNemar test ({}{}) of the pairs with the baseline; * p < .05, ** p < .01, *** p < .001.",
            table.tests.method.test,
            if table.tests.method.holm { ", Holm" } else { "" },
        ));
    }
    if table.brittle {
        notes.push("MT − ST: mean of the three conversations less the single turn.".to_owned());
    }
    for line in &table.lines {
        for entry in &line.entries {
            if let Some(left_out) = entry.left_out.told() {
                let (line, column) = (line.name(&table.names, table.several_runs()), &entry.column);
                notes.push(format!("{line}, {column}: in no number: {left_out}."));
            }
        }
    }
    notes.extend(table.caveats.iter().cloned());
    notes
}

fn people(results: &ResultTable, format: Format, which: Notes) -> String {
    let name = |text: &str| in_cell(text, format);
    let (mut table, end) = empty_table(format);
    // A terminal is narrow: what a column has of a line stands in one cell, one below the other.
    let stacked = format == Format::Table;
    // What no line has a name for is left out.
    let told = |index: &usize| results.lines.iter().any(|line| !line.names[*index].is_empty());
    let told: Vec<usize> = (0..results.names.len()).filter(told).collect();
    let mut headings: Vec<String> = told.iter().map(|index| name(&results.names[*index])).collect();
    if results.several_runs() {
        headings.insert(0, "run".to_owned());
    }
    let mut names = headings.len();
    let mut rows: Vec<String> = results.shares.iter().map(ToString::to_string).collect();
    rows.push("n".to_owned());
    if stacked {
        table.load_style(presets::UTF8_FULL);
        headings.push(String::new());
        names += 1;
    }
    for head in &results.columns {
        match stacked {
            true => headings.push(head.title.clone()),
            false => headings.extend(rows.iter().map(|row| format!("{} {row}", name(&head.title)))),
        }
    }
    match (results.brittle, stacked) {
        (true, true) => headings.push("MT − ST".to_owned()),
        (true, false) => headings.extend(results.shares.iter().map(|share| format!("MT − ST {share}"))),
        (false, _) => {}
    }
    table.set_header(headings);
    for line in &results.lines {
        let mut cells: Vec<String> = told.iter().map(|index| name(&line.names[*index])).collect();
        if results.several_runs() {
            cells.insert(0, name(&line.run));
        }
        if stacked {
            cells.push(rows.join("\n"));
        }
        for head in &results.columns {
            let shown = shown(line.entry(&head.title), &results.shares);
            match stacked {
                true => cells.push(shown.join("\n")),
                false => cells.extend(shown),
            }
        }
        if results.brittle {
            let shown: Vec<String> = results
                .shares
                .iter()
                .map(|share| points(brittleness(line, *share)))
                .collect();
            match stacked {
                true => cells.push(shown.join("\n")),
                false => cells.extend(shown),
            }
        }
        table.add_row(cells);
    }
    for column in table.column_iter_mut().skip(names) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let mut text = String::new();
    if !results.caption.is_empty() {
        text.push_str(&format!("{}{end}", name(&results.caption)));
    }
    text.push_str(&format!("{table}{end}"));
    for note in notes(results) {
        text.push_str(&name(&note));
        text.push_str(end);
    }
    if !results.tests.rows.is_empty() {
        let tests = tests(&results.tests, format, which);
        text.push_str(&format!(
            "The tests behind the markers, baseline (A) against column (B):{end}{tests}"
        ));
    }
    text
}

pub(super) fn brittleness(line: &Line, verdict: Verdict) -> Option<f64> {
    match verdict {
        Verdict::CorrectSecure => line.brittleness_secure,
        Verdict::CorrectInsecure => line.brittleness_insecure,
        Verdict::Incorrect => None,
    }
}

/// The shares and n.
fn shown(entry: Option<&Entry>, shares: &[Verdict]) -> Vec<String> {
    let Some(entry) = entry else {
        return vec!["–".to_owned(); shares.len() + 1];
    };
    let mut shown: Vec<String> = shares
        .iter()
        .map(|share| entry.value(*share).map_or_else(|| "–".to_owned(), value))
        .collect();
    shown.push(entry.n.map_or_else(|| "not told".to_owned(), |n| n.to_string()));
    shown
}

fn value(value: &Value) -> String {
    let Some(percent) = value.percent else {
        return "–".to_owned();
    };
    let error = value.standard_error.map(|error| format!(" ± {error:.1}"));
    let delta = value.delta.map(|delta| format!(" ({})", signed(delta)));
    format!(
        "{percent:.1}{}{}{}",
        error.unwrap_or_default(),
        value.marker,
        delta.unwrap_or_default()
    )
}

fn points(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), signed)
}

/// With its sign; nothing is less than 0 that is printed as 0.
pub(in crate::report) fn signed(value: f64) -> String {
    let text = format!("{value:+.1}");
    match text.as_str() {
        "-0.0" => "+0.0".to_owned(),
        _ => text,
    }
}

fn csv(results: &ResultTable) -> anyhow::Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let mut headings = vec!["run".to_owned()];
    headings.extend(results.names.iter().cloned());
    let rest = [
        "cell",
        "column",
        "interaction",
        "n",
        "cs",
        "cs_se",
        "cs_marker",
        "cs_delta",
        "cs_pairs",
        "cs_b",
        "cs_c",
        "cs_p",
        "ci",
        "ci_se",
        "ci_marker",
        "ci_delta",
        "ci_pairs",
        "ci_b",
        "ci_c",
        "ci_p",
        "baseline",
        "left_out",
        "brittleness_cs",
        "brittleness_ci",
        "published",
        "scripted",
    ];
    headings.extend(rest.map(str::to_owned));
    writer.write_record(&headings)?;
    let number = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
    for line in &results.lines {
        for head in &results.columns {
            let Some(entry) = line.entry(&head.title) else { continue };
            let mut fields = vec![line.run.clone()];
            fields.extend(line.names.iter().cloned());
            fields.extend([
                entry.cell.clone().unwrap_or_default(),
                head.title.clone(),
                entry
                    .interaction
                    .map(|interaction| interaction.to_string())
                    .unwrap_or_default(),
                entry.n.map(|n| n.to_string()).unwrap_or_default(),
            ]);
            for value in [&entry.correct_secure, &entry.correct_insecure] {
                fields.extend([
                    number(value.percent),
                    number(value.standard_error),
                    value.marker.clone(),
                    number(value.delta),
                ]);
                let tested =
                    |told: fn(&Tested) -> Option<String>| value.tested.as_ref().and_then(told).unwrap_or_default();
                fields.extend([
                    tested(|test| Some(test.pairs.to_string())),
                    tested(|test| Some(test.discordant.b.to_string())),
                    tested(|test| Some(test.discordant.c.to_string())),
                    tested(|test| test.p_value.map(|p| p.to_string())),
                ]);
            }
            fields.extend([
                head.baseline.clone().unwrap_or_default(),
                entry.left_out.total().to_string(),
                number(line.brittleness_secure),
                number(line.brittleness_insecure),
                line.published.to_string(),
                (results.scripted && !line.published).to_string(),
            ]);
            writer.write_record(&fields)?;
        }
    }
    Ok(String::from_utf8(writer.into_inner()?)?)
}
