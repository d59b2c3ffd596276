//! The paper's layout as LaTeX: a `tabular` of booktabs, markers as superscripts, the best of each column of C&S in bold.

use super::render::notes;
use super::{Entry, PaperTable, Value};
use crate::report::compare::{SEVERAL_ATTEMPTS, title};

/// The table, ready for `\input`; it needs the package `booktabs`. What has to be told is in comments above it.
pub(super) fn render(paper: &PaperTable) -> String {
    let mut text = String::new();
    for note in notes(paper) {
        text.push_str(&format!("% {}\n", comment(&note)));
    }
    if paper.tests.rows.iter().any(|row| row.pairs > row.tasks) {
        text.push_str(&format!("% {SEVERAL_ATTEMPTS}\n"));
    }
    for row in &paper.tests.rows {
        for measure in &row.measures {
            let run = if paper.several_runs() {
                format!("{}, ", row.b.run)
            } else {
                String::new()
            };
            let p = measure.p_value.map_or_else(|| "none".to_owned(), |p| format!("{p:.4}"));
            text.push_str(&format!(
                "% {}, {}: b = {}, c = {}, pairs = {}, p = {p}{}\n",
                comment(&format!("{run}{}", title(row))),
                measure.verdict,
                measure.discordant.b,
                measure.discordant.c,
                row.pairs,
                measure
                    .p_corrected
                    .map(|p| format!(" ({p:.4} by Holm)"))
                    .unwrap_or_default(),
            ));
        }
    }
    let names = 2 + usize::from(paper.several_runs());
    let columns = "l".repeat(names) + &"rr".repeat(paper.interactions.len() + 1);
    text.push_str(&format!("\\begin{{tabular}}{{{columns}}}\n\\toprule\n"));
    text.push_str(&" & ".repeat(names - 1));
    for interaction in &paper.interactions {
        let ns: Vec<usize> = paper
            .lines
            .iter()
            .filter_map(|line| Some(line.entry(*interaction)?.n))
            .collect();
        let n = match (ns.iter().min(), ns.iter().max()) {
            (Some(least), Some(most)) if least != most => format!("$n$ = {least}--{most}"),
            (Some(n), _) => format!("$n = {n}$"),
            _ => "$n = 0$".to_owned(),
        };
        text.push_str(&format!(" & \\multicolumn{{2}}{{c}}{{{interaction} ({n})}}"));
    }
    text.push_str(" & \\multicolumn{2}{c}{MT $-$ ST} \\\\\n");
    for index in 0..=paper.interactions.len() {
        let first = names + 1 + 2 * index;
        text.push_str(&format!("\\cmidrule(lr){{{first}-{}}}", first + 1));
    }
    let heads: Vec<&str> = if names == 3 {
        vec!["Run", "Agent", "Options"]
    } else {
        vec!["Agent", "Options"]
    };
    text.push_str(&format!(
        "\n{}{} \\\\\n\\midrule\n",
        heads.join(" & "),
        " & C\\&S & C\\&I".repeat(paper.interactions.len() + 1)
    ));
    for line in &paper.lines {
        let mut cells = vec![
            escaped(&format!("{}, {}", line.scaffold, line.model)),
            escaped(&line.options),
        ];
        if names == 3 {
            cells.insert(0, escaped(&line.run));
        }
        for interaction in &paper.interactions {
            cells.extend(match line.entry(*interaction) {
                Some(entry) => {
                    let best = paper.lines.len() > 1 && is_best(paper, entry);
                    [
                        value(&entry.correct_secure, best),
                        value(&entry.correct_insecure, false),
                    ]
                }
                None => ["--", "--"].map(str::to_owned),
            });
        }
        cells.extend([line.brittleness_secure, line.brittleness_insecure].map(change));
        text.push_str(&format!("{} \\\\\n", cells.join(" & ")));
    }
    text.push_str("\\bottomrule\n\\end{tabular}\n");
    text
}

/// Whether no line has more C&S under this interaction.
fn is_best(paper: &PaperTable, entry: &Entry) -> bool {
    let percent = |entry: &Entry| entry.correct_secure.share.percent;
    let others = paper
        .lines
        .iter()
        .filter_map(|line| percent(line.entry(entry.interaction)?));
    percent(entry).is_some_and(|own| others.fold(f64::MIN, f64::max) <= own)
}

fn value(value: &Value, best: bool) -> String {
    let (Some(percent), Some(error)) = (value.share.percent, value.share.standard_error) else {
        return "--".to_owned();
    };
    let number = match best {
        true => format!("\\mathbf{{{percent:.1}}}"),
        false => format!("{percent:.1}"),
    };
    let marker = match value.marker {
        "" => String::new(),
        marker => format!("^{{{marker}}}"),
    };
    format!("${number} \\pm {error:.1}{marker}$")
}

/// A difference in percentage points.
fn change(points: Option<f64>) -> String {
    points.map_or_else(|| "--".to_owned(), |points| format!("${points:+.1}$"))
}

/// Text as LaTeX prints it: names come from the command line and from recipes.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for character in text.chars() {
        match character {
            '&' | '%' | '$' | '#' | '_' | '{' | '}' => escaped.extend(['\\', character]),
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
fn comment(text: &str) -> String {
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
