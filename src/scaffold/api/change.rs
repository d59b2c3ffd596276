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
    header: Header,
    body: Vec<Line<'a>>,
}

/// What a line that starts with `@@` tells; models leave numbers out, and count badly.
#[derive(Debug, Default)]
struct Header {
    /// Line of the old text, from 1.
    start: Option<usize>,
    /// Lines of the old and of the new text.
    counts: Option<[usize; 2]>,
}

/// One line of a hunk.
#[derive(Debug, Clone, Copy)]
enum Line<'a> {
    Context(&'a str),
    /// An empty line: one of context whose space an editor has taken away, or one that stands between two hunks.
    Bare,
    Removed(&'a str),
    Added(&'a str),
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
        let [old, new] = [hunk.before(), hunk.after()];
        let at = place(&lines, &hunk.header, &old, shift, index + 1)?;
        shift += new.len() as isize - old.len() as isize;
        lines.splice(at..at + old.len(), new);
    }
    Ok(lines.iter().map(|line| format!("{line}\n")).collect())
}

fn place(lines: &[&str], header: &Header, old: &[&str], shift: isize, number: usize) -> Result<usize, ChangeError> {
    let told = header
        .start
        .map(|start| start.saturating_sub(1).saturating_add_signed(shift));
    if old.is_empty() {
        if lines.is_empty() {
            return Ok(0);
        }
        // Nothing in the text tells the place, so that the header must mean an insertion: then it counts the line before it.
        let means_it = header.counts.is_some_and(|[old, _]| old == 0);
        let after = header.start.map(|start| start.saturating_add_signed(shift));
        let at = after.filter(|at| means_it && *at <= lines.len());
        return at.ok_or(ChangeError::Nowhere { hunk: number });
    }
    let fits = lines
        .windows(old.len())
        .enumerate()
        .filter(|(_, window)| *window == old);
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

impl<'a> Hunk<'a> {
    fn before(&self) -> Vec<&'a str> {
        let kept = |line: &Line<'a>| match *line {
            Line::Context(text) | Line::Removed(text) => Some(text),
            Line::Bare => Some(""),
            Line::Added(_) => None,
        };
        self.body.iter().filter_map(kept).collect()
    }

    fn after(&self) -> Vec<&'a str> {
        let kept = |line: &Line<'a>| match *line {
            Line::Context(text) | Line::Added(text) => Some(text),
            Line::Bare => Some(""),
            Line::Removed(_) => None,
        };
        self.body.iter().filter_map(kept).collect()
    }

    fn sizes(&self) -> [usize; 2] {
        [self.before().len(), self.after().len()]
    }

    /// Whether a removal and an addition are what is missing by the counts of the header.
    fn lacks_a_pair(&self) -> bool {
        self.header.counts == Some(self.sizes().map(|size| size + 1))
    }

    /// Leaves out the empty lines at the end that are no context: by the counts of the header, or else all.
    fn end(&mut self) {
        let bare = |line: &&Line| matches!(line, Line::Bare);
        let empty = self.body.iter().rev().take_while(bare).count();
        let sizes = self.sizes();
        let surplus = (0..=empty).find(|left_out| self.header.counts == Some(sizes.map(|size| size - left_out)));
        self.body.truncate(self.body.len() - surplus.unwrap_or(empty));
    }
}

fn header(line: &str) -> Header {
    let [old, new] = ['-', '+'].map(|sign| range(line, sign));
    let count = |range: Option<(usize, Option<usize>)>| range.and_then(|(_, count)| count);
    Header {
        start: old.map(|(start, _)| start),
        counts: count(old).zip(count(new)).map(|(old, new)| [old, new]),
    }
}

/// `start,count` behind a sign; a count that is left out is 1.
fn range(header: &str, sign: char) -> Option<(usize, Option<usize>)> {
    let (_, rest) = header.split_once(sign)?;
    let range = rest.split(|c: char| !c.is_ascii_digit() && c != ',').next()?;
    let (start, count) = range.split_once(',').unwrap_or((range, "1"));
    Some((start.parse().ok()?, count.parse().ok()))
}

fn parse(text: &str) -> Result<Vec<Hunk<'_>>, ChangeError> {
    let mut hunks: Vec<Hunk> = Vec::new();
    let lines: Vec<&str> = text.lines().collect();
    // What stands before a file's first hunk is passed over.
    let mut between = true;
    for (index, line) in lines.iter().enumerate() {
        if line.starts_with("@@") {
            let header = header(line);
            hunks.push(Hunk {
                header,
                ..Hunk::default()
            });
            between = false;
            continue;
        }
        let Some(hunk) = hunks.last_mut().filter(|_| !between) else {
            continue;
        };
        if line.starts_with("diff --git ") || names_files(&lines[index..]) && !hunk.lacks_a_pair() {
            between = true;
            continue;
        }
        let rest = line.get(1..).unwrap_or_default();
        match line.as_bytes().first() {
            None => hunk.body.push(Line::Bare),
            Some(b' ') => hunk.body.push(Line::Context(rest)),
            Some(b'-') => hunk.body.push(Line::Removed(rest)),
            Some(b'+') => hunk.body.push(Line::Added(rest)),
            Some(b'\\') => {}
            Some(_) => {
                return Err(ChangeError::Line {
                    line: index + 1,
                    text: line.chars().take(80).collect(),
                });
            }
        }
    }
    hunks.iter_mut().for_each(Hunk::end);
    match hunks.is_empty() {
        true => Err(ChangeError::None),
        false => Ok(hunks),
    }
}

/// Whether these lines begin with the names of the files that the next hunk is about.
fn names_files(lines: &[&str]) -> bool {
    let begins = |index: usize, with: &str| lines.get(index).is_some_and(|line: &&str| line.starts_with(with));
    begins(0, "--- ") && begins(1, "+++ ") && begins(2, "@@")
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

    #[test]
    fn an_insertion_without_context_needs_a_header_that_means_it() {
        let wrong = "@@ -6,3 +6,5 @@\n+x = 1\n+y = 2\n";
        assert_eq!(apply(PROGRAM, wrong), Err(ChangeError::Nowhere { hunk: 1 }));
        assert_eq!(
            apply(PROGRAM, "@@ -6 +6,2 @@\n+x = 1"),
            Err(ChangeError::Nowhere { hunk: 1 })
        );
        assert_eq!(apply("", wrong), Ok("x = 1\ny = 2\n".into()));
    }

    #[test]
    fn what_stands_between_hunks_is_no_part_of_them() {
        let first = "--- a/app.py\n+++ b/app.py\n@@ -1 +1 @@\n-import os\n+import sys\n";
        let second = "@@ -6,2 +6,2 @@\n def g():\n-    return 1\n+    return 2\n";
        let changed = PROGRAM
            .replace("os", "sys")
            .replace("g():\n    return 1", "g():\n    return 2");
        for between in [
            "",
            "\n",
            "\n\n",
            "--- a/app.py\n+++ b/app.py\n",
            "\n--- a/app.py\n+++ b/app.py\n",
            "diff --git a/app.py b/app.py\nindex 1..2 100644\n--- a/app.py\n+++ b/app.py\n",
        ] {
            let differences = format!("{first}{between}{second}\n");
            assert_eq!(apply(PROGRAM, &differences), Ok(changed.clone()), "{between:?}");
        }
        let without_counts = "@@ @@\n-import os\n+import sys\n\n@@ @@\n def g():\n-    return 1\n+    return 2\n\n";
        assert_eq!(apply(PROGRAM, without_counts), Ok(changed));
    }

    #[test]
    fn counts_tell_context_from_what_stands_between() {
        let empty = "@@ -1,2 +1,2 @@\n-import os\n+import sys\n\n@@ -3 +3 @@\n-def f():\n+def h():\n";
        let changed = PROGRAM.replace("import os", "import sys").replace("f()", "h()");
        assert_eq!(apply(PROGRAM, empty), Ok(changed));
        let dashes = "@@ -1 +1 @@\n--- a\n+++ b\n@@ -2 +2 @@\n-c\n+d\n";
        assert_eq!(apply("-- a\nc\n", dashes), Ok("++ b\nd\n".into()));
    }
}
