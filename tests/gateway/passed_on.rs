//! Responses and messages, passed on to a provider.

use std::sync::Arc;

use mtsec_agents::gateway::backend::Backends;
use mtsec_agents::gateway::catalogue::ModelCatalogue;
use mtsec_agents::gateway::{FailureKind, Model};
use serde_json::{Value, json};

use crate::provider::{Act, KEY, Provider};
use crate::support::Bench;
use crate::upstream::{assert_no_secrets, config, model};

fn response(text: &str) -> Value {
    json!({
        "id": "r1", "object": "response", "status": "completed", "error": null, "model": "wire-1",
        "output": [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]}],
        "usage": {"input_tokens": 100, "input_tokens_details": {"cached_tokens": 40}, "output_tokens": 7},
    })
}

fn message(text: &str) -> Value {
    json!({
        "id": "m1", "type": "message", "role": "assistant", "content": [{"type": "text", "text": text}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 50, "cache_read_input_tokens": 40, "cache_creation_input_tokens": 10, "output_tokens": 7},
    })
}

fn responses_body(stream: bool) -> Value {
    json!({
        "model": "agent", "input": [{"role": "user", "content": "hi"}], "temperature": 1, "stream": stream,
        "reasoning": {"summary": "auto"}, "store": false,
    })
}

fn messages_body(stream: bool) -> Value {
    json!({"model": "agent", "messages": [{"role": "user", "content": "hi"}], "temperature": 1, "stream": stream})
}

fn event(data: Value) -> String {
    format!("event: {}\ndata: {data}\n\n", data["type"].as_str().expect("a type"))
}

/// Cut anywhere, even within a line end.
fn streamed(events: &[Value], broken: bool) -> (Act, String) {
    let whole: String = events.iter().cloned().map(event).collect();
    let characters: Vec<char> = whole.chars().collect();
    let pieces = characters.chunks(11).map(|piece| piece.iter().collect()).collect();
    (Act::Stream { pieces, broken }, whole)
}

async fn bench(name: &str, acts: Vec<Act>) -> (Provider, Bench) {
    let provider = Provider::start(acts).await;
    let bench = Bench::new(model(name, &provider.base, KEY)).await;
    (provider, bench)
}

#[tokio::test]
async fn requests_get_the_papers_settings_and_tokens_are_counted() {
    let (provider, responses) = bench("o3", vec![Act::json(200, response("hello"))]).await;
    let (status, said) = responses.call_at("responses", &responses_body(false)).await;
    assert_eq!((status, &said), (200, &response("hello")));
    let sent = &provider.requests()[0];
    assert_eq!(sent["reasoning"], json!({"summary": "auto", "effort": "low"}));
    assert_eq!((sent.get("temperature"), &sent["model"]), (None, &json!("wire-1")));

    let (provider, messages) = bench("claude-sonnet-4", vec![Act::json(200, message("hello"))]).await;
    let (status, said) = messages.call_at("messages", &messages_body(false)).await;
    assert_eq!((status, &said), (200, &message("hello")));
    let sent = &provider.requests()[0];
    assert_eq!(sent["thinking"], json!({"type": "enabled", "budget_tokens": 4000}));
    assert_eq!((sent.get("temperature"), &sent["max_tokens"]), (None, &json!(64000)));

    for bench in [responses, messages] {
        let record = &bench.records(1)[0];
        // What Anthropic puts into its cache costs a quarter more.
        let stored = record["tokens"].get("stored").and_then(Value::as_u64).unwrap_or(0);
        assert_eq!(stored, if record["dialect"] == "openai-responses" { 0 } else { 10 });
        assert_eq!(
            (&record["tokens"]["input"], &record["tokens"]["cached"]),
            (&json!(100), &json!(40))
        );
        let cost = record["cost"].as_f64().expect("a cost");
        let wanted = (60.0 + 0.25 * stored as f64) * 2.0 + 40.0 * 1.0 + 7.0 * 10.0;
        assert!((cost - wanted / 1e6).abs() < 1e-12, "{cost}");
        assert_eq!(record["applied"]["temperature"], Value::Null);
        assert_no_secrets(&bench, &record["response"]);
    }
}

/// A stream of each dialect that says `text`, and calls a tool.
fn stream_of(path: &str, text: &[&str]) -> Vec<Value> {
    let deltas = text.iter();
    match path {
        "responses" => {
            let call = json!({"type": "function_call", "call_id": "c1", "name": "shell", "arguments": "{}"});
            let started = json!({"type": "message", "role": "assistant", "content": []});
            let mut events = vec![
                json!({"type": "response.created", "response": {"id": "r1", "error": null, "output": []}}),
                json!({"type": "response.output_item.added", "output_index": 0, "item": started}),
            ];
            events.extend(deltas.map(|text| {
                json!({"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": text})
            }));
            let mut last = response(&text.concat());
            last["output"].as_array_mut().expect("output").push(call.clone());
            events.push(json!({"type": "response.output_item.done", "output_index": 0, "item": last["output"][0]}));
            events.push(json!({"type": "response.output_item.done", "output_index": 1, "item": call}));
            events.push(json!({"type": "response.completed", "response": last}));
            events
        }
        _ => {
            let mut started = message("");
            started["content"] = json!([]);
            started["stop_reason"] = Value::Null;
            started["usage"]["output_tokens"] = json!(1);
            let call = json!({"type": "tool_use", "id": "c1", "name": "shell", "input": {}});
            let mut events = vec![
                json!({"type": "message_start", "message": started}),
                json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
            ];
            events.extend(deltas.map(|text| {
                json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}})
            }));
            let piece = |piece: &str| {
                let delta = json!({"type": "input_json_delta", "partial_json": piece});
                json!({"type": "content_block_delta", "index": 1, "delta": delta})
            };
            events.extend([
                json!({"type": "content_block_stop", "index": 0}),
                json!({"type": "content_block_start", "index": 1, "content_block": call}),
                piece("{\"a\""),
                piece(":1}"),
                json!({"type": "content_block_stop", "index": 1}),
                json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 7}}),
                json!({"type": "message_stop"}),
            ]);
            events
        }
    }
}

fn body(path: &str) -> Value {
    if path == "responses" {
        responses_body(true)
    } else {
        messages_body(true)
    }
}

/// The text and the call of a recorded message.
fn recorded(record: &Value) -> (Value, Value) {
    let message = &record["response"]["message"];
    match message.get("output") {
        Some(output) => (output[0]["content"][0]["text"].clone(), output[1]["name"].clone()),
        None => (
            message["content"][0]["text"].clone(),
            message["content"][1]["name"].clone(),
        ),
    }
}

#[tokio::test]
async fn streams_pass_unchanged_and_their_tokens_are_known() {
    for (path, name) in [("responses", "gpt-4o"), ("messages", "claude-3-5-sonnet")] {
        let (act, whole) = streamed(&stream_of(path, &["hé", "llo"]), false);
        let (_provider, bench) = bench(name, vec![act]).await;
        let (status, said) = bench.call_at(path, &body(path)).await;
        assert_eq!((status, said), (200, json!(whole)));
        let record = &bench.records(1)[0];
        assert_eq!(recorded(record), (json!("héllo"), json!("shell")), "{record}");
        let tokens = ["input", "cached", "output"].map(|name| record["tokens"][name].as_u64());
        assert_eq!(tokens, [Some(100), Some(40), Some(7)]);
        assert_eq!(record["response"]["events"], json!(whole));
        assert_eq!(bench.route.failures(), []);
    }
}

#[tokio::test]
async fn streams_that_break_off_break_for_the_agent_too() {
    for path in ["responses", "messages"] {
        let events = stream_of(path, &["par", "tial"]);
        let acts = [true, false].map(|broken| streamed(&events[..3], broken).0);
        let (_provider, bench) = bench("gpt-4o", acts.into()).await;
        for number in 1..=2 {
            let request = bench.request_at(path).json(&body(path));
            let response = request.send().await.expect("an answer");
            assert!(response.text().await.is_err(), "{path}");
            let failure = bench.route.failure_of_turn(1).expect("a failure");
            assert_eq!((failure.call, failure.failure.kind), (number, FailureKind::Cut));
        }
        assert_eq!(recorded(&bench.records(1)[0]).0, "par");
        assert_eq!(bench.route.usage().cost, None);
    }
}

#[tokio::test]
async fn a_key_in_pieces_or_in_an_error_never_reaches_the_agent() {
    let (half, rest) = KEY.split_at(KEY.len() / 2);
    for path in ["responses", "messages"] {
        let (act, _) = streamed(&stream_of(path, &["key ", half, rest, " and so on"]), false);
        let error = match path {
            "responses" => {
                json!({"type": "response.failed", "response": {"error": {"code": "server_error", "message": KEY}}})
            }
            _ => json!({"type": "error", "error": {"type": "overloaded_error", "message": KEY}}),
        };
        let (failed, _) = streamed(&[error], false);
        let (_provider, bench) = bench("gpt-4o", vec![act, failed]).await;
        let (_, said) = bench.call_at(path, &body(path)).await;
        let said = said.as_str().expect("events").to_owned();
        assert!(!said.contains(half) && !said.contains(rest), "{said}");
        assert!(
            said.lines().filter(|line| !line.is_empty()).count() % 2 == 0,
            "every event has its type: {said}"
        );
        assert_eq!(recorded(&bench.records(1)[0]).0, "key [redacted] and so on");

        let request = bench.request_at(path).json(&body(path));
        let text = request
            .send()
            .await
            .expect("an answer")
            .text()
            .await
            .unwrap_or_default();
        assert!(!text.contains(KEY), "{text}");
        let failures = bench.route.failures();
        assert_eq!(failures.len(), 1, "{failures:?}");
        assert_eq!(failures[0].failure.kind, FailureKind::Provider);
        assert_no_secrets(&bench, &json!(said));
    }
}

#[tokio::test]
async fn faults_are_retried_and_what_remains_is_given_as_it_was_said() {
    for (path, good) in [("responses", response("ok")), ("messages", message("ok"))] {
        let busy = json!({"type": "error", "error": {"type": "overloaded_error", "message": "busy"}});
        let long =
            json!({"type": "error", "error": {"type": "invalid_request_error", "message": "prompt is too long"}});
        let said_well = json!({"error": {"type": "overloaded_error", "code": 529, "message": "busy"}});
        let acts = vec![
            Act::json(529, busy),
            Act::json(200, said_well),
            Act::json(200, good),
            Act::json(400, long.clone()),
            Act::json(200, json!({"nothing": true})),
        ];
        let (provider, bench) = bench("gpt-4o", acts).await;
        let mut body = body(path);
        body["stream"] = json!(false);
        assert_eq!(bench.call_at(path, &body).await.0, 200);
        assert_eq!((provider.requests().len(), bench.route.failures().len()), (3, 0));
        assert_eq!(bench.call_at(path, &body).await, (400, long));
        assert_eq!(bench.call_at(path, &body).await.0, 502);
        let kinds: Vec<_> = bench
            .route
            .failures()
            .into_iter()
            .map(|failed| failed.failure.kind)
            .collect();
        assert_eq!(kinds, [FailureKind::TokenLimit, FailureKind::Malformed]);
    }
}

#[tokio::test]
async fn a_wrong_key_is_refused_without_being_shown() {
    let provider = Provider::start(Vec::new()).await;
    let wrong = "sk-wrong-key-987654321";
    let bench = Bench::new(model("claude-sonnet-4", &provider.base, wrong)).await;
    let (status, said) = bench.call_at("messages", &messages_body(false)).await;
    assert_eq!(status, 401);
    assert!(
        said.to_string().contains("[redacted]") && !said.to_string().contains(wrong),
        "{said}"
    );
    assert_eq!(bench.route.failures()[0].failure.kind, FailureKind::Authentication);
}

#[tokio::test]
async fn a_model_is_not_called_in_a_dialect_without_words_for_its_settings() {
    let provider = Provider::start(Vec::new()).await;
    for (name, path, status) in [
        ("claude-sonnet-4", "responses", 400),
        ("gemini-2.5-pro", "responses", 400),
        ("gemini-2.5-pro", "messages", 400),
        ("gpt-5", "messages", 400),
        ("claude-sonnet-4", "chat/completions", 200),
    ] {
        let bench = Bench::new(model(name, &provider.base, KEY)).await;
        let body = json!({"input": "hi", "max_tokens": 9000, "messages": [{"role": "user", "content": "hi"}]});
        let (said, answer) = bench.call_at(path, &body).await;
        assert_eq!(said, status, "{name} {path}: {answer}");
        let attempts = if status == 200 { 1 } else { 0 };
        assert_eq!(bench.records(1)[0]["attempts"], attempts, "{name} {path}");
    }
    let requests = provider.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0]["thinking"]["budget_tokens"], 4000);
}

#[tokio::test]
async fn what_the_provider_does_not_speak_is_refused_in_words() {
    let catalogue = ModelCatalogue::built_in().expect("the table");
    let key = |_: &str| Some(KEY.to_owned());
    let resolved = catalogue.resolve_with("claude-sonnet-4", None, &key).expect("a model");
    let settings = resolved.settings(None, None).expect("settings");
    let claude: Arc<dyn Model> = Backends::new(config())
        .model(&resolved, settings, None)
        .expect("a backend");
    let bench = Bench::new(claude).await;
    let (status, said) = bench.call_at("responses", &responses_body(false)).await;
    let words = said["error"]["message"].as_str().expect("words");
    assert_eq!(
        (status, words),
        (
            400,
            "the model is called in anthropic-messages, not in openai-responses"
        )
    );
    assert_eq!(bench.records(1)[0]["attempts"], 0);
}
