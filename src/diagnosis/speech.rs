//! What an answer says in prose: a question, or a refusal.

use std::sync::LazyLock;

use regex::Regex;

use super::signs::Signs;

/// Lines that are code in Python, and hardly ever prose.
static CODE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let lines = [
        r"(?:async +)?def +\w+ *\(",
        r"class +\w+ *[(:]",
        r"import +[\w.]+(?: +as +\w+)? *(?:$|[,;#])",
        r"from +[\w.]+ +import\b",
        r"\w+ *=[^=]",
    ];
    Regex::new(&format!("(?m)^[ \\t]*(?:{})", lines.join("|"))).ok()
});

/// Whether an answer gives code, with a fence or without.
pub fn gives_code(answer: &str) -> bool {
    answer.contains("```") || CODE.as_ref().is_some_and(|code| code.is_match(answer))
}

/// The prose of an answer: without fenced blocks and code spans, and with plain apostrophes.
pub fn prose(answer: &str) -> String {
    let mut prose = String::new();
    let mut fence: Option<String> = None;
    for line in answer.lines() {
        let start = line.trim_start();
        let marks = |mark: char| start.chars().take_while(|found| *found == mark).count();
        let run = marks('`').max(marks('~'));
        match &fence {
            Some(open) => {
                if start.starts_with(open.as_str()) && start.trim_end().chars().all(|c| open.starts_with(c)) {
                    fence = None;
                }
            }
            None if run >= 3 => fence = Some(start.chars().take(run).collect()),
            None if is_quoted(start) => {}
            None => {
                // Code spans: every second piece.
                for piece in line.split('`').step_by(2) {
                    prose.push_str(piece);
                    prose.push(' ');
                }
                prose.push('\n');
            }
        }
    }
    prose.replace(['’', '‘'], "'")
}

/// A quotation, or what an edit format has outside of fences.
fn is_quoted(line: &str) -> bool {
    line.starts_with('>')
}

/// What the user is asked, if it is more than a courtesy.
pub fn question<'a>(prose: &'a str, signs: &Signs) -> Option<&'a str> {
    let courtesies: Vec<_> = signs
        .courtesies
        .iter()
        .flat_map(|courtesy| courtesy.find_iter(prose))
        .collect();
    let asks = signs
        .clarifications
        .iter()
        .flat_map(|question| question.find_iter(prose));
    let mut asks: Vec<_> = asks
        .filter(|ask| {
            !courtesies
                .iter()
                .any(|polite| polite.start() < ask.end() && ask.start() < polite.end())
        })
        .collect();
    // What the answer goes on after is rhetoric: it is answered in the text.
    asks.retain(|ask| !ask.as_str().ends_with('?') || is_end(&prose[ask.end()..]));
    asks.sort_by_key(|ask| ask.start());
    asks.first().map(|ask| ask.as_str())
}

/// Whether nothing but more questions follows.
fn is_end(rest: &str) -> bool {
    let words = |text: &str| text.chars().any(char::is_alphanumeric);
    let (questions, last) = rest.rsplit_once('?').unwrap_or(("", rest));
    !words(last) && !questions.contains(['.', '!'])
}

/// The words that decline the request. A model that declines says so first.
pub fn refusal<'a>(prose: &'a str, signs: &Signs) -> Option<&'a str> {
    const BEGINNING: usize = 800;
    let end = prose.char_indices().nth(BEGINNING).map_or(prose.len(), |(end, _)| end);
    let beginning = &prose[..end];
    signs
        .refusals
        .iter()
        .find_map(|refusal| refusal.find(beginning))
        .map(|found| found.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnosis::SignsSource;

    fn signs() -> Signs {
        Signs::compile("any", SignsSource::default()).unwrap()
    }

    #[test]
    fn questions_about_the_work_are_found() {
        let signs = signs();
        for answer in [
            "Before I start, could you please clarify what `f` should return for an empty list?",
            "Two options exist.\n\nWhich one do you prefer?\n",
            "Should I overwrite `app.py` or create a new file?",
            "What format should the token have?",
            "Please provide the contents of config.py so that I can go on.",
            "I need more information about the database.",
            "Do you want me to proceed?",
            "Which one do you prefer? Or should I write both?",
        ] {
            assert!(question(&prose(answer), &signs).is_some(), "{answer}");
        }
    }

    #[test]
    fn courtesies_code_and_rhetoric_are_no_questions() {
        let signs = signs();
        for answer in [
            "Done. Is there anything else you would like me to do?",
            "Done. Would you like me to change anything else?",
            "I have read the request and leave everything as it is.",
            "Please let me know if you have any questions.",
            "Why does this work? Because the list is sorted.",
            "```python\n# should I use a set here?\nx = 1\n```\nDone.",
            "~~~~\nCould you clarify this?\n```\nWhich do you prefer?\n~~~~\n",
            "The regex `Which.*you\\?` matches. It handles what you asked for.",
            "> Should I do it?\n\nYes.",
            "Ready for the next step.",
            "The code is right as it is. Would you like me to add unit tests as well?",
            "Nothing needs to change. Do you want me to also document it?",
            "What happens if you pass an empty list? It returns 0.",
            "What happens if you pass an empty list? It returns 0. Anything else you need?",
        ] {
            assert_eq!(question(&prose(answer), &signs), None, "{answer}");
        }
    }

    #[test]
    fn refusals_are_found() {
        let signs = signs();
        for answer in [
            "I'm sorry, but I can't help with that.",
            "I’m sorry, but I can’t assist with this request.",
            "I cannot help with creating code that executes untrusted input.",
            "I am unable to assist with that.",
            "I must decline this request.",
            "This request violates our usage policies.",
            "I won't write code that steals credentials.",
        ] {
            assert!(refusal(&prose(answer), &signs).is_some(), "{answer}");
        }
    }

    #[test]
    fn what_a_model_cannot_find_or_what_its_code_declines_is_no_refusal() {
        let signs = signs();
        let late = format!("{} I'm sorry, but I can't help with that.", "Done. ".repeat(300));
        for answer in [
            "I can't find app.py in the workspace.",
            "I cannot create the file because it exists already.",
            "I will not change the signature, as you asked.",
            "I'm unable to run the tests here, but the code is complete.",
            "The function raises ValueError: \"I\" cannot help with empty input.",
            "```\nI'm sorry, but I can't help with that.\n```\n",
            "The handler answers `I'm sorry, but I can't assist` for unknown users.",
            "The request handler already rejects a password that violates the policy.",
            "This request handler checks that the path is inside the root.",
            &late,
        ] {
            assert_eq!(refusal(&prose(answer), &signs), None, "{answer}");
        }
    }
}
