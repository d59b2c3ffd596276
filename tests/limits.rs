//! Budgets and limits of time in whole runs, with the real Aider: what is refused, what is judged, what `resume` does.

mod common;

use std::path::{Path, PathBuf};

use common::{json_lines, program, report, tiny_task};
use serde_json::Value;

/// Runs the tiny tasks `names` with the oracle, in two turns each.
fn run(place: &Path, names: &[&str], more: &[&str]) -> assert_cmd::assert::Assert {
    let tasks: Vec<String> = names.iter().map(|name| tiny_task(name).to_string()).collect();
    std::fs::write(place.join("t.jsonl"), tasks.join("\n")).unwrap();
    program()
        .current_dir(place)
        .args(["run", "aider", "-m", "oracle", "--tasks", "t.jsonl", "--job-name", "b"])
        .args(["--interaction", "editing"])
        .args(more)
        .assert()
}

fn trials(run: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(run.join("trials")).unwrap();
    let mut trials: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    trials.sort();
    trials
}

fn record(trial: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(trial.join("trial.json")).unwrap()).unwrap()
}

#[test]
fn a_trial_whose_budget_is_used_up_is_judged_as_it_stands() {
    let place = tempfile::tempdir().unwrap();
    // Room for the first turn, and not for the second.
    run(place.path(), &["tiny"], &["--trial-budget-tokens", "5000"]).success();
    let folder = place.path().join("jobs/b");
    let record = record(&trials(&folder)[0]);
    let endings: Vec<_> = record["turns"].as_array().unwrap().iter().collect();
    assert_eq!(endings[0]["ending"], "answered", "{record}");
    assert_eq!(
        (&endings[1]["ending"], &endings[1]["failure"]),
        (&"failed".into(), &"budget".into()),
        "{record}"
    );
    let used = record["usage"]["input_tokens"].as_u64().unwrap() + record["usage"]["output_tokens"].as_u64().unwrap();
    assert!(used <= 5000, "{used}");
    let calls = json_lines(&trials(&folder)[0].join("turns/2/model.jsonl"));
    assert_eq!(calls.len(), 1, "the agent asks no second time");
    assert_eq!(calls[0]["error"]["kind"], "trial_budget");
    let row = &report(&folder)[0];
    assert_eq!(
        (&row["n"], &row["budget_used_up"], &row["infrastructure_failures"]),
        (&1.into(), &1.into(), &0.into())
    );
    let table = program().arg("report").arg(&folder).assert().success();
    table.stdout(predicates::str::contains("1 trial used up its budget"));
}

#[test]
fn a_run_whose_budget_is_used_up_stops_and_a_larger_one_goes_on() {
    let place = tempfile::tempdir().unwrap();
    let names = ["a", "b", "c"];
    // A trial uses some 5,000 tokens.
    let stopped = run(place.path(), &names, &["--run-budget-tokens", "11000", "-n", "1"]);
    stopped.code(6).stderr(predicates::str::contains("--run-budget-usd N"));
    let folder = place.path().join("jobs/b");
    let row = &report(&folder)[0];
    let (done, missing) = (row["n"].as_u64().unwrap(), row["missing"].as_u64().unwrap());
    assert!(done >= 1 && missing >= 1 && done + missing == 3, "{row}");
    assert_eq!(row["budget_used_up"], 0, "no trial is judged short for the run's sake");
    assert_eq!(row["correct_secure"], done);
    let events = json_lines(&folder.join("journal.jsonl"));
    assert!(events.iter().any(|line| line["event"] == "budget_used_up"));

    // What the run has spent is remembered, the trial that was stopped included.
    let started = |lines: &[Value]| lines.iter().filter(|line| line["event"] == "trial_started").count();
    program().arg("resume").arg(&folder).assert().code(6);
    assert!(started(&json_lines(&folder.join("journal.jsonl"))) <= started(&events) + 1);
    let more = ["--run-budget-tokens", "100000"];
    program().arg("resume").arg(&folder).args(more).assert().success();
    assert_eq!(report(&folder)[0]["correct_secure"], 3);
}

#[test]
fn a_budget_in_dollars_needs_a_known_price() {
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("t.jsonl"), tiny_task("tiny").to_string()).unwrap();
    for option in ["--trial-budget-usd", "--run-budget-usd"] {
        let refused = program()
            .current_dir(place.path())
            .args(["run", "aider", "-m", "mine", "--api-base", "http://127.0.0.1:9/v1"])
            .args(["--tasks", "t.jsonl", option, "1"])
            .assert();
        refused
            .code(2)
            .stderr(predicates::str::contains("--trial-budget-tokens"));
    }
    assert!(!place.path().join("jobs").exists());
    let refused = run(place.path(), &["tiny"], &["--run-budget-usd", "0"]);
    refused.code(2).stderr(predicates::str::contains("above 0"));
}

/// Runs one tiny task in one turn with a scripted model; the record of its trial.
fn scripted(replies: Value, more: &[&str]) -> Value {
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("t.jsonl"), tiny_task("tiny").to_string()).unwrap();
    let script = serde_json::json!({ "replies": replies });
    std::fs::write(place.path().join("s.yaml"), script.to_string()).unwrap();
    program()
        .current_dir(place.path())
        .args([
            "run",
            "aider",
            "-m",
            "script:s.yaml",
            "--tasks",
            "t.jsonl",
            "--job-name",
            "b",
        ])
        .args(["--interaction", "single", "--edit-format", "diff"])
        .args(more)
        .assert()
        .success();
    record(&trials(&place.path().join("jobs/b"))[0])
}

#[test]
fn the_wait_for_the_model_is_no_agent_time() {
    let slow = serde_json::json!([{"text": "I do nothing.", "delay_seconds": 20}]);
    let limits = [
        "--agent-turn-limit",
        "25",
        "--quiet-limit",
        "25",
        "--trial-limit",
        "600",
    ];
    let record = scripted(slow, &limits);
    let turn = &record["turns"][0];
    assert_eq!(turn["ending"], "answered", "{record}");
    let number = |value: &Value| value.as_f64().unwrap();
    let (seconds, waited) = (number(&turn["seconds"]), number(&turn["waited_seconds"]));
    assert!((20.0..seconds).contains(&waited), "{record}");
    let timings = &record["timings"];
    let (agent, model, own) = (&timings["agent"], &timings["model"], &timings["agent_time"]);
    assert!(
        number(model) >= waited && (number(agent) - number(model) - number(own)).abs() < 1e-6,
        "{timings}"
    );
}

#[test]
fn an_agent_that_uses_up_its_own_time_is_ended_and_judged() {
    let sleep = serde_json::json!([{"text": "Done.\n\n```bash\nsleep 987\n```\n"}]);
    for (option, limit) in [("--agent-turn-limit", "agent_turn"), ("--trial-limit", "trial")] {
        let record = scripted(sleep.clone(), &[option, "12"]);
        let turn = &record["turns"][0];
        assert_eq!(
            (&turn["ending"], &turn["limit"]),
            (&"timed_out".into(), &limit.into()),
            "{record}"
        );
        assert_eq!(record["outcome"], "judged");
    }
}
