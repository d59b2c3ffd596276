//! Budgets at the gateway: what is refused, what is lowered, and what calls in flight may do together.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mtsec_agents::budget::{Budget, Charge, Scope};
use mtsec_agents::gateway::model::{Call, Reply};
use mtsec_agents::gateway::nop::Nop;
use mtsec_agents::gateway::script::{Script, ScriptedModel};
use mtsec_agents::gateway::upstream::UpstreamConfig;
use mtsec_agents::gateway::{FailureKind, Gateway, GatewayConfig, Model, Purse};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::provider::{Act, KEY, Provider, completion};
use crate::support::{Bench, client, prompt_body, spec};
use crate::upstream::{config, model, model_with};

/// A bench whose calls must fit into these purses.
async fn bench(model: Arc<dyn Model>, purses: Vec<Arc<Purse>>) -> Bench {
    let gateway = Gateway::start(GatewayConfig::default()).await.expect("a gateway");
    let mut spec = spec(model);
    spec.budget.purses = purses;
    let bench = Bench {
        route: gateway.open(spec),
        gateway,
        folder: tempfile::tempdir().expect("a folder"),
        client: client(),
    };
    bench.begin(1);
    bench
}

fn purse(scope: Scope, usd: Option<f64>, tokens: Option<u64>, stop: Option<CancellationToken>) -> Arc<Purse> {
    let budget = Budget { usd, tokens };
    Arc::new(Purse::new(scope, budget, Charge::default(), stop))
}

/// A model that tells when it is asked, and never answers.
struct Silent(Arc<Notify>);

#[async_trait::async_trait]
impl Model for Silent {
    async fn complete(&self, call: &Call) -> Reply {
        call.asked();
        self.0.notify_one();
        std::future::pending().await
    }
}

fn scripted(replies: Value) -> Arc<dyn Model> {
    let text = json!({ "replies": replies }).to_string();
    let script = Script::parse(&PathBuf::from("s.yaml"), &text).expect("a script");
    Arc::new(ScriptedModel::new(script))
}

#[tokio::test]
async fn a_call_without_room_is_refused_in_words_and_recorded() {
    let usage = json!({"input": 400, "output": 100});
    let purse = purse(Scope::Trial, None, Some(510), None);
    let model = scripted(json!([{"text": "one", "usage": usage}, {"text": "never"}]));
    let bench = bench(model, vec![purse.clone()]).await;
    assert_eq!(bench.say("hi").await, "one");
    assert_eq!(purse.spent().tokens, 500);

    let response = bench
        .request()
        .json(&prompt_body("more"))
        .send()
        .await
        .expect("an answer");
    assert_eq!(response.status(), 400);
    assert_eq!(response.headers()["x-should-retry"], "false");
    let said: Value = response.json().await.expect("JSON");
    assert_eq!(said["error"]["code"], "budget_used_up");
    let failure = bench.route.failure_of_turn(1).expect("a failure");
    assert_eq!(failure.failure.kind, FailureKind::TrialBudget);
    assert!(!failure.failure.kind.is_infrastructure() && !bench.route.stopped_by_run());

    let records = bench.records(1);
    assert_eq!(records[0]["charge"]["tokens"], 500);
    assert_eq!(
        (
            &records[1]["error"]["kind"],
            &records[1]["attempts"],
            &records[1]["charge"]
        ),
        (&json!("trial_budget"), &json!(0), &Value::Null)
    );
    let message = records[1]["error"]["message"].as_str().expect("a message");
    assert!(
        message.contains("the trial's budget of 510 tokens is used up"),
        "{message}"
    );
    assert_eq!(bench.route.usage().calls, 1);
}

#[tokio::test]
async fn what_the_model_may_write_is_lowered_to_what_is_left() {
    let provider = Provider::start(Vec::new()).await;
    let purse = purse(Scope::Trial, None, Some(1000), None);
    let bench = bench(model("my-model", &provider.base, KEY), vec![purse]).await;
    // Of a model that the table does not know nobody knows how much it writes: it is told.
    bench.call(&prompt_body("hi")).await;
    let mut named = prompt_body("hi");
    named["max_completion_tokens"] = json!(5000);
    bench.call(&named).await;
    let mut small = prompt_body("hi");
    small["max_tokens"] = json!(20);
    bench.call(&small).await;

    let requests = provider.requests();
    let lowered = |request: &Value, name: &str| request[name].as_u64().expect("a limit");
    assert!(
        (900..1000).contains(&lowered(&requests[0], "max_tokens")),
        "{}",
        requests[0]
    );
    assert!(
        (800..900).contains(&lowered(&requests[1], "max_completion_tokens")) && requests[1].get("max_tokens").is_none(),
        "{}",
        requests[1]
    );
    assert_eq!(lowered(&requests[2], "max_tokens"), 20, "enough is left");
    let applied = &bench.records(1)[0]["applied"];
    assert_eq!(applied["max_tokens"], requests[0]["max_tokens"]);
}

#[tokio::test]
async fn calls_of_several_trials_share_the_runs_budget_and_do_not_slip_through_together() {
    let acts = (0..20).map(|_| Act::json(200, completion("ok"))).collect();
    let provider = Provider::start(acts).await;
    let stop = CancellationToken::new();
    // A call uses 107 tokens and may use some 60 + 200: there is room for three, and for no fourth.
    let run = purse(Scope::Run, None, Some(3 * 107 + 60), Some(stop.clone()));
    let model = model("my-model", &provider.base, KEY);
    let (first, second) = (
        bench(model.clone(), vec![run.clone()]).await,
        bench(model, vec![run.clone()]).await,
    );
    let mut body = prompt_body(&"x".repeat(60));
    body["max_tokens"] = json!(200);
    let calls = (0..8).map(|number| {
        let bench = if number % 2 == 0 { &first } else { &second };
        bench.call(&body)
    });
    let statuses: Vec<u16> = futures_util::future::join_all(calls)
        .await
        .into_iter()
        .map(|(status, _)| status)
        .collect();
    assert_eq!(
        statuses.iter().filter(|status| **status == 200).count(),
        3,
        "{statuses:?}"
    );
    assert_eq!(provider.requests().len(), 3);
    assert!(run.is_used_up() && stop.is_cancelled());
    assert_eq!(run.spent().tokens, 3 * 107);
    assert!(first.route.stopped_by_run() && second.route.stopped_by_run());
}

#[tokio::test]
async fn money_is_counted_by_the_prices_and_an_answer_without_a_count_by_its_size() {
    let silent = json!({"choices": [{"index": 0, "message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}]});
    let acts = vec![Act::json(200, completion("ok")), Act::json(200, silent)];
    let provider = Provider::start(acts).await;
    let purse = purse(Scope::Trial, Some(0.01), None, None);
    let bench = bench(model("my-model", &provider.base, KEY), vec![purse.clone()]).await;
    let mut body = prompt_body("hi");
    body["max_tokens"] = json!(500);
    bench.call(&body).await;
    let counted = purse.spent().usd;
    assert!(
        (counted - (60.0 * 2.0 + 40.0 * 1.0 + 7.0 * 10.0) / 1e6).abs() < 1e-12,
        "{counted}"
    );
    bench.call(&body).await;
    let more = purse.spent().usd - counted;
    assert!(more > 0.0 && more < 0.005, "{more}");
    assert_eq!(bench.records(1)[1]["tokens"], Value::Null);
}

#[tokio::test]
async fn what_is_put_into_a_cache_is_set_aside_and_taken_at_its_price() {
    let usage = json!({"input_tokens": 10, "cache_creation_input_tokens": 1000, "output_tokens": 1,
        "cache_creation": {"ephemeral_1h_input_tokens": 1000}});
    let answer = json!({"type": "message", "content": [], "stop_reason": "end_turn", "usage": usage});
    let provider = Provider::start(vec![Act::json(200, answer)]).await;
    let purse = purse(Scope::Trial, Some(1.0), None, None);
    let bench = bench(model("claude-3-5-sonnet", &provider.base, KEY), vec![purse.clone()]).await;
    let text = json!({"type": "text", "text": "hi", "cache_control": {"type": "ephemeral", "ttl": "1h"}});
    let body = json!({"max_tokens": 100, "messages": [{"role": "user", "content": [text]}]});
    assert_eq!(bench.call_at("messages", &body).await.0, 200);
    let close = |left: f64, right: f64| assert!((left - right).abs() < 1e-12, "{left} {right}");
    let sent = std::fs::read_to_string(bench.record_path(1).with_extension("sent.jsonl")).expect("what was sent");
    let sent: Charge = serde_json::from_value(serde_json::from_str::<Value>(&sent).expect("a line")["charge"].clone())
        .expect("a charge");
    close(sent.usd, ((sent.tokens - 100) as f64 * 2.0 * 2.0 + 100.0 * 10.0) / 1e6);
    close(purse.spent().usd, (10.0 * 2.0 + 1000.0 * 2.0 * 2.0 + 10.0) / 1e6);
    assert_eq!(purse.spent().tokens, 1011);
}

#[tokio::test]
async fn a_call_that_never_came_back_may_have_cost_all_that_was_set_aside() {
    let purse = purse(Scope::Trial, None, Some(10_000), None);
    let asked = Arc::new(Notify::new());
    let bench = bench(Arc::new(Silent(asked.clone())), vec![purse.clone()]).await;
    let mut body = prompt_body("hi");
    body["max_tokens"] = json!(700);
    let call = tokio::spawn(bench.request().json(&body).send());
    asked.notified().await;
    // Should this program be killed now, it is known what the call may have cost.
    let sent = std::fs::read_to_string(bench.record_path(1).with_extension("sent.jsonl")).expect("what was sent");
    let sent: Value = serde_json::from_str(&sent).expect("a line");
    assert!(
        sent["call"] == 1 && sent["charge"]["tokens"].as_u64() >= Some(700),
        "{sent}"
    );
    call.abort();
    let records = bench.wait_for_records(1, 1).await;
    let charge = records[0]["charge"]["tokens"].as_u64().expect("a charge");
    assert!((700..800).contains(&charge), "{charge}");
    assert_eq!(purse.spent().tokens, charge);
}

#[tokio::test]
async fn limits_that_disagree_or_are_none_are_no_way_around_a_budget() {
    let provider = Provider::start(Vec::new()).await;
    // The provider may heed either member, and take a text for a number: both are told what was set aside.
    for (few, many) in [(json!(16), json!(100_000)), (json!("100000"), json!(1e9))] {
        let purse = purse(Scope::Trial, None, Some(1000), None);
        let bench = bench(model("my-model", &provider.base, KEY), vec![purse]).await;
        let mut body = prompt_body("hi");
        body["max_tokens"] = few;
        body["max_completion_tokens"] = many;
        bench.call(&body).await;
        let requests = provider.requests();
        let sent = requests.last().expect("a request");
        for name in ["max_tokens", "max_completion_tokens"] {
            assert!(sent[name].as_u64().is_some_and(|limit| limit < 1000), "{sent}");
        }
    }
}

#[tokio::test]
async fn an_answer_of_many_choices_is_no_way_around_a_budget() {
    let purse = purse(Scope::Trial, None, Some(1000), None);
    let provider = Provider::start(Vec::new()).await;
    let bench = bench(model("my-model", &provider.base, KEY), vec![purse]).await;
    let mut body = prompt_body("hi");
    body["n"] = json!(4);
    bench.call(&body).await;
    let limit = provider.requests()[0]["max_tokens"].as_u64().expect("a limit");
    assert!((200..250).contains(&limit), "{limit}");
    body["n"] = json!(1000);
    assert_eq!(bench.call(&body).await.0, 400);
}

#[tokio::test]
async fn a_call_that_is_too_large_for_the_runs_budget_ends_its_own_trial_only() {
    let stop = CancellationToken::new();
    let run = purse(Scope::Run, None, Some(300_000), Some(stop.clone()));
    let (first, second) = (
        bench(Arc::new(Nop), vec![run.clone()]).await,
        bench(Arc::new(Nop), vec![run.clone()]).await,
    );
    let (status, _) = first.call(&prompt_body(&"x".repeat(2_000_000))).await;
    assert_eq!(status, 400);
    let failure = first.route.failure_of_turn(1).expect("a failure").failure;
    assert_eq!(failure.kind, FailureKind::TrialBudget);
    assert!(failure.message.contains("the run's budget"), "{failure}");
    assert!(!first.route.stopped_by_run() && !run.is_used_up() && !stop.is_cancelled());
    second.say("the run goes on").await;
}

#[tokio::test]
async fn the_wait_for_a_budget_is_no_wait_for_the_model() {
    let purse = purse(Scope::Trial, None, Some(1000), None);
    let asked = Arc::new(Notify::new());
    let holder = bench(Arc::new(Silent(asked.clone())), vec![purse.clone()]).await;
    let bench = bench(Arc::new(Nop), vec![purse]).await;
    let mut body = prompt_body("hi");
    body["max_tokens"] = json!(600);
    let held = tokio::spawn(holder.request().json(&body).send());
    asked.notified().await;
    let waits = bench.request().json(&body).timeout(Duration::from_secs(1)).send();
    assert!(waits.await.expect_err("no answer").is_timeout());
    let records = bench.wait_for_records(1, 1).await;
    assert_eq!(
        (&records[0]["attempts"], &records[0]["charge"]),
        (&json!(0), &Value::Null)
    );
    assert_eq!(bench.route.waited_in_vain(1), Duration::ZERO);
    assert_eq!(bench.route.clock().waited(), Duration::ZERO);
    held.abort();
}

#[tokio::test]
async fn a_call_that_waited_for_its_providers_place_is_not_charged() {
    let provider = Provider::start(vec![Act::Hang]).await;
    let config = UpstreamConfig { at_once: 1, ..config() };
    let model = model_with(config, "my-model", &provider.base, KEY);
    let purse = purse(Scope::Trial, None, Some(10_000), None);
    let bench = bench(model, vec![purse.clone()]).await;
    let mut body = prompt_body("hi");
    body["max_tokens"] = json!(100);
    let first = tokio::spawn(bench.request().json(&body).send());
    let end = Instant::now() + Duration::from_secs(20);
    while provider.requests().is_empty() && Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // The provider's only place is taken.
    let second = bench.request().json(&body).timeout(Duration::from_secs(1)).send();
    assert!(second.await.expect_err("no answer").is_timeout());
    let records = bench.wait_for_records(1, 1).await;
    assert_eq!(
        (&records[0]["attempts"], &records[0]["charge"]),
        (&json!(0), &Value::Null)
    );
    assert_eq!((purse.spent(), bench.route.usage().calls), (Charge::default(), 0));
    assert_eq!(records[0]["request"]["messages"][0]["content"], "hi");
    first.abort();
    let records = bench.wait_for_records(1, 2).await;
    assert!(
        records[1]["charge"]["tokens"].as_u64() >= Some(100),
        "this one was sent"
    );
}
