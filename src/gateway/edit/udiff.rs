//! Unified diffs in Aider's dialect: hunks are found by their text, line numbers play no part.

use similar::DiffOp;

use super::{CONTEXTS, EditError, hunks, is_space, python_lines};
use crate::plan::EditFormat;

/// One hunk: lines with their sign.
type Signed<'a> = Vec<(char, &'a str)>;

pub(super) fn write(file: &str, before: &str, after: &str) -> Result<String, EditError> {
    let old: Vec<&str> = python_lines(before).collect();
    let new: Vec<&str> = python_lines(after).collect();
    for context in CONTEXTS {
        let signed: Vec<Signed> = hunks(&old, &new, context)
            .iter()
            .map(|hunk| sign(&hunk.ops, &old, &new))
            .collect();
        if applies(&signed, before, after) {
            return Ok(render(&signed, file));
        }
    }
    let removed = old.iter().map(|line| ('-', *line));
    let whole = vec![removed.chain(new.iter().map(|line| ('+', *line))).collect()];
    if applies(&whole, before, after) {
        return Ok(render(&whole, file));
    }
    let format = EditFormat::Udiff;
    Err(match new.iter().position(|line| line.starts_with("++ ")) {
        Some(index) => EditError::Delimiter {
            format,
            line: index + 1,
            text: new[index].trim_end().to_owned(),
        },
        None => EditError::LineBreaks { format },
    })
}

fn sign<'a>(ops: &[DiffOp], old: &[&'a str], new: &[&'a str]) -> Signed<'a> {
    let mut lines = Vec::new();
    for op in ops {
        if let DiffOp::Equal { .. } = op {
            lines.extend(old[op.old_range()].iter().map(|line| (' ', *line)));
        } else {
            lines.extend(old[op.old_range()].iter().map(|line| ('-', *line)));
            lines.extend(new[op.new_range()].iter().map(|line| ('+', *line)));
        }
    }
    lines
}

fn render(hunks: &[Signed], file: &str) -> String {
    let mut text = format!("```diff\n--- {file}\n+++ {file}\n");
    for hunk in hunks {
        text.push_str("@@ ... @@\n");
        for (sign, line) in hunk {
            text.push(*sign);
            text.push_str(line);
        }
    }
    text.push_str("```\n");
    text
}

/// Whether Aider, applying the hunks in order, arrives at `after`.
fn applies(hunks: &[Signed], before: &str, after: &str) -> bool {
    let mut content = before.to_owned();
    for (index, hunk) in hunks.iter().enumerate() {
        // `--- x` followed by `+++ y` would start another file, and Aider fails on a hunk that begins with `+++ y`.
        let starts = |line: Option<&(char, &str)>, mark: char| {
            line.is_some_and(|(sign, line)| *sign == mark && line.starts_with(&format!("{mark}{mark} ")))
        };
        let header = starts(hunk.first(), '+')
            || hunk
                .windows(2)
                .any(|pair| starts(pair.first(), '-') && starts(pair.last(), '+'));
        let unended = hunk.last().is_some_and(|(_, line)| !line.ends_with('\n'));
        if header || unended || hunks[..index].contains(hunk) {
            return false;
        }
        let side = |sign: char| {
            hunk.iter()
                .filter(|line| line.0 != sign)
                .map(|line| blanked(line.1))
                .collect::<String>()
        };
        let (search, replace) = (side('+'), side('-'));
        content = if search.chars().all(is_space) {
            content + &replace
        } else if content.matches(&search).count() == 1 {
            content.replace(&search, &replace)
        } else {
            return false;
        };
    }
    content == after
}

/// Aider's `cleanup_pure_whitespace_lines`: of such a line only its end is left.
fn blanked(line: &str) -> &str {
    match line.chars().all(is_space) && line.ends_with('\n') {
        true => "\n",
        false => line,
    }
}
