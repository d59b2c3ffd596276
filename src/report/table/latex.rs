//! A table of results as LaTeX: a `tabular` of booktabs, markers as superscripts, the best of each column of C&S in bold.

use super::render::{brittleness, notes, signed};
use super::{ResultTable, Value};
use crate::report::compare::{SEVERAL_ATTEMPTS, title};
use crate::verdict::Verdict;

/// The table, ready for `\input`; it needs the package `booktabs`. What has to be told is in comments above it.
pub(super) fn render(table: &ResultTable) -> String {
    let mut text = String::new();
    if !table.caption.is_empty() {
        text.push_str(&format!("% {}\n", comment(&table.caption)));
    }
    for note in notes(table) {
        text.push_str(&format!("% {}\n", comment(&note)));
    }
    text.push_str(&tests(table));
    let mut names = table.names.clone();
    if table.several_runs() {
        names.insert(0, "run".to_owned());
    }
    let wide = table.shares.len();
    let groups = table.columns.len() + usize::from(table.brittle);
    let columns = "l".repeat(names.len()) + &"r".repeat(wide).repeat(groups);
    text.push_str(&format!("\\begin{{tabular}}{{{columns}}}\n\\toprule\n"));
    let mut heads = Vec::new();
    for head in &table.columns {
        heads.push(format!(
            "{} ({})",
            escaped(&head.title),
            denominators(table, &head.title)
        ));
    }
    heads.extend(table.brittle.then(|| "MT $-$ ST".to_owned()));
    text.push_str(&" & ".repeat(names.len() - 1));
    for head in heads {
        text.push_str(&format!(" & \\multicolumn{{{wide}}}{{c}}{{{head}}}"));
    }
    text.push_str(" \\\\\n");
    for index in 0..groups {
        let first = names.len() + 1 + wide * index;
        text.push_str(&format!("\\cmidrule(lr){{{first}-{}}}", first + wide - 1));
    }
    let shares: String = table
        .shares
        .iter()
        .map(|share| format!(" & {}", escaped(&share.to_string())))
        .collect();
    let names: Vec<String> = names.iter().map(|name| escaped(name)).collect();
    text.push_str(&format!(
        "\n{}{} \\\\\n\\midrule\n",
        names.join(" & "),
        shares.repeat(groups)
    ));
    for line in &table.lines {
        let run = table.several_runs().then(|| escaped(&line.run));
        let mut cells: Vec<String> = run
            .into_iter()
            .chain(line.names.iter().map(|name| escaped(name)))
            .collect();
        for head in &table.columns {
            cells.extend(table.shares.iter().map(|share| match line.value(&head.title, *share) {
                Some(found) => value(
                    found,
                    *share == Verdict::CorrectSecure && is_best(table, &head.title, found),
                ),
                None => "--".to_owned(),
            }));
        }
        if table.brittle {
            cells.extend(table.shares.iter().map(|share| change(brittleness(line, *share))));
        }
        text.push_str(&format!("{} \\\\\n", cells.join(" & ")));
    }
    text.push_str("\\bottomrule\n\\end{tabular}\n");
    text
}

/// The tests behind the markers, as comments.
fn tests(table: &ResultTable) -> String {
    let mut text = String::new();
    if table.tests.rows.iter().any(|row| row.pairs > row.tasks) {
        text.push_str(&format!("% {SEVERAL_ATTEMPTS}\n"));
    }
    for row in &table.tests.rows {
        for measure in row
            .measures
            .iter()
            .filter(|measure| table.shares.contains(&measure.verdict))
        {
            let p = measure.p_value.map_or_else(|| "none".to_owned(), |p| format!("{p:.4}"));
            let corrected = measure.p_corrected.map(|p| format!(" ({p:.4} by Holm)"));
            text.push_str(&format!(
                "% {}, {}: b = {}, c = {}, pairs = {}, p = {p}{}\n",
                comment(&title(row)),
                measure.verdict,
                measure.discordant.b,
                measure.discordant.c,
                row.pairs,
                corrected.unwrap_or_default(),
            ));
        }
    }
    text
}

/// Of how many trials the percentages of a column are.
fn denominators(table: &ResultTable, column: &str) -> String {
    let ns = table.lines.iter().filter_map(|line| line.entry(column)?.n);
    match (ns.clone().min(), ns.max()) {
        (Some(least), Some(most)) if least != most => format!("$n$ = {least}--{most}"),
        (Some(n), _) => format!("$n = {n}$"),
        _ => "$n$ not told".to_owned(),
    }
}

/// Whether no line has more C&S in this column.
fn is_best(table: &ResultTable, column: &str, value: &Value) -> bool {
    let percent = |value: &Value| value.percent;
    let of_lines = table
        .lines
        .iter()
        .filter_map(|line| percent(line.value(column, Verdict::CorrectSecure)?));
    table.lines.len() > 1 && percent(value).is_some_and(|own| of_lines.fold(f64::MIN, f64::max) <= own)
}

fn value(value: &Value, best: bool) -> String {
    let Some(percent) = value.percent else {
        return "--".to_owned();
    };
    let number = match best {
        true => format!("\\mathbf{{{percent:.1}}}"),
        false => format!("{percent:.1}"),
    };
    let error = value.standard_error.map(|error| format!(" \\pm {error:.1}"));
    let marker = match value.marker.as_str() {
        "" => String::new(),
        marker => format!("^{{{marker}}}"),
    };
    let delta = value.delta.map(|delta| format!(" (${}$)", signed(delta)));
    format!(
        "${number}{}{marker}${}",
        error.unwrap_or_default(),
        delta.unwrap_or_default()
    )
}

/// A difference in percentage points.
fn change(points: Option<f64>) -> String {
    points.map_or_else(|| "--".to_owned(), |points| format!("${}$", signed(points)))
}

/// Text as LaTeX prints it: names come from the command line and from recipes.
pub(in crate::report) fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for character in text.chars() {
        match character {
            '&' | '%' | '$' | '#' | '_' | '{' | '}' => escaped.extend(['\\', character]),
            '−' => escaped.push_str("$-$"),
            '~' => escaped.push_str("\\textasciitilde{}"),
            '^' => escaped.push_str("\\textasciicircum{}"),
            '\\' => escaped.push_str("\\textbackslash{}"),
            character if character.is_control() => escaped.push(' '),
            character => escaped.push(character),
        }
    }
    escaped
}

/// Within a comment only the end of the line matters.
pub(in crate::report) fn comment(text: &str) -> String {
    text.chars()
        .map(|character| if character.is_control() { ' ' } else { character })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_is_a_command() {
        assert_eq!(
            escaped("a_b & 5 %\n\\input{x}~^"),
            "a\\_b \\& 5 \\% \\textbackslash{}input\\{x\\}\\textasciitilde{}\\textasciicircum{}"
        );
    }
}
