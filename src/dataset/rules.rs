//! What every task must satisfy, whatever its source.

use super::DatasetError;
use crate::conversation::{DISTRACTIONS, Interaction};
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
    let further = task.lengths.iter().flat_map(|(interaction, further)| {
        let of_each = further.iter();
        of_each.map(move |(count, turns)| (*interaction, Some(*count), turns))
    });
    let own = task.conversations.iter();
    for (interaction, count, turns) in own.map(|(named, turns)| (*named, None, turns)).chain(further) {
        if let Err(problem) = conversation(interaction, turns) {
            return fail(problem);
        }
        let Some(count) = count else { continue };
        if turns.len() != count as usize {
            return fail(format!(
                "the {interaction} conversation under `lengths: {count}` has {} turns",
                turns.len()
            ));
        }
        if task
            .conversations
            .get(&interaction)
            .is_some_and(|own| own.len() == turns.len())
        {
            return fail(format!(
                "there are two {interaction} conversations of {count} turns: under `conversations` and under `lengths`"
            ));
        }
    }
    for (seed, texts) in &task.distractions {
        let unusable = |text: &String| text.trim().is_empty() || text.contains('\0');
        if texts.len() != DISTRACTIONS || texts.iter().any(unusable) {
            return fail(format!("the distractions of seed {seed} are not {DISTRACTIONS} texts"));
        }
    }
    for (interaction, drafts) in &task.drafts {
        let Some(turns) = task.conversations.get(interaction) else {
            return fail(format!("there are drafts for {interaction} but no such conversation"));
        };
        if drafts.len() + 1 != turns.len() {
            return fail(format!(
                "{} drafts for the {} turns of {interaction}: one is needed for each turn but the last",
                drafts.len(),
                turns.len()
            ));
        }
    }
    Ok(())
}

/// Refuses turns that could not be said.
fn conversation(interaction: Interaction, turns: &[String]) -> Result<(), String> {
    if !interaction.is_written() {
        return Err(format!(
            "`{interaction}` is made from the task and takes no turns of its own: only expansion, editing and refactor do"
        ));
    }
    if turns.is_empty() {
        return Err(format!("the {interaction} conversation has no turns"));
    }
    for (index, text) in turns.iter().enumerate() {
        let turn = index + 1;
        if text.trim().is_empty() {
            return Err(format!("turn {turn} of the {interaction} conversation is empty"));
        }
        if text.contains('\0') {
            return Err(format!(
                "turn {turn} of the {interaction} conversation holds a NUL byte, which no terminal carries"
            ));
        }
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
