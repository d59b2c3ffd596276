//! Pass-through to a provider.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mtsec_agents::gateway::backend::Backends;
use mtsec_agents::gateway::catalogue::ModelCatalogue;
use mtsec_agents::gateway::limiter::RetryPolicy;
use mtsec_agents::gateway::upstream::UpstreamConfig;
use mtsec_agents::gateway::{FailureKind, Model};
use serde_json::{Value, json};

use crate::provider::{Act, KEY, Provider, completion};
use crate::support::{Bench, prompt_body};

pub fn config() -> UpstreamConfig {
    let retry = RetryPolicy {
        attempts: 3,
        total: Duration::from_secs(30),
        first_pause: Duration::from_millis(1),
        longest_pause: Duration::from_millis(2),
    };
    UpstreamConfig {
        retry,
        read_timeout: Duration::from_secs(20),
        ..UpstreamConfig::default()
    }
}

/// The model `name` at this base, set up as a run sets it up.
pub fn model(name: &str, base: &str, key: &str) -> Arc<dyn Model> {
    model_with(config(), name, base, key)
}

/// The same, with other settings of the way to the provider.
pub fn model_with(config: UpstreamConfig, name: &str, base: &str, key: &str) -> Arc<dyn Model> {
    let catalogue = ModelCatalogue::built_in().expect("the table");
    let resolved = catalogue
        .resolve_with(name, Some(base), &|variable| {
            (variable == "MTSEC_API_KEY").then(|| key.to_owned())
        })
        .expect("a model");
    let settings = resolved.settings(None, None).expect("settings");
    Backends::new(config)
        .model(&resolved, settings, None)
        .expect("a backend")
}

pub async fn bench(acts: Vec<Act>) -> (Provider, Bench) {
    let provider = Provider::start(acts).await;
    let bench = Bench::new(model("gpt-4o", &provider.base, KEY)).await;
    (provider, bench)
}

/// Everything on disk and everything said, searched for the secrets.
pub fn assert_no_secrets(bench: &Bench, said: &Value) {
    let record = std::fs::read_to_string(bench.record_path(1)).expect("a record");
    let failures = format!("{:?}", bench.route.failures());
    for text in [record, failures] {
        assert!(!text.contains(KEY) && !text.contains(bench.route.key()), "{text}");
    }
    assert!(!said.to_string().contains(KEY), "{said}");
}

#[tokio::test]
async fn the_key_is_swapped_and_the_papers_settings_are_applied() {
    let (provider, bench) = bench(vec![Act::json(200, completion("hello"))]).await;
    let body =
        json!({"model": "agent-name", "temperature": 0.3, "seed": 5, "messages": [{"role": "user", "content": "hi"}]});
    let (status, said) = bench.call(&body).await;
    assert_eq!((status, &said), (200, &completion("hello")));
    let expected =
        json!({"model": "wire-1", "temperature": 0.0, "seed": 5, "messages": [{"role": "user", "content": "hi"}]});
    assert_eq!(provider.requests(), [expected]);

    let record = &bench.records(1)[0];
    assert_eq!(record["request"], body);
    assert_eq!(record["response"], said);
    assert_eq!(record["applied"], json!({"model": "wire-1", "temperature": 0.0}));
    assert_eq!(
        (&record["turn"], &record["call"], &record["status"]),
        (&json!(1), &json!(1), &json!(200))
    );
    assert!(record["latency_ms"].as_f64().expect("a number") > 0.0);
    let usage = bench.route.usage_of_turn(1);
    assert_eq!((usage.calls, usage.input_tokens, usage.output_tokens), (1, 100, 7));
    let cost = usage.cost.expect("a cost");
    assert!(
        (cost - (60.0 * 2.0 + 40.0 * 1.0 + 7.0 * 10.0) / 1e6).abs() < 1e-12,
        "{cost}"
    );
    assert_eq!(usage, bench.route.usage());
    assert_no_secrets(&bench, &said);
}

#[tokio::test]
async fn reasoning_models_get_an_effort_and_no_temperature() {
    let provider = Provider::start(Vec::new()).await;
    let bench = Bench::new(model("o3", &provider.base, KEY)).await;
    let mut body = prompt_body("hi");
    body["temperature"] = json!(0);
    bench.call(&body).await;
    body["reasoning_effort"] = json!("high");
    bench.call(&body).await;
    let requests = provider.requests();
    assert_eq!(
        (&requests[0]["reasoning_effort"], &requests[1]["reasoning_effort"]),
        (&json!("low"), &json!("high"))
    );
    assert!(requests.iter().all(|request| request.get("temperature").is_none()));
    assert_eq!(bench.records(1)[0]["applied"]["temperature"], Value::Null);
}

#[tokio::test]
async fn passing_faults_are_retried_as_late_as_the_provider_asks() {
    let busy = Act::error(429, &[("retry-after", "0.3")], "slow down");
    let (provider, bench) = bench(vec![
        busy,
        Act::error(503, &[], "oops"),
        Act::json(200, completion("at last")),
    ])
    .await;
    let start = Instant::now();
    assert_eq!(bench.say("hi").await, "at last");
    assert!(start.elapsed() >= Duration::from_millis(300));
    assert_eq!(provider.requests().len(), 3);
    assert_eq!(bench.route.failures(), []);
    assert_eq!(bench.records(1)[0]["attempts"], 3);
}

#[tokio::test]
async fn what_remains_of_a_fault_reaches_the_agent_and_is_told_apart() {
    let faults = (0..4).map(|_| Act::error(503, &[], "overloaded")).collect();
    let (provider, bench) = bench(faults).await;
    let response = bench
        .request()
        .json(&prompt_body("hi"))
        .send()
        .await
        .expect("an answer");
    assert_eq!(response.status(), 503);
    assert_eq!(response.headers()["x-should-retry"], "false");
    assert_eq!(provider.requests().len(), 3);
    let failure = bench.route.failure_of_turn(1).expect("a failure");
    assert_eq!(
        (failure.failure.kind, failure.failure.status),
        (FailureKind::Provider, Some(503))
    );
    assert!(failure.failure.message.contains("overloaded"));
    assert!(failure.failure.kind.is_infrastructure());

    // The agent retries as well: the two must not multiply.
    assert_eq!(bench.call(&prompt_body("hi")).await.0, 503);
    assert_eq!(provider.requests().len(), 4);
    assert_eq!(bench.say("hi").await, "again");
    assert_eq!(bench.route.failure_of_turn(1), None, "the turn's last call went well");
    assert_eq!(bench.route.failures().len(), 2);
    assert_eq!(bench.route.usage().calls, 3);
}

#[tokio::test]
async fn refusals_are_not_retried_and_never_show_the_key() {
    let provider = Provider::start(Vec::new()).await;
    let wrong = "sk-wrong-key-987654321";
    let bench = Bench::new(model("gpt-4o", &provider.base, wrong)).await;
    let (status, said) = bench.call(&prompt_body("hi")).await;
    assert_eq!(status, 401);
    assert!(
        said["error"]["message"]
            .as_str()
            .expect("a message")
            .contains("[redacted]")
    );
    let record = std::fs::read_to_string(bench.record_path(1)).expect("a record");
    let failures = bench.route.failures();
    assert_eq!(failures[0].failure.kind, FailureKind::Authentication);
    assert!(
        ![said.to_string(), record, format!("{failures:?}")]
            .iter()
            .any(|text| text.contains(wrong))
    );
}

#[tokio::test]
async fn an_answer_that_repeats_the_key_loses_it_and_nothing_else() {
    let text = format!("the key is {KEY}; a header says `Authorization: Bearer abcdefghijkl`");
    let headers = [("content-type", "application/json"), ("x-request-id", KEY)];
    let (_provider, bench) = bench(vec![Act::Answer {
        status: 200,
        headers: headers.map(|(name, value)| (name, value.to_owned())).into(),
        body: completion(&text).to_string(),
    }])
    .await;
    let request = bench.request().json(&prompt_body("hi"));
    let answer = request.send().await.expect("an answer");
    assert_eq!(answer.headers()["x-request-id"], "[redacted]");
    let said: Value = answer.json().await.expect("JSON");
    assert_eq!(
        said["choices"][0]["message"]["content"],
        json!(text.replace(KEY, "[redacted]"))
    );
    assert_no_secrets(&bench, &said);
}

#[tokio::test]
async fn a_good_status_without_an_answer_is_a_failure_of_the_provider() {
    let acts = [json!({}), json!({"choices": [], "usage": {"prompt_tokens": 1}})].map(|body| Act::json(200, body));
    let (_provider, bench) = bench(acts.into()).await;
    for _ in 0..2 {
        assert_eq!(bench.call(&prompt_body("hi")).await.0, 502);
    }
    let kinds = bench.route.failures().into_iter().map(|failed| failed.failure.kind);
    assert_eq!(kinds.collect::<Vec<_>>(), [FailureKind::Malformed; 2]);
    assert!(FailureKind::Malformed.is_infrastructure());
}

#[tokio::test]
async fn calls_without_counts_are_counted_as_such() {
    let mut floats = completion("a");
    floats["usage"] = json!({"prompt_tokens": 1000.0, "completion_tokens": 20.0});
    let mut silent = completion("b");
    silent["usage"] = Value::Null;
    let (_provider, bench) = bench([floats, silent].map(|body| Act::json(200, body)).into()).await;
    for _ in 0..2 {
        assert_eq!(bench.call(&prompt_body("hi")).await.0, 200);
    }
    let usage = bench.route.usage();
    assert_eq!((usage.calls, usage.uncounted), (2, 1));
    assert_eq!((usage.input_tokens, usage.output_tokens), (1000, 20));
}

#[tokio::test]
async fn a_whole_answer_that_broke_is_uncounted_unless_its_count_came() {
    let html = Act::Answer {
        status: 200,
        headers: Vec::new(),
        body: "<html>".to_owned(),
    };
    let broken = [
        Act::CutOff(r#"{"choices": [{"message": {"content": "half"#),
        html,
        Act::json(200, json!({"choices": []})),
    ];
    for act in broken {
        let (_provider, bench) = bench(vec![act]).await;
        assert_eq!(bench.call(&prompt_body("hi")).await.0, 502);
        let usage = bench.route.usage();
        assert_eq!((usage.calls, usage.uncounted, usage.cost), (1, 1, None));
        let record = &bench.records(1)[0];
        assert_eq!(
            (&record["tokens"], &record["cost"]),
            (&Value::Null, &Value::Null),
            "{record}"
        );
    }
    let counted = json!({"choices": [], "usage": {"prompt_tokens": 1000, "completion_tokens": 20}});
    let refused = Act::error(400, &[], "no");
    let (_provider, bench) = bench(vec![Act::json(200, counted), refused]).await;
    let dollars = (1000.0 * 2.0 + 20.0 * 10.0) / 1e6;
    for (status, calls) in [(502, 1), (400, 2)] {
        assert_eq!(bench.call(&prompt_body("hi")).await.0, status);
        let usage = bench.route.usage();
        assert_eq!((usage.calls, usage.uncounted), (calls, 0));
        assert_eq!((usage.input_tokens, usage.output_tokens), (1000, 20));
        let cost = usage.cost.expect("a refusal costs nothing");
        assert!((cost - dollars).abs() < 1e-12, "{cost}");
    }
}

#[tokio::test]
async fn kinds_of_failure_come_from_statuses_and_codes() {
    let coded = |status, code: &str| Act::json(status, json!({"error": {"message": "no", "code": code}}));
    let html = Act::Answer {
        status: 200,
        headers: Vec::new(),
        body: "<html>".to_owned(),
    };
    let moved = Act::Answer {
        status: 307,
        headers: vec![("location", "http://127.0.0.1:9/".to_owned())],
        body: String::new(),
    };
    let acts = vec![
        coded(400, "context_length_exceeded"),
        coded(429, "insufficient_quota"),
        coded(404, "x"),
        html,
        moved,
    ];
    let (provider, bench) = bench(acts).await;
    let mut statuses = Vec::new();
    for _ in 0..5 {
        statuses.push(bench.call(&prompt_body("hi")).await.0);
    }
    let kinds: Vec<FailureKind> = bench
        .route
        .failures()
        .iter()
        .map(|failure| failure.failure.kind)
        .collect();
    use FailureKind::{Malformed, Quota, Rejected, TokenLimit};
    assert_eq!(kinds, [TokenLimit, Quota, Rejected, Malformed, Malformed]);
    assert_eq!(statuses, [400, 429, 404, 502, 502]);
    assert_eq!(provider.requests().len(), 5);
    assert!(!kinds[0].is_infrastructure());
}

#[tokio::test]
async fn silence_and_closed_ports_end_in_time() {
    let provider = Provider::start(vec![Act::Hang]).await;
    let impatient = UpstreamConfig {
        read_timeout: Duration::from_millis(300),
        ..config()
    };
    let bench = Bench::new(model_with(impatient, "gpt-4o", &provider.base, KEY)).await;
    assert_eq!(bench.call(&prompt_body("hi")).await.0, 504);
    assert_eq!(bench.route.failures()[0].failure.kind, FailureKind::TimedOut);
    assert_eq!(
        provider.requests().len(),
        1,
        "a slow answer may cost money: it is not asked for twice"
    );

    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .expect("a port")
        .local_addr()
        .expect("an address");
    for scheme in ["http", "https"] {
        let bench = Bench::new(model("gpt-4o", &format!("{scheme}://{closed}/v1"), KEY)).await;
        let (status, said) = bench.call(&prompt_body("hi")).await;
        assert_eq!(status, 502);
        assert_eq!(bench.route.failures()[0].failure.kind, FailureKind::Unreachable);
        assert_eq!(bench.records(1)[0]["attempts"], 3);
        assert_no_secrets(&bench, &said);
    }
}

#[tokio::test]
async fn errors_said_with_a_good_status_are_errors() {
    let act = || Act::json(200, json!({"error": {"message": "upstream is busy", "code": 429}}));
    let (provider, bench) = bench((0..3).map(|_| act()).collect()).await;
    assert_eq!(bench.call(&prompt_body("hi")).await.0, 429);
    assert_eq!(bench.route.failures()[0].failure.kind, FailureKind::RateLimit);
    assert_eq!(provider.requests().len(), 3);
}
