//! What every task must satisfy, whatever its source.

use super::DatasetError;
use crate::task::Task;

/// `CWE-502` from `502`, `CWE-502`, `CWE-502: Deserialization…` or `327,CWE-328` (the first one counts).
pub fn cwe(text: &str) -> Option<String> {
    let text = text.trim();
    let prefixed = text.get(..4).is_some_and(|prefix| prefix.eq_ignore_ascii_case("cwe-"));
    let number = if prefixed { &text[4..] } else { text };
    let end = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
    let number: u32 = number[..end].parse().ok()?;
    (number > 0).then(|| format!("CWE-{number}"))
}

/// Refuses what could not be run or judged.
pub fn check(task: &Task) -> Result<(), DatasetError> {
    let fail = |problem: String| {
        Err(DatasetError::Task {
            origin: task.origin.clone(),
            id: task.id.clone(),
            problem,
        })
    };
    if task.id.trim().is_empty() {
        return fail("the id is empty".into());
    }
    if !is_identifier(&task.function) {
        return fail(format!("`{}` is not the name of a Python function", task.function));
    }
    if task.tests.testcases.trim().is_empty() {
        return fail("the task has no tests: `testcases` is empty".into());
    }
    if task.description.description.trim().is_empty() {
        return fail("the description is empty: there would be nothing to ask for".into());
    }
    for (interaction, turns) in &task.conversations {
        if *interaction == crate::conversation::Interaction::Single {
            return fail("`single` is rendered from the description and takes no turns of its own".into());
        }
        if turns.is_empty() {
            return fail(format!("the {interaction} conversation has no turns"));
        }
        for (index, text) in turns.iter().enumerate() {
            let turn = index + 1;
            if text.trim().is_empty() {
                return fail(format!("turn {turn} of the {interaction} conversation is empty"));
            }
            if text.contains('\0') {
                return fail(format!(
                    "turn {turn} of the {interaction} conversation holds a NUL byte, which no terminal carries"
                ));
            }
        }
        if let Some(drafts) = task.drafts.get(interaction)
            && drafts.len() + 1 != turns.len()
        {
            return fail(format!(
                "{} drafts for the {} turns of {interaction}: one is needed for each turn but the last",
                drafts.len(),
                turns.len()
            ));
        }
    }
    if let Some(stray) = task
        .drafts
        .keys()
        .find(|interaction| !task.conversations.contains_key(interaction))
    {
        return fail(format!("there are drafts for {stray} but no such conversation"));
    }
    Ok(())
}

/// Python's keywords: none can name a function.
const KEYWORDS: &[&str] = &[
    "False", "None", "True", "and", "as", "assert", "async", "await", "break", "class", "continue", "def", "del",
    "elif", "else", "except", "finally", "for", "from", "global", "if", "import", "in", "is", "lambda", "nonlocal",
    "not", "or", "pass", "raise", "return", "try", "while", "with", "yield",
];

fn is_identifier(text: &str) -> bool {
    !KEYWORDS.contains(&text)
        && !text.is_empty()
        && text.chars().all(|c| c == '_' || c.is_alphanumeric())
        && !text.starts_with(|c: char| c.is_numeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weakness_names_are_normalised() {
        for (text, want) in [
            ("74", "CWE-74"),
            ("CWE-502: Deserialization", "CWE-502"),
            ("327,CWE-328", "CWE-327"),
            ("cwe-022", "CWE-22"),
        ] {
            assert_eq!(cwe(text).as_deref(), Some(want));
        }
        assert_eq!(cwe("injection"), None);
    }
}
