//! Routes: who may pass, which turn a call belongs to, what is recorded.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use mtsec_agents::gateway::nop::{self, Nop};
use mtsec_agents::gateway::script::{Script, ScriptedModel};
use mtsec_agents::gateway::{FailureKind, GatewayError};
use serde_json::json;

use crate::support::{Bench, client, prompt_body, spec};

#[tokio::test]
async fn only_the_routes_own_key_opens_it() {
    let bench = Bench::new(Arc::new(Nop)).await;
    let other = bench.gateway.open(spec(Arc::new(Nop)));
    let url = format!("{}/chat/completions", bench.route.base_url());
    let status = async |url: &str, key: Option<&str>| {
        let request = client().post(url).json(&prompt_body("hi"));
        let request = key.into_iter().fold(request, |request, key| request.bearer_auth(key));
        let response = request.send().await.expect("an answer");
        let status = response.status().as_u16();
        let body: serde_json::Value = response.json().await.expect("JSON");
        assert!(status == 200 || body["error"]["message"].is_string(), "{body}");
        status
    };
    assert_eq!(status(&url, Some(bench.route.key())).await, 200);
    assert_eq!(status(&url, Some(other.key())).await, 401);
    assert_eq!(status(&url, None).await, 401);
    let guessed = url.replace(bench.route.key(), "guess");
    assert_eq!(status(&guessed, Some(bench.route.key())).await, 401);
    assert_ne!(bench.route.key(), other.key());
    assert!(other.key().len() >= 32);

    let (base, key) = (other.base_url().to_owned(), other.key().to_owned());
    assert_eq!(
        status(&format!("{base}/chat/completions"), Some(&key)).await,
        409,
        "no turn has begun"
    );
    drop(other);
    assert_eq!(
        status(&format!("{base}/chat/completions"), Some(&key)).await,
        401,
        "closed"
    );
    assert_eq!(bench.route.usage().calls, 1);
}

#[tokio::test]
async fn other_paths_and_dialects_are_refused_in_words() {
    let bench = Bench::new(Arc::new(Nop)).await;
    let get = |path: &str| {
        bench
            .client
            .get(format!("{}/{path}", bench.route.base_url()))
            .bearer_auth(bench.route.key())
    };
    let models: serde_json::Value = get("models")
        .send()
        .await
        .expect("an answer")
        .json()
        .await
        .expect("JSON");
    assert_eq!(models["data"][0]["id"], "wire-1");
    assert_eq!(get("chat/completions").send().await.expect("an answer").status(), 405);
    assert_eq!(get("nothing").send().await.expect("an answer").status(), 404);
    assert_eq!(get("responses").send().await.expect("an answer").status(), 405);
    let response = get("messages").send().await.expect("an answer");
    assert_eq!(response.status(), 405);
    let body: serde_json::Value = response.json().await.expect("JSON");
    assert_eq!(body["type"], "error", "an error is in the dialect of its path: {body}");
}

#[tokio::test]
async fn calls_belong_to_their_turns() {
    let bench = Bench::new(Arc::new(Nop)).await;
    assert_eq!(bench.say("one").await, nop::TEXT);
    bench.say("between").await;
    bench.begin(2);
    bench.say("two").await;
    assert_eq!((bench.records(1).len(), bench.records(2).len()), (2, 1));
    assert_eq!(bench.records(2)[0]["call"], 3);
    assert_eq!(
        (bench.route.usage_of_turn(1).calls, bench.route.usage_of_turn(2).calls),
        (2, 1)
    );
    assert_eq!(bench.route.usage().calls, 3);
    assert!(bench.route.usage().input_tokens > 0);
}

#[tokio::test]
async fn the_guard_is_removed_wherever_it_stands() {
    let bench = Bench::new(Arc::new(Nop)).await;
    let body = json!({"messages": [
        {"role": "user", "content": "GUARD:/etc/passwd is a path"},
        {"role": "user", "content": [{"type": "text", "text": "aGUARD:b"}]},
    ]});
    bench.call(&body).await;
    let record = &bench.records(1)[0];
    assert_eq!(record["request"]["messages"][0]["content"], "/etc/passwd is a path");
    assert_eq!(record["request"]["messages"][1]["content"][0]["text"], "ab");
}

#[tokio::test]
async fn bad_requests_are_answered_in_words_and_recorded() {
    let bench = Bench::new(Arc::new(Nop)).await;
    let long = prompt_body(&"x".repeat(200_000)).to_string();
    let deep = format!("{{\"messages\": {}", "[".repeat(50_000));
    let bodies = [
        "",
        "{",
        "[]",
        "{}",
        r#"{"messages": 1}"#,
        r#"{"messages": [], "stream": "yes"}"#,
        "\u{0}",
        &deep,
        &long,
    ];
    for body in bodies {
        let response = bench.request().body(body.to_owned()).send().await.expect("an answer");
        let status = response.status().as_u16();
        assert!(status == 400 || (status == 413 && body.len() > 100_000), "{status}");
        let said: serde_json::Value = response.json().await.expect("JSON");
        assert_eq!(said["error"]["type"], "invalid_request_error");
    }
    let records = bench.records(1);
    assert_eq!(records.len(), bodies.len());
    assert!(records.iter().all(|record| record["error"]["kind"] == "bad_request"));
    let usage = bench.route.usage();
    assert_eq!((usage.calls, bench.route.failures().len()), (0, 0));
    assert_eq!(bench.say("still there?").await, nop::TEXT);
    assert_eq!(bench.route.usage().cost, Some(0.0 + cost_of(&bench)));
}

fn cost_of(bench: &Bench) -> f64 {
    bench
        .records(1)
        .last()
        .and_then(|record| record["cost"].as_f64())
        .expect("a cost")
}

#[tokio::test]
async fn a_client_that_goes_away_is_recorded() {
    let text = r#"{"replies": [{"delay_seconds": 600}, {"text": "never"}]}"#;
    let script = Script::parse(&PathBuf::from("slow.yaml"), text).expect("a script");
    let bench = Bench::new(Arc::new(ScriptedModel::new(script))).await;
    let request = bench.request().json(&prompt_body("hi")).timeout(Duration::from_secs(1));
    assert!(request.send().await.expect_err("no answer").is_timeout());
    let records = bench.wait_for_records(1, 1).await;
    assert_eq!(
        (&records[0]["status"], &records[0]["error"]["kind"]),
        (&json!(499), &json!("client_gone"))
    );
    assert_eq!(records[0]["request"]["messages"][0]["content"], "hi");
    assert_eq!(bench.route.failures(), [], "not the provider's fault");
    assert_eq!(bench.route.usage().calls, 1);
}

#[tokio::test]
async fn a_record_that_cannot_be_written_is_an_infrastructure_failure() {
    let bench = Bench::new(Arc::new(Nop)).await;
    bench.route.begin_turn(2, PathBuf::from("/dev/full")).expect("it opens");
    bench.say("hi").await;
    let failure = bench.route.failure_of_turn(2).expect("a failure");
    assert_eq!(failure.failure.kind, FailureKind::Record);
    assert!(failure.failure.kind.is_infrastructure() && failure.failure.message.contains("/dev/full"));
    let nowhere = bench.folder.path().join("no/such/folder.jsonl");
    assert!(matches!(
        bench.route.begin_turn(3, nowhere),
        Err(GatewayError::Record { .. })
    ));
}

#[tokio::test]
async fn secrets_in_prompts_and_nothing_else_are_kept_out_of_the_record() {
    let bench = Bench::new(Arc::new(Nop)).await;
    bench
        .say(&format!(
            "my url is {} and Authorization: Bearer abcdef123456",
            bench.route.base_url()
        ))
        .await;
    let record = std::fs::read_to_string(bench.record_path(1)).expect("a record");
    assert!(
        !record.contains(bench.route.key()) && record.contains("abcdef123456"),
        "{record}"
    );
}

#[tokio::test]
async fn a_closed_gateway_no_longer_answers() {
    let bench = Bench::new(Arc::new(Nop)).await;
    bench.say("hi").await;
    let url = bench.route.base_url().to_owned();
    bench.gateway.close(Duration::from_secs(5)).await;
    assert!(client().get(format!("{url}/models")).send().await.is_err());
}
