//! Applies the differences that a model gives to the program so far.
//!
//! Models count lines badly, so that a hunk's place is found by its text: where its header says, or else where alone it
//! fits. One hunk that does not apply leaves the whole answer undone.

/// Why differences do not apply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ChangeError {
    #[error("the answer holds no differences: no line starts with `@@`")]
    None,
    #[error("line {line} of the differences starts with neither a space, `+` nor `-`: {text}")]
    Line { line: usize, text: String },
    #[error("hunk {hunk} fits nowhere in the program")]
    Nowhere { hunk: usize },
    #[error("hunk {hunk} fits in {places} places of the program")]
    Ambiguous { hunk: usize, places: usize },
}

/// One place of change.
#[derive(Debug, Default)]
struct Hunk<'a> {
    /// Line of the old text by the header, from 1.
    start: Option<usize>,
    old: Vec<&'a str>,
    new: Vec<&'a str>,
}

/// The program with the differences applied.
///
/// # Errors
/// They are none, or do not fit.
pub(super) fn apply(program: &str, differences: &str) -> Result<String, ChangeError> {
    let hunks = parse(differences)?;
    let mut lines: Vec<&str> = program.lines().collect();
    let mut shift = 0isize;
    for (index, hunk) in hunks.iter().enumerate() {
        let at = place(&lines, hunk, shift, index + 1)?;
        lines.splice(at..at + hunk.old.len(), hunk.new.iter().copied());
        shift += hunk.new.len() as isize - hunk.old.len() as isize;
    }
    Ok(lines.iter().map(|line| format!("{line}\n")).collect())
}

fn place(lines: &[&str], hunk: &Hunk, shift: isize, number: usize) -> Result<usize, ChangeError> {
    let told = hunk
        .start
        .map(|start| start.saturating_sub(1).saturating_add_signed(shift));
    if hunk.old.is_empty() {
        // Of an insertion without context the header counts the line before it.
        let after = hunk.start.map(|start| start.saturating_add_signed(shift));
        let end = if lines.is_empty() { Some(0) } else { None };
        let at = end.or(after.filter(|at| *at <= lines.len()));
        return at.ok_or(ChangeError::Nowhere { hunk: number });
    }
    let fits = lines
        .windows(hunk.old.len())
        .enumerate()
        .filter(|(_, window)| *window == hunk.old);
    let places: Vec<usize> = fits.map(|(at, _)| at).collect();
    match places.as_slice() {
        [] => Err(ChangeError::Nowhere { hunk: number }),
        [at] => Ok(*at),
        places => told.filter(|at| places.contains(at)).ok_or(ChangeError::Ambiguous {
            hunk: number,
            places: places.len(),
        }),
    }
}

fn parse(text: &str) -> Result<Vec<Hunk<'_>>, ChangeError> {
    let mut hunks: Vec<Hunk> = Vec::new();
    let lines: Vec<&str> = text.lines().collect();
    for (index, line) in lines.iter().enumerate() {
        if line.starts_with("@@") {
            let start = line.split_once('-').and_then(|(_, rest)| {
                let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
                digits.parse().ok()
            });
            hunks.push(Hunk {
                start,
                ..Hunk::default()
            });
            continue;
        }
        let Some(hunk) = hunks.last_mut() else {
            continue;
        };
        let rest = line.get(1..).unwrap_or_default();
        match line.as_bytes().first() {
            // An editor has taken the space away from an empty line of context.
            None => {
                hunk.old.push("");
                hunk.new.push("");
            }
            Some(b' ') => {
                hunk.old.push(rest);
                hunk.new.push(rest);
            }
            Some(b'-') => hunk.old.push(rest),
            Some(b'+') => hunk.new.push(rest),
            Some(b'\\') => {}
            Some(_) => {
                return Err(ChangeError::Line {
                    line: index + 1,
                    text: line.chars().take(80).collect(),
                });
            }
        }
    }
    match hunks.is_empty() {
        true => Err(ChangeError::None),
        false => Ok(hunks),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROGRAM: &str = "import os\n\ndef f():\n    return 1\n\ndef g():\n    return 1\n";

    #[test]
    fn hunks_are_found_by_their_text() {
        let wrong_count =
            "--- a/app.py\n+++ b/app.py\n@@ -77,2 +77,2 @@ def f\n def f():\n-    return 1\n+    return 2\n";
        let changed = PROGRAM.replacen("return 1", "return 2", 1);
        assert_eq!(apply(PROGRAM, wrong_count), Ok(changed.clone()));
        let second = "@@ -7 +7,2 @@\n-    return 1\n+    x = 1\n+    return x\n@@ ... @@\n-import os\n+import sys\n";
        let expected = "import sys\n\ndef f():\n    return 1\n\ndef g():\n    x = 1\n    return x\n";
        assert_eq!(apply(PROGRAM, second), Ok(expected.into()));
        assert_eq!(
            apply("", "@@ -0,0 +1 @@\n+x = 1\n\\ No newline at end of file"),
            Ok("x = 1\n".into())
        );
        assert_eq!(apply("a\nb\n", "@@ -1,0 +2 @@\n+x"), Ok("a\nx\nb\n".into()));
    }

    #[test]
    fn what_does_not_fit_is_told() {
        assert_eq!(apply(PROGRAM, "def f(): pass"), Err(ChangeError::None));
        assert_eq!(
            apply(PROGRAM, "@@\n-    return 3\n+    return 4"),
            Err(ChangeError::Nowhere { hunk: 1 })
        );
        let both = "@@\n-    return 1\n+    return 4";
        assert_eq!(apply(PROGRAM, both), Err(ChangeError::Ambiguous { hunk: 1, places: 2 }));
        let line = apply(PROGRAM, "@@\ndef f():");
        assert_eq!(
            line,
            Err(ChangeError::Line {
                line: 2,
                text: "def f():".into()
            })
        );
        assert_eq!(apply(PROGRAM, "@@ @@\n+x"), Err(ChangeError::Nowhere { hunk: 1 }));
    }
}
