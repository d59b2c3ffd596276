//! Responses and messages, answered by scripted models.

use std::path::Path;
use std::sync::Arc;

use mtsec_agents::budget::{Budget, Charge, Scope};
use mtsec_agents::gateway::nop::{self, Nop};
use mtsec_agents::gateway::recording::Recording;
use mtsec_agents::gateway::replay::ReplayModel;
use mtsec_agents::gateway::script::{Script, ScriptedModel};
use mtsec_agents::gateway::{FailureKind, GatewayConfig, Purse, Varying};
use serde_json::{Value, json};

use crate::support::{Bench, spec, typed_events};

const SCRIPT: &str = r#"
replies:
  - text: I look first.
    calls: [{name: shell, arguments: {command: [ls, -l]}}]
    usage: {input: 10, output: 5}
"#;

/// Both dialects: path, and a request that says `prompt`.
const PATHS: [&str; 2] = ["responses", "messages"];

fn said(path: &str, prompt: &str, stream: bool) -> Value {
    match path {
        "responses" => json!({
            "model": "agent-name", "instructions": "Be brief.", "stream": stream,
            "input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": prompt}]}],
        }),
        _ => json!({
            "model": "agent-name", "system": "Be brief.", "stream": stream, "max_tokens": 1000,
            "messages": [{"role": "user", "content": prompt}],
        }),
    }
}

fn script(text: &str) -> Arc<ScriptedModel> {
    Arc::new(ScriptedModel::new(
        Script::parse(Path::new("s.yaml"), text).expect("a script"),
    ))
}

#[tokio::test]
async fn answers_have_the_form_of_their_dialect() {
    let bench = Bench::new(script(SCRIPT)).await;
    let (status, response) = bench.call_at("responses", &said("responses", "go", false)).await;
    assert_eq!((status, &response["status"]), (200, &json!("completed")));
    assert_eq!(response["output"][0]["content"][0]["text"], "I look first.");
    let call = &response["output"][1];
    assert_eq!(
        (&call["type"], &call["name"]),
        (&json!("function_call"), &json!("shell"))
    );
    assert_eq!(call["arguments"], r#"{"command":["ls","-l"]}"#);
    assert_eq!(call["call_id"], "call-1-1-1");
    assert_eq!(
        (&response["usage"]["input_tokens"], &response["usage"]["output_tokens"]),
        (&json!(10), &json!(5))
    );

    let bench = Bench::new(script(SCRIPT)).await;
    let (status, message) = bench.call_at("messages", &said("messages", "go", false)).await;
    assert_eq!((status, &message["stop_reason"]), (200, &json!("tool_use")));
    assert_eq!(message["content"][0], json!({"type": "text", "text": "I look first."}));
    let call = json!({"type": "tool_use", "id": "toolu-1-1-1", "name": "shell", "input": {"command": ["ls", "-l"]}});
    assert_eq!(message["content"][1], call);
    assert_eq!(
        (&message["usage"]["input_tokens"], &message["usage"]["output_tokens"]),
        (&json!(10), &json!(5))
    );
    assert_eq!(bench.records(1)[0]["dialect"], "anthropic-messages");
    assert_eq!(bench.records(1)[0]["response"], message);
}

#[tokio::test]
async fn streams_add_up_to_the_whole_answer() {
    for path in PATHS {
        let whole = Bench::new(script(SCRIPT)).await;
        let (_, whole) = whole.call_at(path, &said(path, "go", false)).await;
        let bench = Bench::new(script(SCRIPT)).await;
        let (status, text) = bench.call_at(path, &said(path, "go", true)).await;
        assert_eq!(status, 200);
        let events = typed_events(&text);
        let kinds: Vec<&str> = events.iter().filter_map(|event| event["type"].as_str()).collect();
        match path {
            "responses" => {
                let done = events
                    .iter()
                    .filter(|event| event["type"] == "response.output_item.done");
                let items: Vec<&Value> = done.map(|event| &event["item"]).collect();
                assert_eq!(json!(items), whole["output"]);
                let last = events.last().expect("events");
                assert_eq!(last["type"], "response.completed");
                assert_eq!(last["response"]["output"], whole["output"]);
                assert!(kinds.contains(&"response.output_text.delta"), "{kinds:?}");
                assert!(kinds.contains(&"response.function_call_arguments.delta"), "{kinds:?}");
            }
            _ => assert_eq!(
                kinds,
                [
                    "message_start",
                    "content_block_start",
                    "content_block_delta",
                    "content_block_stop",
                    "content_block_start",
                    "content_block_delta",
                    "content_block_stop",
                    "message_delta",
                    "message_stop"
                ]
            ),
        }
        let record = &bench.records(1)[0];
        let mut message = record["response"]["message"].clone();
        if path == "responses" {
            message["created_at"] = whole["created_at"].clone();
        }
        assert_eq!(message, whole, "what is recorded of a stream is the whole answer");
        assert_eq!(record["response"]["events"], text);
        assert_eq!(record["tokens"], json!({"input": 10, "cached": 0, "output": 5}));
    }
}

#[tokio::test]
async fn plain_texts_and_limits_are_told_in_the_words_of_the_dialect() {
    let text = "{replies: [{text: Short, finish_reason: length}, {text: Short, finish_reason: length}]}";
    let bench = Bench::new(script(text)).await;
    let (_, response) = bench.call_at("responses", &json!({"input": "go"})).await;
    assert_eq!(response["status"], "incomplete");
    assert_eq!(response["incomplete_details"]["reason"], "max_output_tokens");
    let (_, message) = bench.call_at("messages", &said("messages", "go", false)).await;
    assert_eq!(message["stop_reason"], "max_tokens");
    let bench = Bench::new(Arc::new(Nop)).await;
    let (_, message) = bench.call_at("messages", &said("messages", "go", false)).await;
    assert_eq!(message["content"], json!([{"type": "text", "text": nop::TEXT}]));
    let counted = bench
        .call_at("messages/count_tokens", &said("messages", "go", false))
        .await;
    assert_eq!(
        counted,
        (200, json!({"input_tokens": message["usage"]["input_tokens"]}))
    );
    assert_eq!(bench.records(1).len(), 1, "to count is no call");
}

#[tokio::test]
async fn clients_that_add_v1_themselves_and_bearers_are_welcome() {
    let bench = Bench::new(Arc::new(Nop)).await;
    let (status, _) = bench.call_at("v1/messages", &said("messages", "go", false)).await;
    assert_eq!(status, 200);
    let url = format!("{}/messages", bench.route.base_url());
    let request = bench.client.post(&url).json(&said("messages", "go", false));
    let wrong = request.try_clone().expect("a request").header("x-api-key", "sk-guess");
    let answer = wrong.send().await.expect("an answer");
    assert_eq!(answer.status(), 401);
    let body: Value = answer.json().await.expect("JSON");
    assert_eq!(
        (&body["type"], &body["error"]["type"]),
        (&json!("error"), &json!("authentication_error"))
    );
    let request = request.bearer_auth(bench.route.key());
    assert_eq!(request.send().await.expect("an answer").status(), 200);
}

#[tokio::test]
async fn errors_have_the_form_of_their_dialect() {
    let text = "{replies: [{status: 429, text: slow down, headers: {retry-after: '1'}}, {status: 529, text: busy}]}";
    let bench = Bench::new(script(text)).await;
    let (status, body) = bench.call_at("responses", &said("responses", "go", true)).await;
    assert_eq!((status, &body["error"]["type"]), (429, &json!("rate_limit_error")));
    assert_eq!(body["error"]["message"], "slow down");
    let (status, body) = bench.call_at("messages", &said("messages", "go", true)).await;
    assert_eq!(status, 529);
    assert_eq!(
        body,
        json!({"type": "error", "error": {"type": "overloaded_error", "message": "busy"}})
    );
    let kinds: Vec<_> = bench
        .route
        .failures()
        .into_iter()
        .map(|failed| failed.failure.kind)
        .collect();
    assert_eq!(kinds, [FailureKind::RateLimit, FailureKind::Provider]);
    for (path, body) in [
        ("messages", json!({"input": "x"})),
        ("responses", json!({"messages": []})),
        ("responses", json!({"input": "x", "previous_response_id": "r"})),
    ] {
        let (status, said) = bench.call_at(path, &body).await;
        assert_eq!(status, 400, "{said}");
        assert_eq!(
            bench.records(1).last().expect("a record")["error"]["kind"],
            "bad_request"
        );
    }
}

#[tokio::test]
async fn cut_streams_break_and_keep_what_came() {
    for path in PATHS {
        let bench = Bench::new(script("{replies: [{text: abcdef, cut_after: 4}]}")).await;
        let request = bench.request_at(path).json(&said(path, "go", true));
        let response = request.send().await.expect("an answer");
        assert!(response.text().await.is_err(), "{path}");
        let record = &bench.wait_for_records(1, 1).await[0];
        assert_eq!(record["error"]["kind"], "cut");
        assert_eq!(record["tokens"], Value::Null);
        let message = &record["response"]["message"];
        let texts = [
            message.pointer("/output/0/content/0/text"),
            message.pointer("/content/0/text"),
        ];
        assert_eq!(texts.into_iter().flatten().next(), Some(&json!("abcd")), "{message}");
    }
}

#[tokio::test]
async fn guards_budgets_and_limits_hold_in_every_dialect() {
    for path in PATHS {
        let bench = Bench::new(Arc::new(Nop)).await;
        bench.call_at(path, &said(path, "GUARD:/help", false)).await;
        let record = bench.records(1)[0].to_string();
        assert!(record.contains("/help") && !record.contains("GUARD"), "{record}");

        let mut spec = spec(script("{replies: [{text: 'abcdefgh abcdefgh abcdefgh'}]}"));
        let budget = Budget {
            usd: None,
            tokens: Some(1),
        };
        spec.budget.purses = vec![Arc::new(Purse::new(Scope::Trial, budget, Charge::default(), None))];
        let bench = Bench::with(GatewayConfig::default(), spec).await;
        let (status, refusal) = bench.call_at(path, &said(path, "go", true)).await;
        assert_eq!(
            (status, &refusal["error"]["code"]),
            (400, &json!("budget_used_up")),
            "{refusal}"
        );
        let failure = bench.route.failure_of_turn(1).expect("a failure");
        assert_eq!(failure.failure.kind, FailureKind::TrialBudget);
        assert_eq!(bench.records(1)[0]["stream"], true);
    }
}

#[tokio::test]
async fn conversations_are_replayed_in_every_dialect() {
    let places = regex::Regex::new("/places/[a-z]+").expect("a pattern");
    for path in PATHS {
        let first = Bench::new(script(
            "{replies: [{text: One}, {text: 'in /places/old'}, {text: Three}]}",
        ))
        .await;
        let request = |prompt: &str, stream, session: &str| {
            let mut body = said(path, prompt, stream);
            if path == "responses" {
                body["prompt_cache_key"] = json!(session);
            }
            body
        };
        let one = first.call_at(path, &request("a", false, "s1")).await;
        first.call_at(path, &request("at /places/old", true, "s1")).await;
        first.call_at(path, &request("c", false, "s1")).await;

        let varying = Varying {
            places: Some(places.clone()),
            texts: Vec::new(),
        };
        let recording = Recording::load(&[(1, first.record_path(1))]).expect("a recording");
        let second = Bench::new(Arc::new(ReplayModel::new(recording, varying, None))).await;
        assert_eq!(second.call_at(path, &request("a", false, "s2")).await, one);
        let (_, streamed) = second.call_at(path, &request("at /places/new", true, "s2")).await;
        assert!(streamed.to_string().contains("in /places/new"), "{streamed}");
        let (status, refusal) = second.call_at(path, &request("other", false, "s2")).await;
        assert_eq!(status, 400, "{refusal}");
        let divergence = second.route.divergence(1).expect("a divergence");
        assert_eq!((divergence.turn, divergence.call), (1, 3));
        assert!(
            divergence.difference.contains("- c\n+ other"),
            "{}",
            divergence.difference
        );
        assert_eq!(second.route.usage().input_tokens, 0);
    }
}
