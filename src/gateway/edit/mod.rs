//! Edits as a model writes them for Aider, in each of its formats.
//!
//! Aider 0.82.1 finds the place of an edit by text alone, so every edit is tried here by the same rules before it is
//! given out: small hunks first, then larger ones, then the whole file as one hunk. What no form can carry is an error.
//! The rules are those of Aider's `editblock_coder.py`, `udiff_coder.py`, `search_replace.py` and `wholefile_coder.py`.

mod diff;
mod udiff;
mod whole;

use std::ops::Range;

use similar::{Algorithm, DiffOp, capture_diff_slices, group_diff_ops};

use crate::plan::EditFormat;

/// Lines of context around the changes of a hunk: what is tried, one after the other, before the whole file.
const CONTEXTS: [usize; 4] = [3, 6, 12, 25];

/// What opens and closes a listing in a chat; Aider chooses the first whose lines occur in no file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fence {
    pub open: String,
    pub close: String,
}

impl Fence {
    /// Aider's fences, in its order of preference.
    pub fn all() -> Vec<Fence> {
        let marks = ["```", "````"].map(|mark| Fence {
            open: mark.to_owned(),
            close: mark.to_owned(),
        });
        let names = ["source", "code", "pre", "codeblock", "sourcecode"];
        let tags = names.map(|name| Fence {
            open: format!("<{name}>"),
            close: format!("</{name}>"),
        });
        marks.into_iter().chain(tags).collect()
    }

    /// The fence that Aider chooses for a chat about a file of this content.
    pub fn for_content(content: &str) -> Fence {
        let all = Self::all();
        let free = all
            .iter()
            .find(|fence| !python_lines(content).any(|line| fence.starts(line)));
        free.or(all.first()).cloned().unwrap_or(Fence {
            open: "```".to_owned(),
            close: "```".to_owned(),
        })
    }

    /// Whether the line opens or closes a listing.
    pub fn starts(&self, line: &str) -> bool {
        line.starts_with(&self.open) || line.starts_with(&self.close)
    }
}

/// The format cannot say this edit so that Aider applies it exactly.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    #[error("Aider takes an edit that leaves a file empty for a failed one")]
    Empty,
    #[error("in the {format} format line {line} would be taken for the end of the edit: {text}")]
    Delimiter {
        format: EditFormat,
        line: usize,
        text: String,
    },
    #[error("the {format} format cannot carry the line breaks of this text")]
    LineBreaks { format: EditFormat },
    #[error("a fence cannot hold this text, whose line {line} would end it")]
    Fence { line: usize },
}

/// The edit that turns `before` into `after` (both [`normalize`]d, `after` not empty), as a model writes it.
pub fn write(format: EditFormat, file: &str, before: &str, after: &str, fence: &Fence) -> Result<String, EditError> {
    if after.is_empty() {
        return Err(EditError::Empty);
    }
    match format {
        EditFormat::Diff => diff::write(file, before, after, fence),
        EditFormat::Udiff => udiff::write(file, before, after),
        EditFormat::Whole => whole::write(file, after, fence),
    }
}

/// Replacements that, made in order, turn `before` into `after`: what is replaced occurs exactly once in the text at that
/// moment, or is the whole of it.
pub fn replacements(before: &str, after: &str) -> Vec<(String, String)> {
    let lines = |text| str::split_inclusive(text, '\n').collect::<Vec<&str>>();
    let (old, new) = (lines(before), lines(after));
    for context in CONTEXTS {
        let found = hunks(&old, &new, context)
            .into_iter()
            .map(|hunk| (old[hunk.old].concat(), new[hunk.new].concat()));
        let found: Vec<(String, String)> = found.collect();
        let mut text = before.to_owned();
        let fits = found.iter().all(|(search, replace)| {
            let once = !search.is_empty() && text.matches(search.as_str()).count() == 1;
            text = text.replacen(search.as_str(), replace, 1);
            once
        });
        if fits && text == after {
            return found;
        }
    }
    vec![(before.to_owned(), after.to_owned())]
}

/// A text as an edit can leave it: line feeds only, exactly one at the end (nothing but white space becomes nothing).
/// Aider's udiff turns added lines of nothing but white space into empty ones, so they are emptied for it here.
pub fn normalize(text: &str, format: EditFormat) -> String {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let blank = |line: &str| line.chars().all(is_space);
    if blank(&text) {
        return String::new();
    }
    let mut clean = match format {
        EditFormat::Udiff => text
            .split('\n')
            .map(|line| if blank(line) { "" } else { line })
            .collect::<Vec<_>>()
            .join("\n"),
        EditFormat::Diff | EditFormat::Whole => text,
    };
    clean.truncate(clean.trim_end_matches('\n').len());
    clean.push('\n');
    clean
}

/// Python's `str.isspace`.
fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\x1c'..='\x1f').contains(&c)
}

/// Python's `str.strip`.
fn strip(text: &str) -> &str {
    text.trim_matches(is_space)
}

/// Python's `str.splitlines(keepends=True)`, which knows more line breaks than the line feed.
pub fn python_lines(text: &str) -> impl Iterator<Item = &str> {
    let ends = |c| {
        matches!(
            c,
            '\n' | '\r' | '\x0b' | '\x0c' | '\x1c'..='\x1e' | '\u{85}' | '\u{2028}' | '\u{2029}'
        )
    };
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = rest
            .char_indices()
            .find(|(_, c)| ends(*c))
            .map_or(rest.len(), |(at, c)| {
                let both = c == '\r' && rest[at + 1..].starts_with('\n');
                at + c.len_utf8() + usize::from(both)
            });
        let (line, tail) = rest.split_at(end);
        rest = tail;
        Some(line)
    })
}

/// One place where two texts differ, with context: line numbers in the old and the new text.
struct Hunk {
    ops: Vec<DiffOp>,
    old: Range<usize>,
    new: Range<usize>,
}

/// The hunks between two texts, in order.
fn hunks(old: &[&str], new: &[&str], context: usize) -> Vec<Hunk> {
    let ops = capture_diff_slices(Algorithm::Myers, old, new);
    let groups = group_diff_ops(ops, context).into_iter();
    groups
        .filter_map(|ops| {
            let (first, last) = (ops.first()?, ops.last()?);
            let old = first.old_range().start..last.old_range().end;
            let new = first.new_range().start..last.new_range().end;
            Some(Hunk { ops, old, new })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_where_python_ends_them() {
        let lines: Vec<&str> = python_lines("a\r\nb\rc\x0cd\u{2028}\n\ne").collect();
        assert_eq!(lines, ["a\r\n", "b\r", "c\x0c", "d\u{2028}", "\n", "\n", "e"]);
    }

    #[test]
    fn normal_texts_end_in_one_line_feed() {
        assert_eq!(normalize("a\r\n  \nb\n\n\n", EditFormat::Diff), "a\n  \nb\n");
        assert_eq!(normalize("a\r\n  \nb", EditFormat::Udiff), "a\n\nb\n");
        assert_eq!(normalize(" \n\t\n", EditFormat::Whole), "");
    }

    #[test]
    fn the_fence_is_the_first_that_no_line_starts_with() {
        assert_eq!(Fence::for_content("x = '```'\n").open, "```");
        assert_eq!(Fence::for_content("\"\"\"\n```\n\"\"\"\n").open, "````");
        assert_eq!(Fence::for_content("````\n").open, "<source>");
    }
}
