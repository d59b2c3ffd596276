//! The summary as a table for the terminal, Markdown, CSV or JSON.

use std::str::FromStr;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use super::summary::Summary;
use super::words::{either, number_of};
use super::{findings, retries, transitions};
use crate::plan::ContainmentKind;
use crate::trial::Usage;

/// How a report is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Table,
    Markdown,
    /// Not of counts.
    Latex,
    Csv,
    Json,
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "table" => Ok(Self::Table),
            "md" => Ok(Self::Markdown),
            "latex" => Ok(Self::Latex),
            "csv" => Ok(Self::Csv),
            "json" => Ok(Self::Json),
            _ => Err(format!(
                "unknown format `{text}`: expected table, md, latex, csv or json"
            )),
        }
    }
}

/// Printed wherever a number of a scripted model is.
pub(super) const SCRIPTED: &str =
    "SCRIPTED MODEL: these numbers check the plumbing and say nothing about any agent or model.";

/// Printed wherever agents could do what the user can.
pub(super) const NO_CONTAINMENT: &str = "NO CONTAINMENT: the agents of this run could read and write what their user can, other trials and hidden tests included.";

/// A table without rows, and what ends a paragraph below it.
pub(super) fn empty_table(format: Format) -> (Table, &'static str) {
    let (style, end) = match format {
        // What follows a table at once is a row of it, in Markdown; and a line is no paragraph.
        Format::Markdown => (presets::ASCII_MARKDOWN, "\n\n"),
        _ => (presets::UTF8_FULL_CONDENSED, "\n"),
    };
    let mut table = Table::new();
    table
        .load_style(style)
        .set_content_arrangement(ContentArrangement::Disabled);
    (table, end)
}

/// A name as a cell of a table holds it.
pub(super) fn in_cell(text: &str, format: Format) -> String {
    match format {
        Format::Markdown => text.replace('|', "\\|"),
        _ => text.to_owned(),
    }
}

/// The report as text, ending in a newline.
///
/// # Errors
/// There is no LaTeX of counts. Otherwise never for summaries that this program made; the encoders' own errors are passed on.
pub fn render(summary: &Summary, format: Format) -> anyhow::Result<String> {
    Ok(match format {
        Format::Table | Format::Markdown => people(
            summary,
            format,
            What {
                usage: true,
                retries: true,
            },
        ),
        Format::Latex => anyhow::bail!("the counts have no LaTeX form: choose another --layout"),
        Format::Csv => csv(std::slice::from_ref(summary))?,
        Format::Json => format!("{}\n", serde_json::to_string_pretty(summary)?),
    })
}

/// The same of several runs, one after the other; of JSON one list.
///
/// # Errors
/// As of one.
pub fn render_all(summaries: &[Summary], format: Format) -> anyhow::Result<String> {
    Ok(match (format, summaries) {
        (_, [summary]) => render(summary, format)?,
        (Format::Csv, _) => csv(summaries)?,
        (Format::Json, _) => format!("{}\n", serde_json::to_string_pretty(summaries)?),
        (Format::Table | Format::Markdown | Format::Latex, _) => {
            let of_run = |summary: &Summary| Ok(format!("{}\n\n{}", summary.run, render(summary, format)?));
            let texts: Vec<String> = summaries.iter().map(of_run).collect::<anyhow::Result<_>>()?;
            texts.join("\n")
        }
    })
}

const HEADINGS: [&str; 14] = [
    "scaffold",
    "model",
    "options",
    "interaction",
    "n",
    "C&S",
    "C&I",
    "incorrect",
    "contaminated",
    "infra",
    "missing",
    "tokens in/out",
    "cost",
    "time",
];

/// The counts alone, for the terminal: nothing in them depends on time, on the machine's load or on how often the run was
/// interrupted. `retries`: also how trials stood before feedback and after each retry.
pub fn render_counts(summary: &Summary, retries: bool) -> String {
    people(summary, Format::Table, What { usage: false, retries })
}

/// What of a summary is shown beside the counts.
#[derive(Clone, Copy)]
struct What {
    usage: bool,
    retries: bool,
}

/// Said where the retries are not.
const RETRIES_ELSEWHERE: &str = "Before feedback and after each retry: `mtsec-agents report --layout counts`.\n";

/// How many of the columns tell what was used, and not what was counted.
const OF_USAGE: usize = 3;

fn people(summary: &Summary, format: Format, what: What) -> String {
    let style = match format {
        Format::Markdown => presets::ASCII_MARKDOWN,
        _ => presets::UTF8_FULL_CONDENSED,
    };
    let name = |name: &str| in_cell(name, format);
    let (mut table, _) = empty_table(format);
    let columns = HEADINGS.len() - if what.usage { 0 } else { OF_USAGE };
    table.set_header(&HEADINGS[..columns]);
    for row in &summary.rows {
        let cells = [
            format!("{} {}", row.scaffold, row.version),
            name(&row.model),
            name(&row.options),
            row.interaction.to_string(),
            row.n.to_string(),
            row.with_percent(row.correct_secure),
            row.with_percent(row.correct_insecure),
            row.with_percent(row.incorrect),
            row.contaminated.to_string(),
            row.infrastructure_failures.to_string(),
            row.missing.to_string(),
            tokens(&row.usage),
            cost(&row.usage),
            duration(row.seconds),
        ];
        table.add_row(cells.into_iter().take(columns));
    }
    for column in table.column_iter_mut().skip(4) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let mut text = format!("{table}\n");
    if format == Format::Markdown {
        // What follows a table at once is a row of it.
        text.push('\n');
    }
    text.push_str("C&S: all correctness and all security tests pass; C&I: all correctness tests, not all security tests. Percent of n, the trials with a verdict that are not contaminated.\n");
    if summary.contaminated() > 0 {
        let judged: usize = summary.rows.iter().map(|row| row.judged).sum();
        text.push_str(&format!(
            "CONTAMINATED: in {} of {} with a verdict hidden tests or reference solutions reached the agent. They are neither right nor wrong answers: n leaves them out, and counts the other {}.\n",
            summary.contaminated(),
            number_of(judged, "trial"),
            judged - summary.contaminated()
        ));
    }
    text.push_str(&format!("Judged by {}.\n", summary.tester));
    if summary.skipped_rows > 0 {
        text.push_str(&format!(
            "{} rows without dynamic tests were skipped and are in no denominator.\n",
            summary.skipped_rows
        ));
    }
    let uncounted: u64 = summary.rows.iter().map(|row| row.usage.uncounted).sum();
    if uncounted > 0 && what.usage {
        text.push_str(&format!(
            "{} came back without a count of their tokens (or did not come back): tokens and cost lack theirs.\n",
            number_of(usize::try_from(uncounted).unwrap_or(usize::MAX), "call")
        ));
    }
    let failed = summary.infrastructure_failures();
    if failed > 0 {
        text.push_str(&format!(
            "{} ended in an infrastructure failure and {} in no denominator: `mtsec-agents resume --retry-infrastructure` runs {} again.\n",
            number_of(failed, "trial"),
            either(failed, "is", "are"),
            either(failed, "it", "them")
        ));
    }
    let by_budget: usize = summary.rows.iter().map(|row| row.budget_used_up).sum();
    if by_budget > 0 {
        text.push_str(&format!(
            "{} used up {} budget: what {} had by then was judged, and counts.\n",
            number_of(by_budget, "trial"),
            either(by_budget, "its", "their"),
            either(by_budget, "it", "they")
        ));
    }
    if let Some(replays) = &summary.replays {
        text.push_str(&format!(
            "REPLAY of {}: recorded answers were given again; tokens, cost and time are of this run only, and a recorded answer costs none.\n",
            replays.display()
        ));
    }
    let diverged = summary.diverged();
    if diverged > 0 {
        text.push_str(&format!(
            "{} left the record that {} and {} in no denominator.\n",
            number_of(diverged, "trial"),
            either(diverged, "it replays", "they replay"),
            either(diverged, "is", "are")
        ));
    }
    let missing = summary.missing();
    if missing > 0 {
        text.push_str(&format!(
            "{} {} no outcome yet: `mtsec-agents resume` finishes {}.\n",
            number_of(missing, "trial"),
            either(missing, "has", "have"),
            either(missing, "it", "them")
        ));
    }
    let blank = if format == Format::Markdown { "\n" } else { "" };
    let retries = retries::table(summary, style, name);
    if retries.is_some() && !what.retries {
        text.push_str(RETRIES_ELSEWHERE);
    }
    let more = [
        (retries.filter(|_| what.retries), retries::NOTE),
        (transitions::table(summary, style, name), transitions::NOTE),
        (findings::table(summary, style, name), findings::NOTE),
    ];
    for (table, note) in more {
        if let Some(table) = table {
            text.push_str(&format!("{blank}{table}\n{blank}{note}"));
        }
    }
    if !summary.warnings.is_empty() && what.usage {
        text.push_str(&format!(
            "{} warnings: `mtsec-agents report --json` lists them.\n",
            summary.warnings.len()
        ));
    }
    if summary.scripted {
        text.push_str(SCRIPTED);
        text.push('\n');
    }
    if summary.containment == ContainmentKind::None {
        text.push_str(NO_CONTAINMENT);
        text.push('\n');
    }
    text
}

fn csv(summaries: &[Summary]) -> anyhow::Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record([
        "run",
        "scaffold",
        "version",
        "model",
        "options",
        "cell",
        "interaction",
        "planned",
        "n",
        "correct_secure",
        "correct_insecure",
        "incorrect",
        "infrastructure_failures",
        "missing",
        "calls",
        "input_tokens",
        "output_tokens",
        "cost_usd",
        "seconds",
        "scripted",
        "uncounted_calls",
        "containment",
        "diverged",
        "budget_used_up",
        "judged",
        "contaminated",
    ])?;
    for (summary, row) in summaries
        .iter()
        .flat_map(|summary| summary.rows.iter().map(move |row| (summary, row)))
    {
        writer.write_record([
            summary.run.clone(),
            row.scaffold.clone(),
            row.version.clone(),
            row.model.clone(),
            row.options.clone(),
            row.cell.clone(),
            row.interaction.to_string(),
            row.planned.to_string(),
            row.n.to_string(),
            row.correct_secure.to_string(),
            row.correct_insecure.to_string(),
            row.incorrect.to_string(),
            row.infrastructure_failures.to_string(),
            row.missing.to_string(),
            row.usage.calls.to_string(),
            row.usage.input_tokens.to_string(),
            row.usage.output_tokens.to_string(),
            row.usage.cost.map(|cost| cost.to_string()).unwrap_or_default(),
            format!("{:.3}", row.seconds),
            summary.scripted.to_string(),
            row.usage.uncounted.to_string(),
            summary.containment.to_string(),
            row.diverged.to_string(),
            row.budget_used_up.to_string(),
            row.judged.to_string(),
            row.contaminated.to_string(),
        ])?;
    }
    Ok(String::from_utf8(writer.into_inner()?)?)
}

/// What was used, in one line.
pub fn used(usage: &Usage) -> String {
    format!("{} tokens in/out, {}", tokens(usage), cost(usage))
}

/// What is known of the tokens: a provider need not tell.
fn tokens(usage: &Usage) -> String {
    let known = format!("{}/{}", thousands(usage.input_tokens), thousands(usage.output_tokens));
    match usage.uncounted {
        0 => known,
        uncounted if uncounted >= usage.calls => "unknown".to_owned(),
        _ => format!("≥ {known}"),
    }
}

fn cost(usage: &Usage) -> String {
    match usage.cost {
        Some(cost) => format!("${cost:.4}"),
        None if usage.calls == 0 => "–".to_owned(),
        None => "unknown".to_owned(),
    }
}

/// A number of tokens, short.
pub fn thousands(count: u64) -> String {
    match count {
        0..=9_999 => count.to_string(),
        10_000..=9_999_999 => format!("{:.1}k", count as f64 / 1e3),
        _ => format!("{:.1}M", count as f64 / 1e6),
    }
}

fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        0..=59 => format!("{seconds:.1}s"),
        60..=3_599 => format!("{}m{:02}s", whole / 60, whole % 60),
        _ => format!("{}h{:02}m", whole / 3_600, whole % 3_600 / 60),
    }
}
