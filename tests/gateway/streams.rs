//! Streams passed through from a provider.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use mtsec_agents::gateway::model::{Call, Content, Reply};
use mtsec_agents::gateway::{FailureKind, GatewayConfig, Model};
use serde_json::{Map, Value, json};

use crate::provider::{Act, KEY};
use crate::support::{Bench, prompt_body, spec};
use crate::upstream::{assert_no_secrets, bench};

fn chunk(choices: Value) -> String {
    format!(
        "data: {}\n\n",
        json!({"id": "c", "object": "chat.completion.chunk", "choices": choices})
    )
}

fn stream_pieces() -> (Vec<String>, String, String) {
    let shown = [
        chunk(json!([{"index": 0, "delta": {"role": "assistant", "content": "hé"}, "finish_reason": null}])),
        ": a comment\n\n".to_owned(),
        chunk(json!([{"index": 0, "delta": {"content": "llo"}, "finish_reason": "stop"}])),
    ]
    .concat();
    let usage = format!(
        "data: {}\n\n",
        json!({"choices": [], "usage": {"prompt_tokens": 50, "completion_tokens": 5}})
    );
    let done = "data: [DONE]\n\n".to_owned();
    let whole = format!("{shown}{usage}{done}");
    // Cut anywhere, even within a line end.
    let characters: Vec<char> = whole.chars().collect();
    let pieces = characters.chunks(7).map(|piece| piece.iter().collect()).collect();
    (pieces, format!("{shown}{done}"), whole)
}

#[tokio::test]
async fn streams_pass_unchanged_and_their_tokens_are_known() {
    let (pieces, hidden, whole) = stream_pieces();
    let acts = [1, 2].map(|_| Act::Stream {
        pieces: pieces.clone(),
        broken: false,
    });
    let (provider, bench) = bench(acts.into()).await;
    let mut body = prompt_body("hi");
    body["stream"] = json!(true);
    let (_, said) = bench.call(&body).await;
    assert_eq!(said, json!(hidden), "the usage that nobody asked for is held back");
    body["stream_options"] = json!({"include_usage": true});
    let (_, said) = bench.call(&body).await;
    assert_eq!(said, json!(whole));

    assert!(
        provider
            .requests()
            .iter()
            .all(|request| request["stream_options"] == json!({"include_usage": true}))
    );
    let records = bench.records(1);
    for record in &records {
        assert_eq!(record["response"]["message"]["content"], "héllo");
        assert_eq!(record["response"]["events"], json!(whole));
        assert_eq!(record["tokens"], json!({"input": 50, "cached": 0, "output": 5}));
        assert!(record.get("error").is_none());
    }
    assert_eq!(bench.route.usage().input_tokens, 100);
    assert_eq!(bench.route.failures(), []);
}

#[tokio::test]
async fn a_stream_that_breaks_off_breaks_for_the_agent_too() {
    let first = chunk(json!([{"index": 0, "delta": {"content": "par"}}]));
    let act = |broken| Act::Stream {
        pieces: vec![first.clone()],
        broken,
    };
    let (_provider, bench) = bench(vec![act(true), act(false)]).await;
    let mut body = prompt_body("hi");
    body["stream"] = json!(true);
    // Whether the connection breaks or ends as if all were said, the agent must not take half an answer for a whole.
    for number in 1..=2 {
        let response = bench.request().json(&body).send().await.expect("an answer");
        assert!(response.text().await.is_err());
        let failure = bench.route.failure_of_turn(1).expect("a failure");
        assert_eq!((failure.call, failure.failure.kind), (number, FailureKind::Cut));
    }
    assert_eq!(bench.records(1)[0]["response"]["message"]["content"], "par");
    assert_eq!(bench.route.usage().cost, None, "nobody knows what half an answer costs");
}

#[tokio::test]
async fn error_events_within_a_stream_are_failures() {
    let event = format!(
        "data: {}\n\n",
        json!({"error": {"message": format!("server_error for {KEY}")}})
    );
    let (_provider, bench) = bench(vec![Act::Stream {
        pieces: vec![event],
        broken: false,
    }])
    .await;
    let mut body = prompt_body("hi");
    body["stream"] = json!(true);
    let response = bench.request().json(&body).send().await.expect("an answer");
    assert!(response.text().await.is_err());
    let failures = bench.route.failures();
    assert_eq!(failures[0].failure.kind, FailureKind::Provider);
    assert_no_secrets(&bench, &Value::Null);
}

#[tokio::test]
async fn a_key_in_pieces_over_events_never_reaches_the_agent() {
    let say = |text: &str| chunk(json!([{"index": 0, "delta": {"content": text}, "finish_reason": null}]));
    let (half, rest) = KEY.split_at(KEY.len() / 2);
    let end = chunk(json!([{"index": 0, "delta": {}, "finish_reason": "stop"}]));
    let pieces = vec![
        say(&format!("key {half}")),
        say(rest),
        say(" and s"),
        say("o on"),
        end,
        "data: [DONE]\n\n".to_owned(),
    ];
    let (_provider, bench) = bench(vec![Act::Stream { pieces, broken: false }]).await;
    let mut body = prompt_body("hi");
    body["stream"] = json!(true);
    let (_, said) = bench.call(&body).await;
    let said = said.as_str().expect("events");
    assert!(!said.contains(half) && !said.contains(rest), "{said}");
    let record = &bench.records(1)[0]["response"];
    assert_eq!(record["message"]["content"], "key [redacted] and so on");
    assert!(!record.to_string().contains(rest), "{record}");
}

/// A model that never stops talking.
struct Talker;

#[async_trait::async_trait]
impl Model for Talker {
    async fn complete(&self, _: &Call) -> Reply {
        let event = chunk(json!([{"index": 0, "delta": {"content": "x".repeat(60_000)}}]));
        Reply {
            content: Content::Events(stream::repeat_with(move || Ok(event.clone().into())).boxed()),
            failure: None,
            applied: Map::new(),
            attempts: 1,
            tokens: None,
        }
    }
}

#[tokio::test]
async fn an_answer_that_its_client_does_not_read_is_no_wait_for_the_model() {
    let config = GatewayConfig {
        max_reply: 1 << 30,
        unread: Duration::from_secs(2),
        ..GatewayConfig::default()
    };
    let bench = Bench::with(config, spec(Arc::new(Talker))).await;
    let mut body = prompt_body("hi");
    body["stream"] = json!(true);
    let unread = bench.request().json(&body).send().await.expect("an answer");
    // It is given up in the end.
    let records = bench.wait_for_records(1, 1).await;
    assert_eq!(records.len(), 1);
    assert_eq!(records[0]["status"], 499);
    let message = records[0]["error"]["message"].as_str().expect("a message");
    assert!(message.contains("did not read"), "{message}");
    let took = Duration::from_secs_f64(records[0]["latency_ms"].as_f64().expect("a number") / 1e3);
    assert!(took >= config.unread);
    assert!(bench.route.clock().waited() <= took - config.unread);
    assert_eq!(bench.route.waited_in_vain(1), Duration::ZERO);
    assert!(unread.text().await.is_err(), "the client sees a break");
}
