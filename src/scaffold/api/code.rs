//! Takes code from an answer, by the rules of the benchmark's kit.

use std::sync::LazyLock;

use regex::Regex;

/// What an answer gives.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Given {
    /// Pairs of `<FILEPATH>` and `<CODE>`, of a task with more than one file: a path, as the model wrote it, and a content.
    Files(Vec<(String, String)>),
    /// The content of the first fenced block.
    Code(String),
    /// There is no such block: the kit takes the whole answer for the code.
    Bare(String),
}

/// A fence, perhaps a word, and what stands between it and the next line that begins with a fence.
static FENCED: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"```(?:\w+)?\n((?s:.+?))\n```").ok());
static PAIR: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(?s)<FILEPATH>(.*?)</FILEPATH>\s*<CODE>\n?(.*?)</CODE>").ok());

/// Takes the code of the only file from an answer. Whatever else stands in it, also what looks like a pair, is no matter.
pub(super) fn taken(answer: &str) -> Given {
    match fenced(answer) {
        Some(code) => Given::Code(code),
        None => Given::Bare(without_marks(answer).to_owned()),
    }
}

/// Takes the files of a task with more than one from an answer: its pairs, or where there is none, the code of the main file.
pub(super) fn taken_files(answer: &str) -> Given {
    let pairs: Vec<(String, String)> = PAIR
        .iter()
        .flat_map(|pair| pair.captures_iter(answer))
        .map(|found| (found[1].trim().to_owned(), found[2].to_owned()))
        .map(|(path, code)| match fenced(&code) {
            Some(inner) if code.trim_start().starts_with("```") => (path, inner),
            _ => (path, code),
        })
        .collect();
    match pairs.is_empty() {
        true => taken(answer),
        false => Given::Files(pairs),
    }
}

/// The first fenced block.
pub(super) fn fenced(answer: &str) -> Option<String> {
    let found = FENCED.as_ref()?.captures(answer)?;
    Some(found[1].to_owned())
}

/// All fenced blocks with differences, one after the other; where there is none, the whole answer.
pub(super) fn differences(answer: &str) -> String {
    let blocks = FENCED.iter().flat_map(|fenced| fenced.captures_iter(answer));
    let blocks = blocks.filter_map(|found| found.get(1)).map(|block| block.as_str());
    let differing: Vec<&str> = blocks
        .filter(|block| block.lines().any(|line| line.starts_with("@@")))
        .collect();
    match differing.is_empty() {
        true => answer.to_owned(),
        false => differing.join("\n"),
    }
}

/// A fence that was never closed, or not on a line of its own, is no part of the code.
fn without_marks(text: &str) -> &str {
    let text = text.strip_prefix("```python").unwrap_or(text);
    let text = text.strip_prefix("python").unwrap_or(text);
    text.strip_suffix("```").unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_block_counts() {
        let code = |text: &str| Given::Code(text.into());
        assert_eq!(
            taken("Sure:\n```python\na = 1\n\nb\n```\nand\n```\nc\n```"),
            code("a = 1\n\nb")
        );
        assert_eq!(taken("```\na\n```"), code("a"));
        assert_eq!(taken("I cannot do that."), Given::Bare("I cannot do that.".into()));
        assert_eq!(taken("```python\na = 1\nb = "), Given::Bare("\na = 1\nb = ".into()));
    }

    #[test]
    fn of_one_file_pairs_are_a_part_of_the_code() {
        let program = "def parse(text):\n    \"\"\"<FILEPATH>a.py</FILEPATH>\n<CODE>x</CODE>\"\"\"";
        assert_eq!(
            taken(&format!("Here:\n```python\n{program}\n```\n")),
            Given::Code(program.into())
        );
        let pair = "<FILEPATH>app.py</FILEPATH>\n<CODE>\nx = 1\n</CODE>";
        assert_eq!(taken(pair), Given::Bare(pair.into()));
    }

    #[test]
    fn files_are_named_in_pairs() {
        let answer = "<FILEPATH> a/b.py </FILEPATH>\n<CODE>\nx = 1\n</CODE>\n<FILEPATH>c.py</FILEPATH><CODE>\n```python\ny\n```\n</CODE>";
        let files = [("a/b.py", "x = 1\n"), ("c.py", "y")].map(|(path, code)| (path.to_owned(), code.to_owned()));
        assert_eq!(taken_files(answer), Given::Files(files.into()));
        assert_eq!(taken_files("```\na\n```"), Given::Code("a".into()));
    }
}
