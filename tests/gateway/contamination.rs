//! Hidden text on its way through the gateway: found in requests and answers, whole or in pieces.

use std::sync::Arc;

use mtsec_agents::canary::{Canaries, plant};
use mtsec_agents::gateway::{Gateway, GatewayConfig, Model};
use mtsec_agents::task::Task;
use mtsec_agents::trial::Place;
use serde_json::json;

use crate::provider::{Act, KEY, Provider, completion};
use crate::support::{Bench, client, prompt_body, spec};
use crate::upstream::model;

/// A task of a run, and its canary.
fn planted() -> (Task, String) {
    let task = json!({
        "id": "hidden", "cwe": "CWE-1", "function": "f", "description": {"description": "d"},
        "tests": {"testcases": "testcases = {}"},
    });
    let mut task: Task = serde_json::from_value(task).expect("a task");
    plant(&mut task, [0x5e; 16]);
    (task, format!("mtsec-canary-{}", "5e".repeat(16)))
}

async fn bench(model: Arc<dyn Model>, task: &Task) -> Bench {
    let gateway = Gateway::start(GatewayConfig::default()).await.expect("a gateway");
    let mut spec = spec(model);
    spec.canaries = Arc::new(Canaries::of([task]));
    let bench = Bench {
        route: gateway.open(spec),
        gateway,
        folder: tempfile::tempdir().expect("a folder"),
        client: client(),
    };
    bench.begin(1);
    bench
}

#[tokio::test]
async fn hidden_text_is_found_on_both_sides_and_a_made_up_canary_is_none() {
    let (task, canary) = planted();
    let said = |text: &str| Act::json(200, completion(text));
    let made_up = "mtsec-canary-0123456789abcdef0123456789abcdef";
    let provider = Provider::start(vec![
        said("ok"),
        said(made_up),
        said(&format!("x{canary}y")),
        said("ok"),
    ])
    .await;
    let bench = bench(model("my-model", &provider.base, KEY), &task).await;
    bench.say("hello").await;
    bench.say(made_up).await;
    assert_eq!(bench.route.evidence(), []);
    bench.say("what are the tests?").await;
    bench.begin(2);
    bench.say(&format!("the tests are {}", task.tests.testcases)).await;

    let evidence = bench.route.evidence();
    let places: Vec<_> = evidence
        .iter()
        .map(|evidence| (evidence.turn, evidence.place.clone()))
        .collect();
    assert_eq!(
        places,
        [(1, Place::Response { call: 3 }), (2, Place::Request { call: 4 })]
    );
    assert!(evidence.iter().all(|evidence| evidence.task == "hidden"));
}

#[tokio::test]
async fn hidden_text_in_pieces_of_a_stream_or_in_escapes_is_found() {
    let (task, canary) = planted();
    let pieces = canary.as_bytes().chunks(5).map(|piece| {
        let piece = String::from_utf8_lossy(piece);
        format!(
            "data: {}\n\n",
            json!({"choices": [{"index": 0, "delta": {"content": piece}}]})
        )
    });
    let end = format!(
        "data: {}\n\n",
        json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    );
    let pieces = pieces.chain([end, "data: [DONE]\n\n".to_owned()]).collect();
    let stream = Act::Stream { pieces, broken: false };
    let provider = Provider::start(vec![stream, Act::json(200, completion("ok"))]).await;
    let bench = bench(model("my-model", &provider.base, KEY), &task).await;
    let mut body = prompt_body("hi");
    body["stream"] = json!(true);
    bench.call(&body).await;
    let escaped = prompt_body(&canary).to_string().replace('-', "\\u002d");
    assert!(!escaped.contains(&canary));
    bench.request().body(escaped).send().await.expect("an answer");
    let places: Vec<_> = bench
        .route
        .evidence()
        .into_iter()
        .map(|evidence| evidence.place)
        .collect();
    assert_eq!(places, [Place::Response { call: 1 }, Place::Request { call: 2 }]);
}
