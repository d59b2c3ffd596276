//! The whole program with the real Codex in its containment.

mod common;

use std::path::{Path, PathBuf};

use common::{finished, json_lines, kept_file, tiny_task};
use serde_json::{Value, json};

/// A place with a run `src` of the tiny task.
fn recorded(model: &str, more: &[&str], code: i32) -> (tempfile::TempDir, PathBuf) {
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("t.jsonl"), tiny_task("tiny").to_string()).unwrap();
    let arguments = ["run", "codex", "-m", model, "--tasks", "t.jsonl", "--job-name", "src"];
    finished(place.path(), &[&arguments, more].concat(), code);
    let source = place.path().join("jobs/src");
    (place, source)
}

fn trial(run: &Path) -> PathBuf {
    std::fs::read_dir(run.join("trials"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path()
}

fn record(run: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(trial(run).join("trial.json")).unwrap()).unwrap()
}

/// Scripts of shells that a model calls one after the other, as a script of the scripted model.
fn script(place: &Path, scripts: &[&str]) -> String {
    let call = |script: &&str| json!({"calls": [{"name": "shell", "arguments": {"command": ["bash", "-lc", script]}}]});
    let mut replies: Vec<Value> = scripts.iter().map(call).collect();
    replies.push(json!({"text": "Done."}));
    std::fs::write(place.join("model.yaml"), json!({"replies": replies}).to_string()).unwrap();
    format!("script:{}", place.join("model.yaml").display())
}

#[test]
fn the_oracle_works_through_codex_and_its_run_can_be_replayed() {
    let (place, source) = recorded("oracle,oracle:insecure", &[], 0);
    let rows = common::report(&source);
    let counts = |model: &str, verdict: &str| -> u64 {
        let rows = rows.iter().filter(|row| row["model"] == model);
        rows.map(|row| row[verdict].as_u64().unwrap()).sum()
    };
    assert_eq!(counts("oracle", "correct_secure"), 2, "{rows:?}");
    assert_eq!(counts("oracle:insecure", "correct_insecure"), 2, "{rows:?}");

    let (out, _) = finished(
        place.path(),
        &["replay", "jobs/src", "--job-name", "again", "--json"],
        0,
    );
    let result: Value = serde_json::from_str(&out).unwrap();
    let compared = result["comparison"]["trials"].as_array().unwrap();
    assert_eq!(compared.len(), 4);
    for trial in compared {
        assert_eq!(trial["recorded"], trial["replayed"], "{trial}");
        let trees = trial["same_trees"].as_array().unwrap();
        assert!(!trees.is_empty() && trees.iter().all(|same| same == true), "{trial}");
    }
}

#[test]
fn three_turns_over_chat_completions_are_one_session_that_leaves_out_what_repeats_itself() {
    let place = tempfile::tempdir().unwrap();
    let mut task = tiny_task("tiny");
    task["conversations"]["editing"] = json!(["Write it.", "Change it.", "Try it."]);
    std::fs::write(place.path().join("t.jsonl"), task.to_string()).unwrap();
    let edit = "apply_patch <<'EOF'\n*** Begin Patch\n*** Add File: app.py\n+x = 1\n*** End Patch\nEOF\n";
    let replies = json!([
        {"turn": 1, "text": "I write.", "calls": [{"name": "shell", "arguments": {"command": ["bash", "-lc", edit]}}]},
        {"text": "Done."},
        {"text": "Done."},
        {"text": "Done at last."},
    ]);
    std::fs::write(
        place.path().join("model.yaml"),
        json!({ "replies": replies }).to_string(),
    )
    .unwrap();
    let mut arguments = vec!["run", "codex", "-m", "script:model.yaml", "--dialect", "openai-chat"];
    arguments.extend(["--tasks", "t.jsonl", "--interaction", "editing", "--job-name", "src"]);
    finished(place.path(), &arguments, 0);
    let source = place.path().join("jobs/src");
    assert_eq!(kept_file(&source, 3, "app.py").as_deref(), Some(&b"x = 1\n"[..]));
    let calls = json_lines(&trial(&source).join("turns/3/model.jsonl"));
    let messages = calls[0]["request"]["messages"].as_array().unwrap().clone();
    let said = messages.iter().filter(|message| message["role"] != "system");
    let said = said.map(|message| {
        (
            message["role"].as_str().unwrap(),
            message["content"].as_str().unwrap_or_default(),
        )
    });
    // Without what Codex tells of the place, first, and what the tool said.
    let said: Vec<_> = said.skip(1).filter(|(role, _)| *role != "tool").collect();
    let expected = [
        ("user", "Write it."),
        ("assistant", ""),
        // Codex moves it behind the call.
        ("assistant", "I write."),
        ("assistant", "Done."),
        ("user", "Change it."),
        // Here Codex leaves out the second `Done.`
        ("user", "Try it."),
    ];
    for ((role, text), (wanted, begins)) in said.iter().zip(expected) {
        assert!(*role == wanted && text.starts_with(begins), "{said:?}");
    }
    assert_eq!(said.len(), expected.len(), "{said:?}");
}

#[test]
fn codex_has_its_own_sandbox_inside_of_ours_and_its_logs_are_kept() {
    let scripts = tempfile::tempdir().unwrap();
    let model = script(
        scripts.path(),
        &[
            // Codex runs this one outside of its sandbox.
            "cat ../home/.bash_profile && echo $PATH",
            "python3 -c 'open(\"app.py\", \"w\").write(\"x = 1\\n\")'",
            "python3 -c 'open(\"../logs/agent/mine\", \"w\")'",
            "python3 -c 'import socket; socket.create_connection((\"127.0.0.1\", 4000))'",
            "env",
        ],
    );
    let (_place, source) = recorded(&model, &["--interaction", "single"], 0);
    assert_eq!(kept_file(&source, 1, "app.py").as_deref(), Some(&b"x = 1\n"[..]));
    assert_eq!(record(&source)["turns"][0]["ending"], "answered");

    let trial = trial(&source);
    let calls = json_lines(&trial.join("turns/1/model.jsonl"));
    let input = calls.last().unwrap()["request"]["input"].as_array().unwrap().clone();
    let outputs = input.iter().filter(|item| item["type"] == "function_call_output");
    let outputs: Vec<&str> = outputs.map(|item| item["output"].as_str().unwrap()).collect();
    let [profile, written, outside, network, env] = outputs.as_slice() else {
        panic!("{outputs:?}")
    };
    assert!(profile.contains("/usr/local/bin:"), "{profile}");
    assert!(written.contains("\"exit_code\":0"), "{written}");
    assert!(outside.contains("PermissionError"), "{outside}");
    assert!(network.contains("PermissionError"), "{network}");
    assert!(!env.contains("GATEWAY_KEY") && !env.contains("CODEX_HOME"), "{env}");

    let log = json_lines(&trial.join("turns/1/agent.log"));
    assert!(
        log.iter().any(|event| event["msg"]["type"] == "agent_message"),
        "{log:?}"
    );
    let sessions = walkdir::WalkDir::new(trial.join("agent/codex/sessions"));
    let kept = sessions
        .into_iter()
        .flatten()
        .filter(|entry| entry.file_type().is_file());
    assert_eq!(kept.count(), 1, "the rollout is kept");
}

#[test]
fn a_provider_that_refuses_is_the_infrastructure_although_codex_leaves_with_status_0() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("model.yaml");
    std::fs::write(&path, "replies: [{status: 401, text: no}]").unwrap();
    let model = format!("script:{}", path.display());
    let (_place, source) = recorded(&model, &["--interaction", "editing", "--retries", "0"], 4);
    let record = record(&source);
    assert_eq!(record["outcome"], "infrastructure_failure", "{record}");
    assert!(record["reason"].as_str().unwrap().starts_with("turn 1: "), "{record}");
}
