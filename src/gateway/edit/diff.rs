//! SEARCH/REPLACE blocks.

use super::{CONTEXTS, EditError, Fence, hunks, is_space, python_lines, strip};
use crate::plan::EditFormat;

/// One block: the lines to find and the lines to put there.
struct Block {
    search: String,
    replace: String,
}

pub(super) fn write(file: &str, before: &str, after: &str, fence: &Fence) -> Result<String, EditError> {
    let old: Vec<&str> = python_lines(before).collect();
    let new: Vec<&str> = python_lines(after).collect();
    for context in CONTEXTS {
        let blocks = hunks(&old, &new, context).into_iter().map(|hunk| Block {
            search: old[hunk.old].concat(),
            replace: new[hunk.new].concat(),
        });
        let blocks: Vec<Block> = blocks.collect();
        if applies(&blocks, before, after, file, fence) {
            return Ok(render(&blocks, file, fence));
        }
    }
    // Aider drops a first line that looks like the file's name: one more of it protects the real one.
    for guard in ["", file] {
        let guard = if guard.is_empty() {
            String::new()
        } else {
            format!("{guard}\n")
        };
        let search = if before.is_empty() {
            String::new()
        } else {
            format!("{guard}{before}")
        };
        let whole = [Block {
            search,
            replace: format!("{guard}{after}"),
        }];
        if applies(&whole, before, after, file, fence) {
            return Ok(render(&whole, file, fence));
        }
    }
    let format = EditFormat::Diff;
    let found = python_lines(after)
        .enumerate()
        .find(|(_, line)| divides(line) || closes(line));
    let found = found.or_else(|| python_lines(before).enumerate().find(|(_, line)| divides(line)));
    Err(match found {
        Some((index, text)) => EditError::Delimiter {
            format,
            line: index + 1,
            text: text.trim_end().to_owned(),
        },
        None => EditError::LineBreaks { format },
    })
}

fn render(blocks: &[Block], file: &str, fence: &Fence) -> String {
    let mut text = String::new();
    for Block { search, replace } in blocks {
        let Fence { open, close } = fence;
        text.push_str(&format!(
            "{file}\n{open}python\n<<<<<<< SEARCH\n{search}=======\n{replace}>>>>>>> REPLACE\n{close}\n\n"
        ));
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

/// Whether the line ends the SEARCH part, or the REPLACE part: `^={5,9}\s*$`.
fn divides(line: &str) -> bool {
    let line = strip(line);
    (5..=9).contains(&line.len()) && line.bytes().all(|byte| byte == b'=')
}

/// Whether the line ends the REPLACE part: `^>{5,9} REPLACE\s*$`.
fn closes(line: &str) -> bool {
    let marks = strip(line).strip_suffix(" REPLACE").unwrap_or_default();
    (5..=9).contains(&marks.len()) && marks.bytes().all(|byte| byte == b'>')
}

/// Whether Aider, applying the blocks in order, arrives at `after`.
fn applies(blocks: &[Block], before: &str, after: &str, file: &str, fence: &Fence) -> bool {
    let mut content = before.to_owned();
    for Block { search, replace } in blocks {
        let ended = [search, replace]
            .iter()
            .all(|part| part.is_empty() || part.ends_with('\n'));
        if !ended
            || python_lines(search).any(divides)
            || python_lines(replace).any(|line| divides(line) || closes(line))
        {
            return false;
        }
        let unwrapped = unwrap(search, file, fence).zip(unwrap(replace, file, fence));
        match unwrapped.and_then(|(search, replace)| apply(&content, &search, &replace)) {
            Some(next) => content = next,
            None => return false,
        }
    }
    content == after
}

/// Aider's `strip_quoted_wrapping`: drops a first line that ends with the file's name and fences around the rest, and
/// turns every line break into a line feed. `None`: Aider fails, because nothing is left behind the name.
fn unwrap(part: &str, file: &str, fence: &Fence) -> Option<String> {
    if part.is_empty() {
        return Some(String::new());
    }
    let ends = |c: char| {
        matches!(
            c,
            '\n' | '\x0b' | '\x0c' | '\x1c'..='\x1e' | '\u{85}' | '\u{2028}' | '\u{2029}'
        )
    };
    let mut lines: Vec<&str> = python_lines(part)
        .map(|line| line.strip_suffix(ends).unwrap_or(line))
        .collect();
    if lines.first().is_some_and(|line| strip(line).ends_with(file)) {
        lines.remove(0);
    }
    let (first, last) = (lines.first()?, lines.last()?);
    if first.starts_with(&fence.open) && last.starts_with(&fence.close) {
        lines = lines.get(1..lines.len().saturating_sub(1)).unwrap_or_default().to_vec();
    }
    let mut text = lines.join("\n");
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    Some(text)
}

/// Aider's `do_replace`, without its guesses: a search for nothing appends, any other replaces the first place.
fn apply(content: &str, search: &str, replace: &str) -> Option<String> {
    if search.chars().all(is_space) {
        return Some(format!("{content}{replace}"));
    }
    let lines: Vec<&str> = python_lines(content).collect();
    let wanted: Vec<&str> = python_lines(search).collect();
    let at = lines.windows(wanted.len()).position(|window| window == wanted)?;
    let result = [&lines[..at].concat(), replace, &lines[at + wanted.len()..].concat()].concat();
    (!result.is_empty()).then_some(result)
}
