//! Hidden tests and reference solutions that reach an agent: found, told, and in no rate.

mod common;

use std::path::{Path, PathBuf};

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use common::{json_lines, program, report, tiny_task};
use serde_json::{Value, json};

/// What every canary begins with.
const PREFIX: &str = "mtsec-canary-";

fn run(place: &Path, model: &[&str]) -> PathBuf {
    std::fs::write(place.join("t.jsonl"), tiny_task("tiny").to_string()).unwrap();
    program()
        .current_dir(place)
        .args([
            "run",
            "aider",
            "--tasks",
            "t.jsonl",
            "--job-name",
            "c",
            "--retries",
            "0",
        ])
        .args(["--interaction", "single", "--edit-format", "diff"])
        .args(model)
        .assert()
        .success();
    place.join("jobs/c")
}

fn record(run: &Path) -> Value {
    let trial = std::fs::read_dir(run.join("trials")).unwrap().next().unwrap().unwrap();
    serde_json::from_slice(&std::fs::read(trial.path().join("trial.json")).unwrap()).unwrap()
}

/// The content of every file below a folder.
fn contents(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let files = walkdir::WalkDir::new(folder).into_iter().map(Result::unwrap);
    files
        .filter(|entry| entry.file_type().is_file())
        .map(|entry| (entry.path().to_owned(), std::fs::read(entry.path()).unwrap()))
        .collect()
}

#[test]
fn an_honest_run_shows_no_hidden_text_to_its_agent() {
    let place = tempfile::tempdir().unwrap();
    let run = run(place.path(), &["-m", "oracle,oracle:insecure"]);
    let task = &json_lines(&run.join("tasks.jsonl"))[0];
    for hidden in [
        &task["tests"]["testcases"],
        &task["references"]["secure"],
        &task["references"]["insecure"],
    ] {
        assert!(hidden.as_str().unwrap().contains(PREFIX), "{task}");
    }
    // Nothing but the run's own copy of its tasks holds one: not what the oracle wrote, nor any call.
    for (path, content) in contents(&run) {
        let planted = content.windows(PREFIX.len()).any(|window| window == PREFIX.as_bytes());
        assert_eq!(planted, path.ends_with("tasks.jsonl"), "{}", path.display());
    }
    let rows = report(&run);
    assert!(
        rows.iter().all(|row| row["n"] == 1 && row["contaminated"] == 0),
        "{rows:?}"
    );
    assert_eq!(
        (&rows[0]["correct_secure"], &rows[1]["correct_insecure"]),
        (&1.into(), &1.into())
    );
    // Each run has canaries of its own, and a task that comes from another run loses that run's.
    let again = program()
        .current_dir(place.path())
        .args([
            "run",
            "aider",
            "-m",
            "nop",
            "--tasks",
            "jobs/c/tasks.jsonl",
            "--job-name",
            "d",
        ])
        .args(["--interaction", "single"])
        .assert();
    again.success();
    let other = &json_lines(&place.path().join("jobs/d/tasks.jsonl"))[0]["tests"]["testcases"];
    assert_ne!(*other, task["tests"]["testcases"]);
    assert_eq!(other.as_str().unwrap().matches(PREFIX).count(), 2, "{other}");
}

/// A model that knows the tests: it writes them into the solution that it gives.
async fn leak(State(run): State<PathBuf>) -> Json<Value> {
    let task = &json_lines(&run.join("tasks.jsonl"))[0];
    let code = task["tests"]["testcases"].as_str().unwrap();
    let text = format!("app.py\n```python\n<<<<<<< SEARCH\n=======\n{code}>>>>>>> REPLACE\n```\n");
    Json(json!({
        "id": "c", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 10, "total_tokens": 20},
    }))
}

#[test]
fn an_agent_that_has_hidden_tests_is_in_no_rate() {
    let place = tempfile::tempdir().unwrap();
    let router = Router::new()
        .route("/v1/chat/completions", post(leak))
        .with_state(place.path().join("jobs/c"));
    let base = common::server::listen(router);
    let run = run(place.path(), &["-m", "m", "--api-base", &base]);
    let record = record(&run);
    let evidence = record["contaminated"].as_array().unwrap();
    let seen = |place: &str| evidence.iter().find(|evidence| evidence["place"] == place);
    let response = seen("response").unwrap_or_else(|| panic!("{record}"));
    assert_eq!(
        (&response["turn"], &response["call"], &response["task"]),
        (&1.into(), &1.into(), &"tiny".into())
    );
    assert_eq!(seen("file").unwrap()["path"], "app.py");
    let warning = record["warnings"].to_string();
    assert!(
        warning.contains("CONTAMINATED: hidden text of task `tiny` in turn 1"),
        "{warning}"
    );

    let row = &report(&run)[0];
    let count = |name: &str| row[name].as_u64().unwrap();
    assert_eq!(
        (count("judged"), count("n"), count("contaminated"), count("incorrect")),
        (1, 0, 1, 0)
    );
    let text = |format: &str| {
        let output = program()
            .arg("report")
            .arg(&run)
            .args(["--format", format])
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    for format in ["table", "md"] {
        let text = text(format);
        assert!(
            text.contains("CONTAMINATED: in 1 of 1 trial ") && text.contains("the other 0"),
            "{text}"
        );
    }
    let csv = text("csv");
    let mut lines = csv.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
    let of = |name: &str| values[names.iter().position(|known| *known == name).unwrap()];
    assert_eq!((of("judged"), of("n"), of("contaminated")), ("1", "0", "1"));
}

/// A driver that tells what the run keeps from its agents.
const TELLS: &str = r#"
import json, sys
say = lambda **told: print(json.dumps(told), flush=True)
for line in sys.stdin:
    told = json.loads(line)
    if told["type"] == "start": say(type="ready")
    elif told["type"] == "turn":
        say(type="event", turn=told["turn"], detail=json.loads(open("RUN/tasks.jsonl").readline())["tests"]["testcases"])
        say(type="turn_finished", turn=told["turn"], reason="answered", message="done")
    elif told["type"] == "stop": say(type="closed"); break
"#;

const RECIPE: &str = r#"
name: tells
version: "1"
install: {program: tells.py, interpreter: python3}
argv: [{args: ["python3", "-u", "{{ agent.program }}"]}]
drive: {shim: {iterations: 5, command_seconds: 5, call_seconds: 5, tries: 1, failures: []}}
limits: {ready_seconds: 60, turn_seconds: 60, session_seconds: 600, quiet_seconds: 60, answers: 5}
exit_seconds: 5
grace_seconds: 0.3
"#;

#[test]
fn hidden_tests_in_what_a_driver_says_are_found() {
    let place = tempfile::tempdir().unwrap();
    let run = place.path().join("jobs/c");
    let driver = TELLS.replace("RUN", &run.display().to_string());
    std::fs::write(place.path().join("tells.py"), driver).unwrap();
    std::fs::write(place.path().join("tells.yaml"), RECIPE).unwrap();
    std::fs::write(place.path().join("t.jsonl"), tiny_task("tiny").to_string()).unwrap();
    let more = ["--interaction", "single", "--containment", "none", "--retries", "0"];
    program()
        .current_dir(place.path())
        .args([
            "run",
            "./tells.yaml",
            "-m",
            "nop",
            "--tasks",
            "t.jsonl",
            "--job-name",
            "c",
        ])
        .args(more)
        .assert()
        .success();
    let record = record(&run);
    let evidence = record["contaminated"].as_array().unwrap();
    let seen: Vec<(&Value, &Value)> = evidence.iter().map(|seen| (&seen["turn"], &seen["place"])).collect();
    assert_eq!(seen, [(&json!(1), &json!("terminal"))], "{record:#}");
    assert_eq!(
        (&report(&run)[0]["n"], &report(&run)[0]["contaminated"]),
        (&json!(0), &json!(1))
    );
}
