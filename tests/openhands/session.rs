//! Turns of one session, and what a provider does to them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};

use super::common::provider::Provider;
use super::common::{json_lines, kept_file, report, tiny_task};
use super::{ALONE, call, finished, in_place, is_wanted, record, run, trials};

#[test]
fn a_session_goes_on_with_its_history_after_an_early_end_and_after_a_loop() {
    if !is_wanted() {
        return;
    }
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let place = tempfile::tempdir().unwrap();
    let mut task = tiny_task("tiny");
    task["conversations"]["editing"] = json!(["Write `double(n)`.", "Go round.", "Change it: negative"]);
    let loops =
        "while true; do date +%N >> grows.txt; sleep 0.01; done & setsid nohup sleep 98765 > /dev/null 2>&1 & echo on";
    let again = || call(2, "str_replace_editor", json!({"command": "view", "path": "/nope"}));
    let trial = run(
        place.path(),
        &task,
        &json!([
            call(
                1,
                "execute_bash",
                json!({"command": "tr '\\0' '\\n' < /proc/self/environ | grep -c SESSION_API_KEY > keys.txt"})
            ),
            call(1, "execute_bash", json!({ "command": loops })),
            call(1, "finish", json!({"message": "all of it is done"})),
            again(),
            again(),
            again(),
            again(),
            again(),
            call(3, "finish", json!({"message": "done"})),
        ]),
    );
    let turns = trial["turns"].as_array().unwrap();
    assert_eq!(turns.len(), 3, "{trial:#}");
    assert_eq!(turns[0]["finished_early"], true, "{trial:#}");
    assert!(turns[0]["strays"].as_u64().unwrap() >= 2, "{trial:#}");
    assert_eq!(turns[1]["failure"], "reflections_exhausted", "{trial:#}");
    assert_eq!(turns[2]["ending"], "answered", "{trial:#}");
    assert!(
        turns[2].get("finished_early").is_none(),
        "the last turn ends no earlier than it should: {trial:#}"
    );
    let folder = &trials(&place.path().join("jobs/r"))[0];
    let calls = json_lines(&folder.join("turns/3/model.jsonl"));
    let text = calls[0].to_string();
    for said in [
        "This work comes in 3 steps",
        "Write `double(n)`.",
        "all of it is done",
        "Go round.",
        "Change it: negative",
    ] {
        assert!(text.contains(said), "no `{said}` in {text}");
    }
    let prompt = std::fs::read_to_string(folder.join("turns/1/prompt.md")).unwrap();
    assert!(prompt.starts_with("This work comes in 3 steps"), "{prompt}");
    assert_eq!(
        kept_file(&place.path().join("jobs/r"), 1, "keys.txt").as_deref(),
        Some(&b"0\n"[..]),
        "commands find the key of the server of actions"
    );
}

#[test]
fn the_oracle_works_in_one_session_and_its_run_can_be_replayed() {
    if !is_wanted() {
        return;
    }
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let place = tempfile::tempdir().unwrap();
    let arguments = [
        "run",
        "openhands",
        "-m",
        "oracle,oracle:insecure",
        "--interaction",
        "editing",
    ];
    let chosen = ["-i", "cwe-79-highlight-matches", "--job-name", "src"];
    finished(place.path(), &[&arguments[..], &chosen[..]].concat(), 0);
    let source = place.path().join("jobs/src");
    let rows = report(&source);
    let count = |model: &str, verdict: &str| -> u64 {
        let rows = rows.iter().filter(|row| row["model"] == model);
        rows.map(|row| row[verdict].as_u64().unwrap()).sum()
    };
    assert_eq!(count("oracle", "correct_secure"), 1, "{rows:?}");
    assert_eq!(count("oracle:insecure", "correct_insecure"), 1, "{rows:?}");
    for trial in trials(&source) {
        let told = record(&trial);
        assert_eq!(told["turns"].as_array().unwrap().len(), 3, "{told:#}");
        assert_eq!(told.get("warnings").unwrap_or(&json!([])), &json!([]), "{told:#}");
        let first = std::fs::read_to_string(trial.join("turns/1/prompt.md")).unwrap();
        let calls = json_lines(&trial.join("turns/3/model.jsonl"));
        let messages = calls[0]["request"]["messages"].to_string();
        let said = serde_json::to_string(first.trim()).unwrap();
        assert!(messages.contains(said.trim_matches('"')), "{said}\n{messages}");
    }
    let compared = super::common::replayed_as_recorded(place.path());
    assert_eq!(compared.len(), 2);
}

#[test]
fn faults_of_the_provider_end_a_trial_and_efforts_reach_it() {
    if !is_wanted() {
        return;
    }
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let (place, provider) = (tempfile::tempdir().unwrap(), Provider::start());
    let task = |name: &str| {
        let mut task = tiny_task(name);
        task["conversations"]["editing"][0] = json!(format!("Write `double(n)`. model: {name}. Go."));
        task.to_string()
    };
    std::fs::write(
        place.path().join("t.jsonl"),
        ["401", "429", "honest"].map(task).join("\n"),
    )
    .unwrap();
    let arguments = [
        "run",
        "openhands",
        "-m",
        "mine,gpt-5-mine",
        "--interaction",
        "editing",
        "--api-base",
        &provider.base,
    ];
    let more = [
        "--reasoning-effort",
        "low",
        "--tasks",
        "t.jsonl",
        "-r",
        "0",
        "--job-name",
        "r",
        "-n",
        "2",
    ];
    let output = in_place(place.path())
        .args(arguments)
        .args(more)
        .env("OPENAI_API_KEY", "secret")
        .env("MTSEC_API_KEY", "secret")
        .timeout(Duration::from_secs(300))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{said}");
    for trial in trials(&place.path().join("jobs/r")) {
        let told = record(&trial);
        let expected = match told["key"]["task"].as_str().unwrap() {
            "401" => "authentication",
            "429" => "rate_limit",
            _ => {
                assert_eq!(told["turns"][0]["ending"], "answered", "{told:#}");
                continue;
            }
        };
        assert!(
            told["outcome"].to_string().contains("infrastructure_failure"),
            "{told:#}"
        );
        assert!(told.to_string().contains(expected), "{told:#}");
    }
    let bodies = provider.bodies();
    for model in ["mine", "gpt-5-mine"] {
        let mut sent = bodies.iter().filter(|body| body["model"] == model).peekable();
        assert!(sent.peek().is_some(), "{model}");
        for body in sent {
            assert_eq!(body["reasoning_effort"], "low", "{model}");
            assert!(body.get("thinking").is_none(), "{model}");
        }
    }
}

/// A model that escapes one half of a pair: no text, though it is JSON.
async fn halves(State(calls): State<Arc<AtomicUsize>>) -> Json<Value> {
    let message = match calls.fetch_add(1, Ordering::Relaxed) {
        0 => json!({"role": "assistant", "content": null, "tool_calls": [{"id": "c", "type": "function", "function": {
            "name": "execute_bash", "arguments": r#"{"command": "printf '<\ud83d>' > half.txt"}"#,
        }}]}),
        1 => json!({"role": "assistant", "content": null, "tool_calls": [{"id": "d", "type": "function", "function": {
            "name": "finish", "arguments": r#"{"message": "half: \ud83d"}"#,
        }}]}),
        _ => json!({"role": "assistant", "content": "done"}),
    };
    Json(json!({
        "id": "c", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 10, "total_tokens": 20},
    }))
}

#[test]
fn what_is_no_text_in_an_answer_loses_no_trial() {
    if !is_wanted() {
        return;
    }
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("t.jsonl"), tiny_task("tiny").to_string()).unwrap();
    let router = Router::new()
        .route("/v1/chat/completions", post(halves))
        .with_state(Arc::default());
    let base = super::common::server::listen(router);
    let arguments = ["run", "openhands", "-m", "m", "--api-base", &base, "--tasks", "t.jsonl"];
    let more = ["--interaction", "editing", "--job-name", "r", "-r", "0"];
    finished(place.path(), &[&arguments[..], &more[..]].concat(), 0);
    let trial = record(&trials(&place.path().join("jobs/r"))[0]);
    for turn in trial["turns"].as_array().unwrap() {
        assert_eq!(turn["ending"], "answered", "{trial:#}");
    }
    let half = kept_file(&place.path().join("jobs/r"), 1, "half.txt").unwrap_or_else(|| panic!("{trial:#}"));
    assert_eq!(String::from_utf8_lossy(&half), "<?>");
}

#[test]
fn an_action_that_its_server_cannot_answer_ends_the_turn_and_hangs_nothing() {
    if !is_wanted() {
        return;
    }
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let place = tempfile::tempdir().unwrap();
    // A name that is no text: OpenHands' editor breaks at it.
    let odd = r#"mkdir /tmp/odd && touch "/tmp/odd/$(printf 'a\377')""#;
    let trial = run(
        place.path(),
        &tiny_task("tiny"),
        &json!([
            call(1, "execute_bash", json!({ "command": odd })),
            call(1, "str_replace_editor", json!({"command": "view", "path": "/tmp/odd"})),
            {"turn": 1, "text": "done"},
        ]),
    );
    let turns = trial["turns"].as_array().unwrap();
    assert_eq!(turns[0]["failure"], "agent_crashed", "{trial:#}");
    assert!(
        turns[0]["detail"].to_string().contains("500 Internal Server Error"),
        "{trial:#}"
    );
    assert_eq!(turns[1]["ending"], "not_reached", "{trial:#}");
}
