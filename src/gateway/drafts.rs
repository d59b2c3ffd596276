//! Plausible states of a file on its way to a reference solution, for the scripted models.
//!
//! Text only: Python is scanned for strings, comments and brackets, and never run.

/// The file after each of `turns` turns, the last being `reference`.
///
/// Hand-written `drafts` come first, as many as there are turns before the last. For the others a state is derived: the
/// reference with the body of its top-level `function` replaced by a docstring that names the turn, and a
/// `NotImplementedError`; everything around the function is kept, so that a linter finds no undefined name. Where the
/// reference has no such function, the state is a comment.
pub fn derive_states(turns: usize, drafts: Option<&[String]>, reference: &str, function: &str) -> Vec<String> {
    let before_last = turns.saturating_sub(1);
    let written = drafts.unwrap_or_default().iter().take(before_last).cloned();
    let mut states: Vec<String> = written.collect();
    let reference_text = reference.replace("\r\n", "\n").replace('\r', "\n");
    let place = find(&reference_text, function);
    for turn in states.len() + 1..=before_last {
        states.push(match &place {
            Some(place) => stub(&reference_text, place, turn, turns),
            None => {
                let name: String = function.chars().filter(|c| !c.is_control()).collect();
                format!("# Draft after turn {turn} of {turns}: {name} is still to be written.\n")
            }
        });
    }
    if turns > 0 {
        states.push(reference.to_owned());
    }
    states
}

/// Byte offsets: the signature up to and including its colon, and the end of the body.
struct Place {
    signature_end: usize,
    body_end: usize,
}

fn stub(text: &str, place: &Place, turn: usize, turns: usize) -> String {
    let (head, tail) = (
        &text[..place.signature_end],
        text[place.body_end..].trim_start_matches('\n'),
    );
    let gap = if tail.is_empty() { "" } else { "\n\n" };
    format!(
        "{head}\n    \"\"\"Draft after turn {turn} of {turns}.\"\"\"\n    \
         raise NotImplementedError(\"draft after turn {turn} of {turns}\")\n{gap}{tail}"
    )
}

/// The last top-level definition of the function: the one that a caller of the module gets.
fn find(text: &str, function: &str) -> Option<Place> {
    let lines = scan(text);
    let is_top = |line: &Line| line.fresh && text[line.start..].starts_with(|c: char| !c.is_whitespace() && c != '#');
    let (index, _) = lines
        .iter()
        .enumerate()
        .rfind(|(_, line)| is_top(line) && defines(&text[line.start..], function))?;
    let signature_end = lines[index..].iter().find_map(|line| line.colon)?;
    let next = lines[index + 1..]
        .iter()
        .find(|next| is_top(next) && next.start > signature_end);
    Some(Place {
        signature_end,
        body_end: next.map_or(text.len(), |next| comments_before(text, next.start)),
    })
}

/// The start of the top-level comment lines directly above an offset.
fn comments_before(text: &str, mut at: usize) -> usize {
    while let Some(start) = text[..at]
        .strip_suffix('\n')
        .map(|above| above.rfind('\n').map_or(0, |end| end + 1))
    {
        if !text[start..at].starts_with('#') {
            break;
        }
        at = start;
    }
    at
}

/// Whether the text starts with `[async ]def function` and what follows a name there.
fn defines(text: &str, function: &str) -> bool {
    let blank = [' ', '\t'];
    let rest = match text.strip_prefix("async") {
        Some(rest) if rest.starts_with(blank) => rest.trim_start_matches(blank),
        _ => text,
    };
    let Some(rest) = rest.strip_prefix("def").filter(|rest| rest.starts_with(blank)) else {
        return false;
    };
    let rest = rest
        .trim_start_matches(blank)
        .strip_prefix(function)
        .unwrap_or_default();
    rest.trim_start_matches(blank).starts_with(['(', '['])
}

/// A physical line.
struct Line {
    start: usize,
    /// It begins a statement: not inside a string, brackets or a continued line.
    fresh: bool,
    /// Just behind its first colon outside of strings, comments and brackets.
    colon: Option<usize>,
}

/// Finds the lines of a Python text and what they begin in.
fn scan(text: &str) -> Vec<Line> {
    let bytes = text.as_bytes();
    let mut lines = vec![Line {
        start: 0,
        fresh: true,
        colon: None,
    }];
    let (mut at, mut depth, mut string): (usize, usize, Option<(u8, usize)>) = (0, 0, None);
    while at < bytes.len() {
        let byte = bytes[at];
        let mut continued = false;
        match string {
            Some((quote, length)) => match byte {
                b'\\' => {
                    // The escaped byte may end a line, which must still be seen.
                    continued = bytes.get(at + 1) == Some(&b'\n');
                    at += 1;
                }
                _ if byte == quote
                    && bytes[at..].iter().take(length).filter(|other| **other == quote).count() == length =>
                {
                    string = None;
                    at += length - 1;
                }
                b'\n' if length == 1 => string = None,
                _ => {}
            },
            None => match byte {
                b'\'' | b'"' => {
                    let triple = bytes[at..].starts_with(&[byte; 3]);
                    string = Some((byte, if triple { 3 } else { 1 }));
                    at += if triple { 2 } else { 0 };
                }
                b'#' => at += bytes[at..].iter().take_while(|byte| **byte != b'\n').count() - 1,
                b'(' | b'[' | b'{' => depth += 1,
                b')' | b']' | b'}' => depth = depth.saturating_sub(1),
                b'\\' if bytes.get(at + 1) == Some(&b'\n') => {
                    continued = true;
                    at += 1;
                }
                b':' if depth == 0 => {
                    if let Some(line) = lines.last_mut() {
                        line.colon = line.colon.or(Some(at + 1));
                    }
                }
                _ => {}
            },
        }
        if bytes.get(at) == Some(&b'\n') {
            lines.push(Line {
                start: at + 1,
                fresh: !continued && string.is_none() && depth == 0,
                colon: None,
            });
        }
        at += 1;
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFERENCE: &str = r#"import os

TRAP = """
def target(x):
    return "not me: {"
"""


def helper(value):
    return os.path.join(value, ")")


@staticmethod
async def target(
    a: dict[str, int] = {"x": 1},  # a comment: with ( in it
    b=lambda: ":",
) -> dict[str, int]:
    """Docs.

at column zero
"""
    text = 'it\'s'
    return a


# About later.
def later():
    return helper("b")
"#;

    #[test]
    fn derived_states_keep_everything_around_the_function() {
        let states = derive_states(3, None, REFERENCE, "target");
        assert_eq!(states.len(), 3);
        assert_eq!(states[2], REFERENCE);
        assert_ne!(states[0], states[1]);
        let (head, tail) = REFERENCE.split_once("    \"\"\"Docs.").expect("the body");
        let tail = &tail[tail.find("# About later.").expect("the tail")..];
        assert!(
            states[0].starts_with(head) && states[0].ends_with(&format!("\n\n\n{tail}")),
            "{}",
            states[0]
        );
        assert!(states[0].contains("NotImplementedError") && !states[0].contains("it\\'s"));
    }

    #[test]
    fn odd_references_still_give_states() {
        let states = derive_states(2, None, "def f(x): return x\n", "f");
        assert!(states[0].starts_with("def f(x):\n    \"\"\"Draft"), "{}", states[0]);
        let states = derive_states(3, None, "x = 1\n", "f");
        assert!(states[0].starts_with('#') && states[0] != states[1]);
        for text in [
            "",
            "def f",
            "def f(",
            "def f(x",
            "'''",
            "\\",
            "def f(x):\\\n",
            "é'\"",
            "#",
        ] {
            assert_eq!(derive_states(3, None, text, "f").len(), 3);
        }
        assert_eq!(derive_states(1, None, "x\n", "f"), ["x\n"]);
    }

    #[test]
    fn hand_written_drafts_come_first() {
        let drafts = ["one\n".to_owned()];
        let states = derive_states(3, Some(&drafts), "def f():\n    pass\n", "f");
        assert_eq!(states[0], "one\n");
        assert!(states[1].contains("turn 2 of 3"));
    }
}
