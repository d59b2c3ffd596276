//! The signs that come with the program, in the agents' own words.

use super::*;

/// Kinds that a result, or a message of the user, shows to an agent's signs.
fn shown(name: &str, place: Where, words: &str) -> Vec<FindingKind> {
    let exchange = match place {
        Where::Result => told(2, words, false),
        Where::Message => exchange(2, vec![text("user", words)], vec![text("assistant", "ok")]),
    };
    look(&agent(name), &changed(), true, &[exchange])
        .into_iter()
        .map(|(kind, _)| kind)
        .collect()
}

#[test]
fn aider_tells_its_model_of_edits_that_failed() {
    let signs = &agent("aider");
    let reflected = |message: &str| {
        let exchange = exchange(2, vec![text("user", message)], vec![text("assistant", "ok")]);
        look(signs, &changed(), true, &[exchange])
    };
    for message in [
        "# 1 SEARCH/REPLACE block failed to match!\n\n## SearchReplaceNoExactMatch: …",
        "UnifiedDiffNoMatch: hunk failed to apply!\n\napp.py does not contain…",
        "app.py\n```\n<<<<<<< SEARCH\n^^^ Expected `>>>>>>> REPLACE` or `=======`",
    ] {
        assert_eq!(reflected(message)[0].0, FindingKind::EditFailedToApply, "{message}");
    }
    for message in [
        "Write `f`: it tells that 1 SEARCH/REPLACE block failed to match!",
        "# Fix any errors below, if possible.",
    ] {
        assert_eq!(reflected(message), [], "{message}");
    }
    // What the model says itself is nothing that it was told.
    let own = says(1, "# 1 SEARCH/REPLACE block failed to match!");
    assert_eq!(look(signs, &changed(), true, &[own]), []);
}

#[test]
fn codex_tells_its_model_of_errors() {
    use FindingKind::{EditFailedToApply, ToolError};
    for (words, kinds) in [
        (
            "failed to parse function arguments: EOF while parsing a list at line 1 column 17",
            &[ToolError][..],
        ),
        ("unsupported call: frobnicate", &[ToolError]),
        ("execution error: Argument list too long (os error 7)", &[ToolError]),
        (
            "error: Failed to find expected lines in /w/app.py:\nno such line",
            &[ToolError, EditFailedToApply],
        ),
        (
            "{\"output\":\"Failed to find expected lines in app.py\",\"metadata\":{\"exit_code\":1}}",
            &[ToolError, EditFailedToApply],
        ),
        (
            "patch rejected: writing outside of the project; rejected by user approval settings",
            &[ToolError, EditFailedToApply],
        ),
    ] {
        assert_eq!(shown("codex", Where::Result, words), kinds, "{words}");
    }
    for words in [
        "{\"output\":\"Success. Updated the following files:\\nA app.py\\n\",\"metadata\":{\"exit_code\":0,\"duration_seconds\":0.0}}",
        "{\"output\":\"AssertionError\\n\",\"metadata\":{\"exit_code\":1,\"duration_seconds\":0.1}}",
        "failed in sandbox LinuxSeccomp with execution error: sandbox denied exec error, exit code: 1, stdout: , stderr: 1 failed",
        "{\"output\":\"# tests: Failed to find expected lines\",\"metadata\":{\"exit_code\":0}}",
    ] {
        assert_eq!(shown("codex", Where::Result, words), [], "{words}");
    }
}

#[test]
fn openhands_tells_its_model_of_errors() {
    use FindingKind::{EditFailedToApply, ToolError};
    let result = |words: &str| shown("openhands", Where::Result, words);
    assert_eq!(
        result("ERROR:\nParameter `file_text` is required for command: create."),
        [ToolError]
    );
    assert_eq!(
        result("ERROR:\nNo replacement was performed, old_str `x` did not appear verbatim in /w/app.py."),
        [ToolError, EditFailedToApply]
    );
    assert_eq!(
        result("ERROR: Could not find a version that satisfies the requirement x\n"),
        []
    );
    assert_eq!(result("2 failed\nERROR:\nsomething"), []);
    assert_eq!(result("The file /w/app.py has been edited."), []);
    let message = |words: &str| shown("openhands", Where::Message, words);
    for words in [
        "Failed to parse tool call arguments: {\"command\": \n[Error occurred in processing last action]",
        "Tool frobnicate is not registered. (arguments: {}). Please check the tool name and retry with an existing tool.\n[Error occurred in processing last action]",
    ] {
        assert_eq!(message(words), [ToolError], "{words}");
    }
    assert_eq!(
        message("Write a function that tells whether a user is not registered."),
        []
    );
}
