//! The signs that come with the program, in the agents' own words.

use super::*;

/// Kinds that the result of a tool, or a message of the user, shows to an agent's signs.
fn shown(name: &str, tool: Option<&str>, words: &str) -> Vec<FindingKind> {
    evidence(name, tool, words).into_iter().map(|(kind, _)| kind).collect()
}

fn evidence(name: &str, tool: Option<&str>, words: &str) -> Vec<(FindingKind, String)> {
    let part = match tool {
        Some(tool) => Part::Result {
            id: "c".to_owned(),
            tool: tool.to_owned(),
            text: words.to_owned(),
            is_error: false,
        },
        None => text("user", words),
    };
    let exchange = exchange(2, vec![part], vec![text("assistant", "ok")]);
    look(&agent(name), &changed(), true, &[exchange])
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
        assert_eq!(shown("codex", Some("shell"), words), kinds, "{words}");
    }
    for words in [
        "{\"output\":\"Success. Updated the following files:\\nA app.py\\n\",\"metadata\":{\"exit_code\":0,\"duration_seconds\":0.0}}",
        "{\"output\":\"AssertionError\\n\",\"metadata\":{\"exit_code\":1,\"duration_seconds\":0.1}}",
        "failed in sandbox LinuxSeccomp with execution error: sandbox denied exec error, exit code: 1, stdout: , stderr: 1 failed",
        "{\"output\":\"# tests: Failed to find expected lines\",\"metadata\":{\"exit_code\":0}}",
    ] {
        assert_eq!(shown("codex", Some("shell"), words), [], "{words}");
    }
}

#[test]
fn openhands_tells_its_model_of_errors() {
    use FindingKind::{EditFailedToApply, ToolError};
    let edit = |words: &str| shown("openhands", Some("str_replace_editor"), words);
    assert_eq!(
        edit("ERROR:\nParameter `file_text` is required for command: create."),
        [ToolError]
    );
    for words in [
        "ERROR:\nNo replacement was performed, old_str `x` did not appear verbatim in /w/app.py.",
        "ERROR:\nInvalid `new_str` parameter: x. No replacement was performed. `new_str` and `old_str` must be different.",
        "ERROR:\nInvalid `path` parameter: /w/app.py. File already exists at: /w/app.py. Cannot overwrite files using command `create`.",
        "ERROR:\nInvalid `insert_line` parameter: 9. It should be within the range of allowed values: [0, 0]",
    ] {
        assert_eq!(edit(words), [ToolError, EditFailedToApply], "{words}");
    }
    assert_eq!(edit("The file /w/app.py has been edited."), []);

    let bash = |words: &str| shown("openhands", Some("execute_bash"), words);
    let busy = "[Below is the output of the previous command.]\nhm\n[Your command \"ls\nls\" is NOT executed. The previous command is still running - You CANNOT send new commands until the previous command is completed.";
    for words in [
        "ERROR: No previous running command to interact with.",
        "ERROR: Cannot execute multiple commands at once.\nProvided commands:\n(1) a\n(2) b\n[Error occurred in processing last action]",
        busy,
    ] {
        assert_eq!(bash(words), [ToolError], "{words}");
    }
    for words in [
        "ERROR: Could not find a version that satisfies the requirement x\n",
        "2 failed\nERROR:\nsomething",
        "ERROR:\nwhat a program printed\n[The command completed with exit code 1.]",
        "[Error occurred in processing last action]\n[The command completed with exit code 0.]",
    ] {
        assert_eq!(bash(words), [], "{words}");
    }

    // As it comes after another message of the user.
    for (error, told) in [
        (
            "\n\nFailed to parse tool call arguments: {\"command\": \n[Error occurred in processing last action]",
            "Failed to parse tool call arguments",
        ),
        (
            "Tool frobnicate is not registered. (arguments: {}). Please check the tool name and retry with an existing tool.\n[Error occurred in processing last action]",
            "Tool frobnicate is not registered",
        ),
        (
            "Missing required argument \"command\" in tool call execute_bash\n[Error occurred in processing last action]",
            "Missing required argument",
        ),
    ] {
        let found = evidence("openhands", None, error);
        assert_eq!((found.len(), found[0].0), (1, ToolError), "{error}");
        assert!(found[0].1.starts_with(&format!("call 2: {told}")), "{found:?}");
    }
    let message = "Write a function that tells whether a user is not registered.";
    assert_eq!(shown("openhands", None, message), []);
    let found = evidence(
        "openhands",
        Some("str_replace_editor"),
        "ERROR:\nInvalid `path` parameter: /nope.\nmore",
    );
    assert_eq!(found[0].1, "call 2: ERROR: Invalid `path` parameter: /nope.");
}
