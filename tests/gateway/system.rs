//! What a route adds to the system prompt: in every dialect, once in every request, and told in the record.

use std::sync::Arc;

use mtsec_agents::budget::{Budget, Charge, Scope};
use mtsec_agents::gateway::nop::Nop;
use mtsec_agents::gateway::recording::Recording;
use mtsec_agents::gateway::replay::ReplayModel;
use mtsec_agents::gateway::{GatewayConfig, Model, Purse, Varying};
use serde_json::{Value, json};

use crate::provider::{KEY, Provider};
use crate::support::{Bench, prompt_body, spec};
use crate::upstream::model;

const ADDED: &str = "Security policy:\nNo <markup> of users.";

async fn bench(model: Arc<dyn Model>, system: Option<&str>) -> Bench {
    let mut spec = spec(model);
    spec.system = system.map(str::to_owned);
    Bench::with(GatewayConfig::default(), spec).await
}

/// What a provider receives of a request, without what is set in it.
async fn forwarded(path: &str, body: &Value) -> Value {
    let provider = Provider::start(Vec::new()).await;
    let name = if path == "messages" {
        "claude-3-5-sonnet-20241022"
    } else {
        "gpt-4o"
    };
    let bench = bench(model(name, &provider.base, KEY), Some(ADDED)).await;
    bench.call_at(path, body).await;
    let record = &bench.records(1)[0];
    assert_eq!(&record["request"], body, "the record holds what the agent sent");
    assert_eq!(record["applied"]["system_added"], json!(ADDED));
    provider.requests().pop().expect("a request")
}

#[tokio::test]
async fn chat_has_it_behind_the_agents_own_words_and_before_anybody_else_speaks() {
    let text = json!({"type": "text", "text": ADDED});
    let user = json!({"role": "user", "content": "hi"});
    let system = |content: Value| json!({"role": "system", "content": content});
    let own = format!("Own.\n\n{ADDED}");
    let cases = [
        (json!([user]), json!([system(json!(ADDED)), user])),
        (json!([system(json!("Own.")), user]), json!([system(json!(own)), user])),
        (json!([system(json!("")), user]), json!([system(json!(ADDED)), user])),
        (
            json!([system(json!([{"type": "text", "text": "Own."}])), user]),
            json!([system(json!([{"type": "text", "text": "Own."}, text])), user]),
        ),
        // The last of those that lead; what the system says later is something else, such as a reminder.
        (
            json!([system(json!("A")), {"role": "developer", "content": "Own."}, user, system(json!("Z"))]),
            json!([system(json!("A")), {"role": "developer", "content": own}, user, system(json!("Z"))]),
        ),
        (
            json!([user, system(json!("Z"))]),
            json!([system(json!(ADDED)), user, system(json!("Z"))]),
        ),
    ];
    for (said, wanted) in cases {
        let body = json!({"model": "m", "messages": said});
        assert_eq!(forwarded("chat/completions", &body).await["messages"], wanted);
    }
}

#[tokio::test]
async fn responses_have_it_in_their_instructions() {
    for (said, wanted) in [
        (json!({}), ADDED.to_owned()),
        (json!({"instructions": null}), ADDED.to_owned()),
        (json!({"instructions": "Own."}), format!("Own.\n\n{ADDED}")),
    ] {
        let mut body = said;
        body["model"] = json!("m");
        body["input"] = json!([{"role": "user", "content": "hi"}]);
        let sent = forwarded("responses", &body).await;
        assert_eq!(
            (&sent["instructions"], &sent["input"]),
            (&json!(wanted), &body["input"])
        );
    }
}

#[tokio::test]
async fn messages_have_it_in_their_system_prompt() {
    let text = json!({"type": "text", "text": ADDED});
    let own = json!({"type": "text", "text": "Own.", "cache_control": {"type": "ephemeral"}});
    for (said, wanted) in [
        (Value::Null, json!(ADDED)),
        (json!("Own."), json!(format!("Own.\n\n{ADDED}"))),
        (json!([own]), json!([own, text])),
    ] {
        let mut body = json!({"model": "m", "max_tokens": 50, "messages": [{"role": "user", "content": "hi"}]});
        if !said.is_null() {
            body["system"] = said;
        }
        let sent = forwarded("messages", &body).await;
        assert_eq!((&sent["system"], &sent["messages"]), (&wanted, &body["messages"]));
    }
}

#[tokio::test]
async fn a_scripted_model_is_asked_it_too_and_it_is_counted() {
    let (with, without) = (
        bench(Arc::new(Nop), Some(ADDED)).await,
        bench(Arc::new(Nop), None).await,
    );
    for bench in [&with, &without] {
        bench.say("hi").await;
        bench.say("and again").await;
    }
    assert!(with.route.usage().input_tokens > without.route.usage().input_tokens + 10);
    for record in with.records(1) {
        assert_eq!(record["applied"]["system_added"], json!(ADDED));
        assert!(!record["request"].to_string().contains("Security policy"));
    }
    assert!(without.records(1).iter().all(|record| record.get("applied").is_none()));

    let counted = |bench: &Bench| {
        let request = bench.request_at("messages/count_tokens");
        request
            .json(&json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]}))
            .send()
    };
    let tokens = |answer: Value| answer["input_tokens"].as_u64().expect("a count");
    let more = tokens(counted(&with).await.unwrap().json().await.unwrap());
    let less = tokens(counted(&without).await.unwrap().json().await.unwrap());
    assert!(more > less + 5, "{more} {less}");
}

#[tokio::test]
async fn a_budget_has_to_have_room_for_it() {
    let budget = Budget {
        usd: None,
        tokens: Some(600),
    };
    let mut statuses = Vec::new();
    for system in [None, Some("x".repeat(3000))] {
        let mut spec = spec(Arc::new(Nop));
        spec.system = system;
        spec.budget.purses = vec![Arc::new(Purse::new(Scope::Trial, budget, Charge::default(), None))];
        let bench = Bench::with(GatewayConfig::default(), spec).await;
        let mut body = prompt_body("hi");
        body["max_tokens"] = json!(100);
        statuses.push(bench.call(&body).await.0);
        assert_eq!(bench.records(1)[0]["request"], body);
    }
    assert_eq!(statuses, [200, 400]);
}

#[tokio::test]
async fn a_replay_of_such_a_route_does_not_diverge() {
    let first = bench(Arc::new(Nop), Some(ADDED)).await;
    let said = first.say("one").await;
    let recording = Recording::load(&[(1, first.record_path(1))]).unwrap();
    let varying = Varying {
        places: None,
        texts: Vec::new(),
    };
    let again = bench(Arc::new(ReplayModel::new(recording, varying, None)), Some(ADDED)).await;
    assert_eq!(again.say("one").await, said);
    assert_eq!(again.route.divergence(1), None);
}
