//! The scripted models over HTTP.

use std::path::Path;
use std::sync::Arc;

use mtsec_agents::gateway::FailureKind;
use mtsec_agents::gateway::drafts::derive_states;
use mtsec_agents::gateway::oracle::{NOTHING, Oracle, OracleScript, Voice};
use mtsec_agents::gateway::script::{Script, ScriptError, ScriptedModel};
use mtsec_agents::plan::EditFormat;
use serde_json::json;

use crate::edits::apply;
use crate::support::{Bench, events, prompt_body};

const REFERENCE: &str = "import os\n\n\ndef join(a, b):\n    \"\"\"Joins.\"\"\"\n    return os.path.join(a, b)  # é";

fn oracle(states: Vec<String>, edit_format: EditFormat) -> Arc<Oracle> {
    Arc::new(
        Oracle::new(OracleScript {
            file: "app.py".to_owned(),
            states,
            voice: Voice::EditFormat(edit_format),
            afterwards: None,
            answered: 0,
        })
        .expect("an oracle"),
    )
}

#[tokio::test]
async fn the_oracle_leads_the_file_to_the_reference_turn_by_turn() {
    for format in EditFormat::ALL {
        let states = derive_states(3, None, REFERENCE, "join");
        let bench = Bench::new(oracle(states.clone(), format)).await;
        let mut file = String::new();
        for (turn, state) in (1..).zip(&states) {
            bench.begin(turn);
            let prompt = format!("turn {turn}");
            let said = bench.say(&prompt).await;
            assert_eq!(bench.say(&prompt).await, said, "the same request gets the same answer");
            assert_eq!(bench.say("fix the lint errors").await, NOTHING);
            file = apply(format, &file, &said);
            assert_eq!(file.trim_end(), state.trim_end(), "{format}");
        }
        assert_eq!(file, format!("{REFERENCE}\n"));
        assert_eq!(bench.route.failures(), []);
    }
}

#[tokio::test]
async fn counts_without_measure_are_shown_and_summed_as_the_most_there_is() {
    let most = u64::MAX;
    let reply = format!("{{text: hi, usage: {{input: {most}, output: {most}}}}}");
    let replies = vec![reply; 6].join(", ");
    let script = Script::parse(Path::new("s.yaml"), &format!("{{replies: [{replies}]}}")).expect("a script");
    let bench = Bench::new(Arc::new(ScriptedModel::new(script))).await;
    for (path, input) in [
        ("chat/completions", "messages"),
        ("responses", "input"),
        ("messages", "messages"),
    ] {
        for stream in [false, true] {
            let body = json!({input: [{"role": "user", "content": "hi"}], "stream": stream});
            assert_eq!(bench.call_at(path, &body).await.0, 200, "{path}");
        }
    }
    bench.wait_for_records(1, 6).await;
    let usage = bench.route.usage();
    assert_eq!((usage.calls, usage.input_tokens, usage.output_tokens), (6, most, most));
}

#[tokio::test]
async fn streams_say_the_same_as_whole_answers() {
    let bench = Bench::new(oracle(vec!["x = 1\n".repeat(200)], EditFormat::Whole)).await;
    let mut body = prompt_body("go");
    body["stream"] = json!(true);
    body["stream_options"] = json!({"include_usage": true});
    let (_, streamed) = bench.call(&body).await;
    let streamed = streamed.as_str().expect("a text").to_owned();
    let events = events(&streamed);
    assert_eq!(events.last(), Some(&"[DONE]"));
    let chunks: Vec<serde_json::Value> = events[..events.len() - 1]
        .iter()
        .map(|event| serde_json::from_str(event).expect("JSON"))
        .collect();
    let text: String = chunks
        .iter()
        .filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str())
        .collect();
    assert_eq!(apply(EditFormat::Whole, "", &text), "x = 1\n".repeat(200));
    let usage = &chunks.last().expect("a chunk")["usage"];
    let record = &bench.records(1)[0];
    assert_eq!(usage["completion_tokens"], record["tokens"]["output"]);
    assert_eq!(record["response"]["message"]["content"], json!(text));
}

#[tokio::test]
async fn tokens_of_streams_are_known_even_when_nobody_asked() {
    let bench = Bench::new(oracle(vec!["x = 1\n".to_owned()], EditFormat::Whole)).await;
    let mut body = prompt_body("go");
    body["stream"] = json!(true);
    let (_, streamed) = bench.call(&body).await;
    assert!(!streamed.as_str().expect("a text").contains("usage"));
    let usage = bench.route.usage();
    assert!(usage.input_tokens > 0 && usage.output_tokens > 0 && usage.cost.is_some());
}

#[tokio::test]
async fn the_oracle_uses_the_fence_that_it_is_told() {
    let bench = Bench::new(oracle(vec!["x = 1\n".to_owned()], EditFormat::Whole)).await;
    let said = bench
        .say("Use this format:\n\npath/to/filename.js\n<source>\n// code\n</source>\n")
        .await;
    assert!(said.ends_with("app.py\n<source>\nx = 1\n</source>\n"), "{said}");
}

#[test]
fn states_that_a_format_cannot_say_are_refused_at_once() {
    let refuse = |states: &[&str], edit_format| {
        let states = states.iter().map(|state| (*state).to_owned()).collect();
        let error = Oracle::new(OracleScript {
            file: "app.py".to_owned(),
            states,
            voice: Voice::EditFormat(edit_format),
            afterwards: None,
            answered: 0,
        })
        .expect_err("an error");
        error.to_string()
    };
    let error = refuse(&["x = 1\n", "x = '''\n=======\n'''\n"], EditFormat::Diff);
    assert!(error.contains("after turn 2") && error.contains("line 2"), "{error}");
    assert!(refuse(&["'''\n```\n'''\n"], EditFormat::Whole).contains("line 2"));
    assert!(refuse(&["x\n", " \n"], EditFormat::Udiff).contains("empty"));
}

#[tokio::test]
async fn scripts_inject_faults_in_order_and_by_turn() {
    let script = r#"
replies:
  - turn: 2
    text: second
  - status: 429
    headers: {retry-after: "7"}
    text: slow down
  - text: first
    finish_reason: length
    usage: {input: 11, output: 3}
  - body: "not json"
  - text: a long answer
    cut_after: 6
"#;
    let script = Script::parse(Path::new("faults.yaml"), script).expect("a script");
    let bench = Bench::new(Arc::new(ScriptedModel::new(script))).await;
    let response = bench
        .request()
        .json(&prompt_body("hi"))
        .send()
        .await
        .expect("an answer");
    assert_eq!(
        (response.status().as_u16(), &response.headers()["retry-after"]),
        (429, &"7".parse().expect("a value"))
    );
    assert_eq!(bench.route.failures()[0].failure.kind, FailureKind::RateLimit);
    let (_, said) = bench.call(&prompt_body("hi")).await;
    assert_eq!(
        (&said["choices"][0]["finish_reason"], &said["usage"]["prompt_tokens"]),
        (&json!("length"), &json!(11))
    );
    assert_eq!(bench.call(&prompt_body("hi")).await, (200, json!("not json")));
    let mut body = prompt_body("hi");
    body["stream"] = json!(true);
    let response = bench.request().json(&body).send().await.expect("an answer");
    assert!(response.text().await.is_err());
    assert_eq!(bench.records(1)[3]["response"]["message"]["content"], "a long");
    let (status, said) = bench.call(&prompt_body("hi")).await;
    assert_eq!(status, 500);
    assert!(
        said["error"]["message"]
            .as_str()
            .expect("a message")
            .contains("no reply left for turn 1"),
        "{said}"
    );
    assert_eq!(
        bench.route.failure_of_turn(1).expect("a failure").failure.kind,
        FailureKind::Script
    );
    bench.begin(2);
    assert_eq!(bench.say("hi").await, "second");
}

#[test]
fn malformed_scripts_are_refused_with_their_place() {
    let place = |name: &str, text: &str| match Script::parse(Path::new(name), text) {
        Err(ScriptError::Malformed { line, column, .. }) => (line, column),
        other => panic!("{other:?}"),
    };
    assert_eq!(place("a.yaml", "replies:\n  - text: a\n    txet: b\n"), (3, 5));
    assert_eq!(place("a.jsonl", "{\"text\": \"a\"}\n\n{\"text\": 1}\n").0, 3);
    for reply in ["status: 99", "delay_seconds: -1", "delay_seconds: .nan", "turn: 0"] {
        let error = Script::parse(Path::new("a.yaml"), &format!("replies:\n  - {reply}\n")).expect_err("an error");
        assert!(error.to_string().starts_with("a.yaml: reply 1: "), "{error}");
    }
    assert!(matches!(
        Script::load(Path::new("/no/such/script")),
        Err(ScriptError::Read { .. })
    ));
}

#[tokio::test]
async fn a_script_can_call_the_tools_of_an_agent() {
    let text = r#"
replies:
  - text: I look first.
    calls: [{name: shell, arguments: {command: [ls, -l]}}, {name: read, arguments: {}}]
  - calls: [{name: shell, arguments: {command: [ls, -l]}}]
"#;
    let script = Script::parse(Path::new("s.yaml"), text).expect("a script");
    let bench = Bench::new(Arc::new(ScriptedModel::new(script))).await;
    let (_, whole) = bench.call(&prompt_body("go")).await;
    let choice = &whole["choices"][0];
    assert_eq!(choice["finish_reason"], "tool_calls");
    assert_eq!(choice["message"]["content"], "I look first.");
    let call = json!({
        "id": "call-1-1-1", "type": "function",
        "function": {"name": "shell", "arguments": r#"{"command":["ls","-l"]}"#},
    });
    assert_eq!(choice["message"]["tool_calls"][0], call);
    assert_eq!(choice["message"]["tool_calls"][1]["function"]["arguments"], "{}");
    assert_eq!(whole["usage"]["completion_tokens"], 4 + 2 + 6 + 1 + 1);

    let mut body = prompt_body("go");
    body["stream"] = json!(true);
    bench.call(&body).await;
    let streamed = &bench.records(1)[1]["response"];
    assert_eq!(streamed["finish_reason"], "tool_calls");
    let calls = &streamed["message"]["tool_calls"];
    assert_eq!(calls[0]["function"], call["function"]);
    assert_eq!(calls[0]["id"], "call-1-2-1");
    let no_object = "replies: [{calls: [{name: shell, arguments: [ls]}]}]";
    assert!(Script::parse(Path::new("s.yaml"), no_object).is_err());
}
