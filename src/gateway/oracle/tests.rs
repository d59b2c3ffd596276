//! What the oracle says to requests of each agent.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::gateway::dialect::Dialect;
use crate::plan::EditFormat;

/// Contents that are hard to say.
const CONTENTS: [&str; 8] = [
    "def f():\n\treturn '%s' % \"it's\"\n",
    "x = '''\nEOF\n*** End Patch\n```\n=======\n'''\n",
    "no_line_end = 1",
    "a = 1\r\nb = 2\r\n",
    "word = 'é ☃ 𝄞'\n# !history ~ $HOME `id` \\ \\n\n",
    "-n\n",
    "\n\n  \nx\n\n",
    "",
];

fn oracle(states: &[&str], voice: Voice) -> Oracle {
    Oracle::new(OracleScript {
        file: "app.py".to_owned(),
        states: states.iter().map(|state| (*state).to_owned()).collect(),
        afterwards: None,
        voice,
        answered: 0,
    })
    .unwrap()
}

fn call(turn: usize, dialect: Dialect, body: Value) -> Call {
    Call {
        turn,
        number: 1,
        dialect,
        body: Arc::new(body.as_object().unwrap().clone()),
        sent: Arc::default(),
        stream: false,
        wire_model: "oracle".into(),
        max_output: None,
        retry: true,
        asks: Arc::default(),
    }
}

/// Runs the shell commands of calls in a folder.
fn run(calls: &[ToolCall], place: &Path) {
    for call in calls {
        let command = match &call.arguments["command"] {
            Value::String(command) => vec!["bash", "-c", command],
            Value::Array(words) => words.iter().map(|word| word.as_str().unwrap()).collect(),
            other => panic!("{other}"),
        };
        let done = Command::new(command[0]).args(&command[1..]).current_dir(place).status();
        assert!(done.unwrap().success(), "{command:?}");
    }
}

#[test]
fn commands_write_any_content() {
    let place = tempfile::tempdir().unwrap();
    let long = format!("{}é'\n", "x = 'abc'\n".repeat(20_000));
    for content in CONTENTS.into_iter().chain([long.as_str(), "nul \0 here\n"]) {
        for command in shell::write("it's here", content)
            .iter()
            .chain(&shell::write("it's here", content))
        {
            assert!(command.len() < 10_000 && command.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
            let done = Command::new("bash")
                .args(["-c", command])
                .current_dir(place.path())
                .status();
            assert!(done.unwrap().success(), "{command}");
        }
        assert_eq!(
            std::fs::read(place.path().join("it's here")).unwrap(),
            content.as_bytes()
        );
    }
}

#[test]
fn codex_gets_a_patch_or_a_command_then_the_end_of_the_turn() {
    let place = tempfile::tempdir().unwrap();
    for content in CONTENTS.into_iter().filter(|content| !content.is_empty()) {
        let oracle = oracle(&[content], Voice::ApplyPatch);
        let asked = json!({"input": [{"type": "message", "role": "user", "content": "go"}]});
        let first = oracle.say(&call(1, Dialect::OpenaiResponses, asked.clone())).unwrap();
        assert_eq!(
            oracle.say(&call(1, Dialect::OpenaiResponses, asked.clone())).unwrap(),
            first,
            "the same request gets the same answer"
        );
        assert!(first.calls.iter().all(|call| call.name == "shell"));
        let words = first.calls[0].arguments["command"].as_array().unwrap();
        let patch = words[1].as_str().unwrap();
        if words[0] == "apply_patch" {
            let added: String = patch
                .lines()
                .filter_map(|line| line.strip_prefix('+'))
                .map(|line| format!("{line}\n"))
                .collect();
            assert_eq!(added, content);
            assert!(patch.starts_with("*** Begin Patch\n*** Add File: app.py\n"));
        } else {
            assert!(content.contains('\r') || !content.ends_with('\n'), "{content:?}");
            run(&first.calls, place.path());
            assert_eq!(std::fs::read(place.path().join("app.py")).unwrap(), content.as_bytes());
        }
        let told = |output: &str| {
            let mut body = asked.clone();
            let more = [
                json!({"type": "function_call", "name": "shell", "arguments": "{}", "call_id": "a"}),
                json!({"type": "function_call_output", "call_id": "a", "output": output}),
            ];
            body["input"].as_array_mut().unwrap().extend(more);
            call(1, Dialect::OpenaiResponses, body)
        };
        let done = told(r#"{"output":"Success.","metadata":{"exit_code":0,"duration_seconds":0.0}}"#);
        assert_eq!(oracle.say(&done).unwrap(), Said::text(DONE));
        assert_eq!(oracle.say(&done).unwrap(), Said::text(DONE));
        assert_eq!(oracle.say(&told("more")).unwrap(), Said::text(NOTHING));
    }
}

#[test]
fn codex_gets_another_way_when_the_patch_fails() {
    let place = tempfile::tempdir().unwrap();
    let oracle = oracle(&["x = 1\n", "x = 2\n"], Voice::ApplyPatch);
    let ask = |turn: usize, outputs: &[&str]| {
        let mut input = vec![json!({"type": "message", "role": "user", "content": format!("turn {turn}")})];
        for output in outputs {
            input.push(json!({"type": "function_call", "name": "shell", "arguments": "{}", "call_id": "a"}));
            input.push(json!({"type": "function_call_output", "call_id": "a", "output": output}));
        }
        oracle
            .say(&call(turn, Dialect::OpenaiResponses, json!({"input": input})))
            .unwrap()
    };
    let denied = "failed in sandbox LinuxSeccomp with execution error: sandbox denied exec error, exit code: 1";
    assert_eq!(ask(1, &[]).calls.len(), 1);
    let second = ask(1, &[denied]);
    run(&second.calls, place.path());
    assert_eq!(std::fs::read(place.path().join("app.py")).unwrap(), b"x = 1\n");
    assert_eq!(ask(1, &[denied]), second, "and the same once more");
    assert_eq!(ask(1, &[denied, denied]), Said::text(FAILED));
    assert_eq!(ask(2, &[]).calls.len(), 1, "the next turn is on its own");
}

/// What OpenHands' editor makes of calls that replace texts.
fn edited(mut text: String, calls: &[ToolCall]) -> String {
    for call in calls {
        let argument = |name: &str| call.arguments[name].as_str().unwrap();
        assert_eq!(
            (call.name.as_str(), argument("command")),
            ("str_replace_editor", "str_replace")
        );
        assert_eq!(argument("path"), "/some/where/app.py");
        let old = argument("old_str");
        assert!(
            text.is_empty() && old.is_empty() || text.matches(old).count() == 1,
            "{old:?} in {text:?}"
        );
        text = text.replacen(old, argument("new_str"), 1);
    }
    text
}

#[test]
fn openhands_gets_calls_of_its_editor_or_of_its_shell() {
    let place = tempfile::tempdir().unwrap();
    let oracle = oracle(&CONTENTS, Voice::Editor);
    let mut file = String::new();
    for (turn, content) in (1..).zip(CONTENTS) {
        let mut messages = vec![
            json!({"role": "system", "content": "You are OpenHands."}),
            json!({"role": "user", "content": [{"type": "text", "text": "go"}]}),
            json!({"role": "user", "content": [{"type": "text", "text":
                "<RUNTIME_INFORMATION>\nThe current working directory is /some/where\n</RUNTIME_INFORMATION>"}]}),
        ];
        let ask = |messages: &[Value]| {
            let body = json!({"messages": messages});
            oracle.say(&call(turn, Dialect::OpenaiChat, body)).unwrap()
        };
        let first = ask(&messages);
        if first.calls[0].name == "execute_bash" {
            assert!(content.contains('\r') || file.contains('\r'));
            let command = first.calls[0].arguments["command"].as_str().unwrap();
            assert!(command.ends_with("> '/some/where/app.py'"), "{command}");
            let here = command.replace("/some/where", place.path().to_str().unwrap());
            run(
                &[ToolCall {
                    name: "execute_bash".into(),
                    arguments: json!({"command": here}),
                }],
                place.path(),
            );
            file = std::fs::read_to_string(place.path().join("app.py")).unwrap();
        } else {
            file = edited(file, &first.calls);
        }
        assert_eq!(file, content);
        messages.push(json!({"role": "assistant", "content": null, "tool_calls": [{"id": "a"}]}));
        let result = "The file /some/where/app.py has been edited. ERROR: is what line 3 says.";
        messages.push(json!({"role": "tool", "tool_call_id": "a", "content": [{"type": "text", "text": result}]}));
        assert_eq!(ask(&messages), Said::text(DONE));
    }
}

#[test]
fn openhands_gets_a_command_when_the_editor_fails() {
    let failures = [
        json!({"role": "tool", "content": "ERROR:\nNo replacement was performed.\n[Error occurred in processing last action]"}),
        json!({"role": "user", "content": "Failed to parse tool call arguments: x"}),
    ];
    for failure in failures {
        let oracle = oracle(&["x = 1\n"], Voice::Editor);
        let told = json!({"role": "user", "content": "The current working directory is /w\n"});
        let first = json!({"messages": [told]});
        assert_eq!(
            oracle.say(&call(1, Dialect::OpenaiChat, first)).unwrap().calls[0].name,
            "str_replace_editor"
        );
        let made = json!({"role": "assistant", "tool_calls": [{"id": "a"}]});
        let second = json!({"messages": [told, made, failure]});
        let said = oracle.say(&call(1, Dialect::OpenaiChat, second)).unwrap();
        assert_eq!(said.calls[0].arguments["command"], r"printf -- 'x = 1\n' > '/w/app.py'");
        let done = json!({"role": "tool", "content": "[The command completed with exit code 0.]\n[Command finished with exit code 0]"});
        let third = json!({"messages": [told, made, failure, made, done]});
        assert_eq!(
            oracle.say(&call(1, Dialect::OpenaiChat, third)).unwrap(),
            Said::text(DONE)
        );
    }
}

#[test]
fn anthropic_results_are_read() {
    let oracle = oracle(&["x = 1\n"], Voice::Editor);
    let ask = |parts: Value| {
        let body = json!({"messages": [{"role": "user", "content": parts}]});
        oracle.say(&call(1, Dialect::AnthropicMessages, body)).unwrap()
    };
    assert_eq!(ask(json!("go")).calls[0].name, "execute_bash", "no folder is told");
    let result =
        |error: bool| json!([{"type": "tool_result", "content": [{"type": "text", "text": "so"}], "is_error": error}]);
    assert_eq!(ask(result(true)), Said::text(FAILED), "there is no other way");
    assert_eq!(ask(result(false)), Said::text(NOTHING));
}

#[test]
fn the_bare_model_gets_code_and_differences() {
    let fenced = oracle(&["x = 1\n", "x = '''\n ```'''\n"], Voice::Fenced { diffs: false });
    let ask = |oracle: &Oracle, turn: usize| {
        let body = json!({"messages": [{"role": "user", "content": "go"}]});
        let said = oracle.say(&call(turn, Dialect::OpenaiChat, body)).unwrap();
        assert_eq!(said.calls, []);
        said.text
    };
    assert!(ask(&fenced, 1).ends_with("```python\nx = 1\n```\n"));
    assert!(ask(&fenced, 2).ends_with("```python\nx = '''\n ```'''\n```\n"));

    let differences = oracle(&["x = 1\ny = 1\n", "x = 1\ny = 2\n"], Voice::Fenced { diffs: true });
    assert!(ask(&differences, 1).contains("```python\nx = 1\ny = 1\n```"));
    let second = ask(&differences, 2);
    assert!(
        second.contains("```diff\n--- app.py\n+++ app.py\n@@ -1,2 +1,2 @@\n x = 1\n-y = 1\n+y = 2\n```"),
        "{second}"
    );
}

#[test]
fn after_its_last_state_it_writes_what_it_was_told_for_then_and_only_once() {
    let script = |afterwards: Option<&str>, voice| OracleScript {
        file: "app.py".to_owned(),
        states: vec!["x = 1\n".to_owned()],
        afterwards: afterwards.map(str::to_owned),
        voice,
        answered: 0,
    };
    let ask = |oracle: &Oracle, turn: usize| {
        let body = json!({"messages": [{"role": "user", "content": format!("turn {turn}")}]});
        oracle.say(&call(turn, Dialect::OpenaiChat, body)).unwrap().text
    };
    let whole = Voice::EditFormat(EditFormat::Whole);
    let told = Oracle::new(script(Some("x = 2\n"), whole)).unwrap();
    assert!(ask(&told, 1).contains("x = 1"));
    assert!(ask(&told, 2).contains("x = 2"));
    assert_eq!(ask(&told, 3), NOTHING);
    let silent = Oracle::new(script(None, whole)).unwrap();
    ask(&silent, 1);
    assert_eq!(ask(&silent, 2), NOTHING);
    let refused = Oracle::new(script(Some("x\n\n```\n"), Voice::Fenced { diffs: false }));
    assert_eq!(refused.unwrap_err().turn, 2);
}

#[test]
fn a_form_that_has_no_word_for_a_state_is_refused_at_once() {
    let refused = Oracle::new(OracleScript {
        file: "app.py".into(),
        states: vec!["x\n\n```\n".into()],
        voice: Voice::Fenced { diffs: false },
        afterwards: None,
        answered: 0,
    });
    assert_eq!(refused.unwrap_err().source, EditError::Fence { line: 3 });
    let whole = Voice::EditFormat(EditFormat::Whole);
    assert_eq!(whole.normalize("x\r\n\n"), "x\n");
}
