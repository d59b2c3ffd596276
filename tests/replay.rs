//! `replay` with the real Aider: recorded answers given again, divergences told, another model going on.

mod common;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::routing::post;
use common::server::{Provider, chat, conversed};
use common::{finished, json_lines, program, recorded, report, tiny_task};
use serde_json::{Value, json};

/// Folders of the trials of a run.
fn trials(run: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(run.join("trials")).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

fn record(trial: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(trial.join("trial.json")).unwrap()).unwrap()
}

#[test]
fn a_replay_comes_to_the_recorded_verdicts_and_trees_at_no_cost() {
    let (place, source) = recorded("oracle,oracle:insecure", &["--edit-format", "diff,whole"]);
    let lock = std::fs::read(source.join("lock.json")).unwrap();
    let compared = common::replayed_as_recorded(place.path());
    // Two models, two edit formats, single and editing.
    assert_eq!(compared.len(), 8);
    let secure = compared
        .iter()
        .filter(|trial| trial["replayed"] == "correct_secure")
        .count();
    assert_eq!(secure, 4);
    for row in report(&place.path().join("jobs/again")) {
        assert!(row["model"].as_str().unwrap().contains("replay of src"), "{row}");
        let usage = &row["usage"];
        assert_eq!(
            (&usage["calls"], &usage["input_tokens"], &usage["output_tokens"]),
            (&0.into(), &0.into(), &0.into())
        );
    }
    // The same requests came again, and the recorded run is as it was.
    for trial in trials(&place.path().join("jobs/again")) {
        assert!(!json_lines(&trial.join("turns/1/model.jsonl")).is_empty());
    }
    assert_eq!(std::fs::read(source.join("lock.json")).unwrap(), lock);
    assert_eq!(trials(&source).len(), 8);
}

#[test]
fn a_request_that_is_not_as_recorded_ends_its_trial_and_only_its_trial() {
    let (place, source) = recorded("oracle", &[]);
    let editing = trials(&source)
        .into_iter()
        .find(|trial| trial.to_string_lossy().contains("editing"))
        .unwrap();
    let path = editing.join("turns/2/model.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains("negative numbers raise ValueError"));
    std::fs::write(&path, text.replace("negative numbers raise", "odd numbers raise")).unwrap();
    let (out, _) = finished(place.path(), &["replay", "jobs/src", "--job-name", "again"], 7);
    assert!(out.contains("diverged at turn 2, call 2"), "{out}");
    assert!(
        out.contains("odd numbers raise") && out.contains("1 of 2 trials"),
        "{out}"
    );
    let run = place.path().join("jobs/again");
    for trial in trials(&run) {
        let record = record(&trial);
        if trial.to_string_lossy().contains("editing") {
            assert_eq!(record["outcome"], "diverged");
            let divergence = &record["divergence"];
            assert_eq!((&divergence["turn"], &divergence["call"]), (&2.into(), &2.into()));
            assert_eq!(record["turns"][1]["ending"], "diverged");
            assert_eq!(record["judgements"], json!({}));
        } else {
            assert_eq!(record["verdict"], "correct_secure");
        }
    }
    let count = |name: &str| report(&run).iter().map(|row| row[name].as_u64().unwrap()).sum::<u64>();
    assert_eq!(
        (count("n"), count("incorrect"), count("diverged"), count("missing")),
        (1, 0, 1, 0)
    );
    // A divergence is an outcome: nothing is left for `resume`.
    finished(place.path(), &["resume", "jobs/again"], 7);
    assert_eq!(count("diverged"), 1);
}

/// A script's answer with a shell command; the model's edit is the secure solution.
/// The command lives on for a moment: what Aider has not read of its output when it ends, it drops.
fn with_command(command: &str) -> String {
    let code = "def double(n):\n    if n < 0:\n        raise ValueError(n)\n    return 2 * n\n";
    let text = format!(
        "app.py\n```python\n<<<<<<< SEARCH\n=======\n{code}>>>>>>> REPLACE\n```\n\n```bash\n{command}; sleep 2\n```\n"
    );
    json!({ "replies": [{ "turn": 1, "text": text }, { "turn": 2, "text": "Nothing more." }] }).to_string()
}

fn recorded_script(script: &str) -> (tempfile::TempDir, PathBuf) {
    let scripts = tempfile::tempdir().unwrap();
    let path = scripts.path().join("s.yaml");
    std::fs::write(&path, script).unwrap();
    let model = format!("script:{}", path.display());
    // The script is gone when the run is replayed: the record is all that is needed.
    recorded(&model, &["--interaction", "editing", "--edit-format", "diff"])
}

#[test]
fn places_of_the_session_are_no_difference_but_what_a_command_prints_is() {
    let (place, _) = recorded_script(&with_command("pwd; echo $HOME $OPENAI_API_BASE $OPENAI_API_KEY"));
    finished(place.path(), &["replay", "jobs/src", "--job-name", "again"], 0);

    let (place, _) = recorded_script(&with_command("date +%N"));
    let (out, _) = finished(place.path(), &["replay", "jobs/src", "--job-name", "again"], 7);
    // The output of the command of the first turn is told to the model in the second.
    assert!(out.contains("diverged at turn 2"), "{out}");
}

#[test]
fn another_model_goes_on_after_a_turn_of_the_record() {
    let (place, source) = recorded("oracle", &["--interaction", "editing", "--edit-format", "diff"]);
    let arguments = [
        "replay",
        "jobs/src",
        "--until",
        "1",
        "--model",
        "oracle:insecure",
        "--job-name",
        "on",
    ];
    let (out, _) = finished(place.path(), &arguments, 0);
    let run = place.path().join("jobs/on");
    let rows = report(&run);
    assert_eq!(
        (&rows[0]["n"], &rows[0]["correct_insecure"]),
        (&1.into(), &1.into()),
        "{rows:?}"
    );
    let model = rows[0]["model"].as_str().unwrap();
    assert_eq!(model, "oracle:insecure, after turn 1 of src (oracle)");
    assert!(out.contains(model), "{out}");
    // One call of the new model was made; the answer of the first turn is the recorded one.
    assert_eq!(rows[0]["usage"]["calls"], 1);
    let answer = |run: &Path, turn: usize| {
        let trial = trials(run).remove(0);
        let calls = json_lines(&trial.join(format!("turns/{turn}/model.jsonl")));
        calls[0]["response"]["choices"][0]["message"]["content"].clone()
    };
    assert_eq!(answer(&run, 1), answer(&source, 1));
    assert_ne!(answer(&run, 2), answer(&source, 2));
    let lock: Value = serde_json::from_slice(&std::fs::read(run.join("lock.json")).unwrap()).unwrap();
    assert!(lock["replays"].as_str().unwrap().ends_with("jobs/src"), "{lock}");
    assert_eq!(lock["cells"][0]["replay"]["until"], 1);
    assert_eq!(lock["cells"][0]["replay"]["model"], "oracle");
    // The cell is no ordinary one of that model, and no two turns make the same cell.
    let ordinary: Value = {
        let run = [
            "run",
            "aider",
            "-m",
            "oracle:insecure",
            "--edit-format",
            "diff",
            "--tasks",
            "t.jsonl",
        ];
        let (out, _) = finished(place.path(), &[&run[..], &["--dry-run", "--json"]].concat(), 0);
        serde_json::from_str(&out).unwrap()
    };
    assert_ne!(ordinary["cells"][0]["id"], rows[0]["cell"]);
}

const KEY: &str = "sk-canary-7c1e9b7a4d2f5f0d";

/// A provider that takes the key only and counts its calls; its address.
fn provider(calls: Arc<AtomicUsize>) -> String {
    let complete = move |headers: HeaderMap| async move {
        if headers
            .get("authorization")
            .is_none_or(|value| value != &format!("Bearer {KEY}"))
        {
            return (StatusCode::UNAUTHORIZED, Json(json!({"error": {"message": "no"}})));
        }
        calls.fetch_add(1, Ordering::SeqCst);
        let code =
            "app.py\n```python\n<<<<<<< SEARCH\n=======\ndef double(n):\n    return 2 * n\n>>>>>>> REPLACE\n```\n";
        let answer = json!({
            "id": "1", "object": "chat.completion", "created": 1, "model": "o3",
            "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": code}}],
            "usage": {"prompt_tokens": 1000, "completion_tokens": 50, "total_tokens": 1050},
        });
        (StatusCode::OK, Json(answer))
    };
    let router = axum::Router::new().route("/v1/chat/completions", post(complete));
    common::server::listen(router)
}

#[test]
fn a_provider_is_neither_called_nor_paid_again() {
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("t.jsonl"), tiny_task("tiny").to_string()).unwrap();
    let calls = Arc::new(AtomicUsize::new(0));
    let base = provider(calls.clone());
    let run = [
        "run",
        "aider",
        "-m",
        "o3",
        "--api-base",
        &base,
        "--tasks",
        "t.jsonl",
        "--job-name",
        "src",
    ];
    let run = [&run[..], &["--interaction", "single"]].concat();
    program()
        .current_dir(place.path())
        .env("MTSEC_API_KEY", KEY)
        .args(run)
        .assert()
        .success();
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    // Without a key: nobody asks for it.
    finished(place.path(), &["replay", "jobs/src", "--job-name", "again"], 0);
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    let rows = report(&place.path().join("jobs/again"));
    assert_eq!(
        (&rows[0]["correct_insecure"], &rows[0]["usage"]["input_tokens"]),
        (&1.into(), &0.into())
    );
    // What the recorded answer says of its tokens is in the record, and is no spending.
    let trial = trials(&place.path().join("jobs/again")).remove(0);
    let call = &json_lines(&trial.join("turns/1/model.jsonl"))[0];
    assert_eq!(call["response"]["usage"]["prompt_tokens"], 1000);
    assert_eq!(call["tokens"], Value::Null);
}

#[test]
fn what_cannot_be_replayed_is_refused_before_anything_starts() {
    let (place, source) = recorded("nop", &["--interaction", "single"]);
    let refused = |arguments: &[&str], text: &str| {
        let (_, err) = finished(place.path(), arguments, 2);
        assert!(err.contains(text), "{err}");
        assert_eq!(
            std::fs::read_dir(place.path().join("jobs")).unwrap().count(),
            1,
            "a run was begun"
        );
    };
    refused(&["replay", "jobs/none"], "not a run folder");
    refused(
        &["replay", "jobs/src", "--until", "1", "--model", "nop"],
        "no turn after turn 1",
    );
    refused(&["replay", "jobs/src", "--until", "1"], "--model");
    refused(&["replay", "jobs/src", "--until", "0", "--model", "nop"], "from 1 on");
    refused(&["replay", "jobs/src", "-i", "CWE-79"], "no task");
    refused(&["replay", "jobs/src", "--job-name", "../up"], "--job-name");
    let trial = trials(&source).remove(0).join("trial.json");
    std::fs::write(trial, "{").unwrap();
    refused(&["replay", "jobs/src"], "no verdict");
}

#[test]
fn a_killed_replay_is_finished_by_resume_unless_its_source_is_gone() {
    let (place, source) = recorded("oracle", &["-k", "2", "--interaction", "editing"]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_mtsec-agents"));
    command
        .current_dir(place.path())
        .args(["replay", "jobs/src", "--job-name", "again", "-n", "1"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let run = place.path().join("jobs/again");
    let deadline = Instant::now() + Duration::from_secs(120);
    let begun = || std::fs::read_to_string(run.join("journal.jsonl")).is_ok_and(|text| text.contains("turn_started"));
    while !begun() {
        assert!(Instant::now() < deadline, "the replay did not begin");
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().unwrap();
    child.wait().unwrap();

    let aside = place.path().join("aside");
    std::fs::rename(&source, &aside).unwrap();
    let (_, err) = finished(place.path(), &["resume", "jobs/again"], 2);
    assert!(err.contains("jobs/src"), "{err}");
    std::fs::rename(&aside, &source).unwrap();
    let (out, _) = finished(place.path(), &["resume", "jobs/again"], 0);
    assert!(out.contains("2 trials came out as recorded"), "{out}");
}

/// What a provider answers from its second call on: status and body.
type Then = fn() -> (StatusCode, Value);

/// A provider that answers once as it should, and then as told.
fn once(then: Then) -> String {
    let answer = move |provider: State<Provider>, headers: HeaderMap, body: Json<Value>| async move {
        if provider.bodies.lock().unwrap().is_empty() {
            return chat(provider, headers, body).await;
        }
        provider.bodies.lock().unwrap().push(body.0);
        let (status, body) = then();
        (status, Json(body)).into_response()
    };
    common::server::serve("/v1/chat/completions", post(answer), false).0
}

/// An answer that holds nothing, for the reason told.
fn nothing(reason: &str) -> (StatusCode, Value) {
    let answer = json!({
        "id": "2", "object": "chat.completion", "created": 1, "model": "gpt-4o",
        "choices": [{"index": 0, "finish_reason": reason, "message": {"role": "assistant", "content": ""}}],
        "usage": {"prompt_tokens": 1000, "completion_tokens": 0, "total_tokens": 1000},
    });
    (StatusCode::OK, answer)
}

#[test]
fn what_ended_a_turn_after_the_first_ends_it_in_the_replay_as_well() {
    let cases: [(&str, Then); 4] = [
        ("request_refused", || {
            let error =
                json!({ "message": "flagged", "type": "invalid_request_error", "code": "content_policy_violation" });
            (StatusCode::BAD_REQUEST, json!({ "error": error }))
        }),
        ("token_limit", || {
            let error = json!({ "message": "too long: maximum context length", "type": "invalid_request_error", "code": "context_length_exceeded" });
            (StatusCode::BAD_REQUEST, json!({ "error": error }))
        }),
        ("token_limit", || nothing("length")),
        ("empty_answer", || nothing("stop")),
    ];
    for (failure, then) in cases {
        let place = tempfile::tempdir().unwrap();
        let base = once(then);
        let (_, source) = conversed(place.path(), &base, "aider", "gpt-4o", &["--edit-format", "whole"], 0);
        let recorded = common::server::record(&source);
        assert_eq!(recorded["turns"][1]["failure"], failure, "{recorded:#}");
        assert_eq!(recorded["outcome"], "judged", "{recorded:#}");
        finished(place.path(), &["replay", "jobs/aider", "--job-name", "again"], 0);
        let replayed = common::server::record(&place.path().join("jobs/again"));
        assert_eq!(replayed["verdict"], recorded["verdict"], "{replayed:#}");
        for turn in 0..3 {
            for told in ["ending", "failure", "detail"] {
                assert_eq!(
                    replayed["turns"][turn][told], recorded["turns"][turn][told],
                    "{replayed:#}"
                );
            }
        }
    }
}
