//! What a turn's ending says is the same whatever the agent: with the real agents, and a scripted model that ends as models do.

mod common;

use std::path::Path;

use common::{finished, json_lines, tiny_task};
use serde_json::{Value, json};

/// Runs a script of the model over the two turns of a tiny task; the trial's record, and the last request of its last turn.
fn converse(scaffold: &str, dialect: &str, replies: &Value) -> (Value, String) {
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("t.jsonl"), tiny_task("tiny").to_string()).unwrap();
    std::fs::write(place.path().join("m.yaml"), json!({ "replies": replies }).to_string()).unwrap();
    let mut arguments = vec!["run", scaffold, "-m", "script:m.yaml", "--dialect", dialect];
    arguments.extend(["--tasks", "t.jsonl", "--interaction", "editing", "--job-name", "r"]);
    finished(place.path(), &arguments, 0);
    let mut trials = std::fs::read_dir(place.path().join("jobs/r/trials")).unwrap();
    let trial = trials.next().unwrap().unwrap().path();
    let record = serde_json::from_slice(&std::fs::read(trial.join("trial.json")).unwrap()).unwrap();
    (record, last_request(&trial))
}

fn last_request(trial: &Path) -> String {
    let calls = json_lines(&trial.join("turns/2/model.jsonl"));
    calls.last().unwrap()["request"].to_string()
}

/// The real agents, each in all that it speaks; OpenHands where all are asked for.
fn agents() -> Vec<(&'static str, &'static str)> {
    let mut agents = vec![
        ("aider", "openai-chat"),
        ("aider", "anthropic-messages"),
        ("codex", "openai-responses"),
        ("codex", "openai-chat"),
        ("llm", "openai-chat"),
        ("llm", "openai-responses"),
        ("llm", "anthropic-messages"),
    ];
    match std::env::var_os("MTSEC_TEST_AGENTS").is_some_and(|agents| agents == "all") {
        true => agents.extend([("openhands", "openai-chat"), ("openhands", "anthropic-messages")]),
        false => eprintln!("skipped: OpenHands (1.6 GB) is tested with MTSEC_TEST_AGENTS=all only"),
    }
    agents
}

#[test]
fn an_answer_that_used_up_its_tokens_is_told_alike_and_the_conversation_goes_on() {
    for (scaffold, dialect) in agents() {
        let replies = json!([
            {"turn": 1, "text": "I begin with", "finish_reason": "length"},
            {"turn": 2, "text": "It is done."},
        ]);
        let (record, last) = converse(scaffold, dialect, &replies);
        let told = format!("{scaffold} in {dialect}: {record:#}");
        let turns = record["turns"].as_array().unwrap();
        assert_eq!(turns[0]["failure"], "token_limit", "{told}");
        assert_eq!(turns[1]["ending"], "answered", "{told}");
        assert_eq!(record["outcome"], "judged", "{told}");
        for said in ["Write `double(n)`.", "Change it: negative"] {
            assert!(last.contains(said), "no `{said}` in {last}, {told}");
        }
    }
}
