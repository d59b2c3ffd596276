//! Recorded calls given again, over HTTP.

use std::path::PathBuf;
use std::sync::Arc;

use mtsec_agents::budget::{Budget, Charge, Scope};
use mtsec_agents::gateway::nop::{self, Nop};
use mtsec_agents::gateway::recording::Recording;
use mtsec_agents::gateway::replay::{ReplayModel, Then};
use mtsec_agents::gateway::script::{Script, ScriptedModel};
use mtsec_agents::gateway::{GatewayConfig, Purse, Varying};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::support::{Bench, prompt_body, spec};

fn script(text: &str) -> Arc<ScriptedModel> {
    Arc::new(ScriptedModel::new(Script::parse("s.yaml".as_ref(), text).unwrap()))
}

/// A bench whose model answers from what another bench has recorded.
async fn again(recorded: &Bench, turns: usize, then: Option<Then>) -> Bench {
    Bench::new(Arc::new(replay(recorded, turns, then))).await
}

fn replay(recorded: &Bench, turns: usize, then: Option<Then>) -> ReplayModel {
    let files: Vec<(usize, PathBuf)> = (1..=turns).map(|turn| (turn, recorded.record_path(turn))).collect();
    let varying = Varying {
        places: regex::Regex::new("/places/[a-z]+").ok(),
        texts: Vec::new(),
    };
    ReplayModel::new(Recording::load(&files).unwrap(), varying, then)
}

fn streamed(prompt: &str) -> Value {
    let mut body = prompt_body(prompt);
    body["stream"] = json!(true);
    body
}

#[tokio::test]
async fn answers_errors_and_streams_are_given_as_they_were_and_use_nothing() {
    let text = "{replies: [{text: One}, {status: 429, text: slow down}, {text: 'in /places/old'}, {text: Streamed}]}";
    let first = Bench::new(script(text)).await;
    let bodies = [
        prompt_body("a"),
        prompt_body("b"),
        prompt_body("at /places/old"),
        streamed("d"),
    ];
    let mut before = Vec::new();
    for body in &bodies {
        before.push(first.call(body).await);
    }
    let second = again(&first, 1, None).await;
    for (body, (status, said)) in bodies.iter().zip(&before).take(2) {
        assert_eq!(second.call(body).await, (*status, said.clone()));
    }
    // A place of the recorded session has become one of this session.
    assert_eq!(second.say("at /places/new").await, "in /places/new");
    assert_eq!(second.call(&bodies[3]).await, before[3]);
    assert_eq!(second.route.divergence(1), None);

    assert!(first.route.usage().input_tokens > 0);
    let usage = second.route.usage();
    assert_eq!(
        (usage.calls, usage.uncounted, usage.input_tokens, usage.output_tokens),
        (0, 0, 0, 0)
    );
    let records = second.records(1);
    assert_eq!(records.len(), 4);
    for record in &records {
        assert_eq!(
            (&record["tokens"], &record["cost"], &record["attempts"]),
            (&Value::Null, &json!(0.0), &json!(0))
        );
    }
    // A replay can be replayed.
    let third = again(&second, 1, None).await;
    assert_eq!(third.call(&bodies[0]).await, before[0]);
}

#[tokio::test]
async fn the_first_difference_is_kept_and_nothing_is_answered_after_it() {
    let first = Bench::new(Arc::new(Nop)).await;
    first.say("one").await;
    first.say("two").await;
    let second = again(&first, 1, None).await;
    second.say("one").await;
    let (status, body) = second.call(&prompt_body("three")).await;
    assert_eq!(status, 400);
    assert!(
        body["error"]["message"].as_str().unwrap().contains("turn 1, call 2"),
        "{body}"
    );
    let (status, _) = second.call(&prompt_body("two")).await;
    assert_eq!(status, 400, "an answer after the divergence would be made up");
    let divergence = second.route.divergence(1).unwrap();
    assert_eq!((divergence.turn, divergence.call), (1, 2));
    assert!(
        divergence.difference.contains("- two") && divergence.difference.contains("+ three"),
        "{divergence}"
    );
}

#[tokio::test]
async fn more_and_fewer_calls_than_recorded_are_divergences() {
    let first = Bench::new(Arc::new(Nop)).await;
    first.say("one").await;
    first.say("two").await;
    let fewer = again(&first, 1, None).await;
    fewer.say("one").await;
    let divergence = fewer.route.divergence(1).unwrap();
    assert_eq!(divergence.call, 2);
    assert!(divergence.difference.contains("1 of the 2 calls"), "{divergence}");

    let more = again(&first, 1, None).await;
    more.say("one").await;
    more.say("two").await;
    assert_eq!(more.call(&prompt_body("three")).await.0, 400);
    let divergence = more.route.divergence(1).unwrap();
    assert_eq!(divergence.call, 3);
    assert!(divergence.difference.contains("one more call"), "{divergence}");
}

#[tokio::test]
async fn another_model_takes_over_after_the_last_recorded_turn() {
    let first = Bench::new(script("{replies: [{text: recorded}]}")).await;
    first.say("one").await;
    let then = Then {
        until: 1,
        model: Arc::new(Nop),
    };
    let second = again(&first, 1, Some(then)).await;
    // What the agent was told of the model that goes on is no difference.
    let mut one = prompt_body("one");
    one["model"] = json!("another");
    one["temperature"] = json!(1);
    let (_, body) = second.call(&one).await;
    assert_eq!(body["choices"][0]["message"]["content"], "recorded");
    assert_eq!(second.route.usage().calls, 0);
    second.begin(2);
    assert_eq!(second.say("two").await, nop::TEXT);
    assert_eq!(second.route.divergence(2), None);
    let usage = second.route.usage();
    assert_eq!((usage.calls, usage.input_tokens > 0), (1, true));
}

#[tokio::test]
async fn no_budget_bounds_an_answer_that_is_recorded() {
    let first = Bench::new(Arc::new(Nop)).await;
    first.say("one").await;
    let stop = CancellationToken::new();
    let budget = Budget {
        usd: None,
        tokens: Some(10),
    };
    let run = Arc::new(Purse::new(Scope::Run, budget, Charge::default(), Some(stop.clone())));
    let then = Then {
        until: 1,
        model: Arc::new(Nop),
    };
    let mut spec = spec(Arc::new(replay(&first, 1, Some(then))));
    spec.budget.purses = vec![run.clone()];
    let second = Bench::with(GatewayConfig::default(), spec).await;
    assert_eq!(second.say("one").await, nop::TEXT);
    assert_eq!((run.spent(), stop.is_cancelled()), (Charge::default(), false));
    assert_eq!(second.records(1)[0]["charge"], Value::Null);
    // The model that goes on is bounded again.
    second.begin(2);
    assert_eq!(second.call(&prompt_body("two")).await.0, 400);
    assert!(run.is_used_up() && second.route.stopped_by_run());
}

#[test]
fn a_damaged_record_is_named_with_its_line() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("model.jsonl");
    std::fs::write(&path, "{\"call\": 1}\n").unwrap();
    let error = Recording::load(&[(1, path)]).unwrap_err().to_string();
    assert!(error.contains("model.jsonl:1:"), "{error}");
}
