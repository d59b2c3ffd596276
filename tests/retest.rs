//! `retest`: stored snapshots judged again, and trials whose tester had failed completed without playing them again.

mod common;

use std::path::{Path, PathBuf};

use common::{json_lines, recorded, report, tiny_task};
use serde_json::{Value, json};

/// Runs the program in a place; its standard output.
fn finished(place: &Path, arguments: &[&str], code: i32) -> String {
    common::finished(place, arguments, code).0
}

fn only_trial(run: &Path) -> PathBuf {
    let mut trials: Vec<PathBuf> = std::fs::read_dir(run.join("trials"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert_eq!(trials.len(), 1, "{trials:?}");
    trials.remove(0)
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// The results that are kept in the run.
fn retests(run: &Path) -> Vec<Value> {
    let entries = std::fs::read_dir(run.join("retests")).unwrap();
    entries.map(|entry| read(&entry.unwrap().path())).collect()
}

#[test]
fn stable_solutions_come_out_as_recorded_and_nothing_of_the_run_changes() {
    let (place, run) = recorded("oracle,oracle:insecure", &["--test-turns", "all"]);
    let journal = std::fs::read(run.join("journal.jsonl")).unwrap();
    let out = finished(place.path(), &["retest", "jobs/src", "-k", "2", "--json"], 0);
    let record: Value = serde_json::from_str(&out).unwrap();
    // Two models; one turn of `single` and both of `editing`.
    let trials = record["trials"].as_array().unwrap();
    assert_eq!(trials.len(), 4);
    let snapshots: Vec<&Value> = trials
        .iter()
        .flat_map(|trial| trial["snapshots"].as_array().unwrap())
        .collect();
    assert_eq!(snapshots.len(), 6);
    for snapshot in &snapshots {
        let verdicts = snapshot["verdicts"].as_array().unwrap();
        assert_eq!(verdicts.len(), 2);
        assert!(
            verdicts.iter().all(|verdict| *verdict == snapshot["recorded"]),
            "{snapshot}"
        );
        assert_eq!(snapshot["cases"], json!([]));
    }
    assert!(
        snapshots
            .iter()
            .any(|snapshot| snapshot["recorded"] == "correct_insecure")
    );
    assert_eq!(retests(&run), [record]);
    assert_eq!(std::fs::read(run.join("journal.jsonl")).unwrap(), journal);
    assert!(finished(place.path(), &["retest", "jobs/src", "-i", "CWE-1333"], 0).contains("as recorded"));
    assert_eq!(retests(&run).len(), 2);
    finished(place.path(), &["retest", "jobs/src", "-i", "CWE-79"], 2);
    finished(place.path(), &["retest", "jobs/none"], 2);
}

#[test]
fn a_solution_that_depends_on_chance_is_found_out() {
    // Secure every other time, so that 40 rounds show it but for one chance in 2 to the power of 39.
    let code = "import os\n\ndef double(n):\n    if n < 0 and os.urandom(1)[0] % 2:\n        raise ValueError(n)\n    return 2 * n\n";
    let text = format!("app.py\n```python\n<<<<<<< SEARCH\n=======\n{code}>>>>>>> REPLACE\n```\n");
    let scripts = tempfile::tempdir().unwrap();
    let script = scripts.path().join("s.yaml");
    std::fs::write(&script, json!({ "replies": [{ "text": text }] }).to_string()).unwrap();
    let model = format!("script:{}", script.display());
    let (place, run) = recorded(&model, &["--interaction", "single", "--edit-format", "diff"]);
    let before = std::fs::read(only_trial(&run).join("trial.json")).unwrap();
    let out = finished(place.path(), &["retest", "jobs/src", "-k", "40"], 7);
    assert!(
        out.contains("flaky:") && out.contains("safety 1") && out.contains("DIFFERS"),
        "{out}"
    );
    let record = retests(&run).remove(0);
    let snapshot = &record["trials"][0]["snapshots"][0];
    assert_eq!(snapshot["verdicts"].as_array().unwrap().len(), 40);
    let cases = snapshot["cases"].as_array().unwrap();
    assert_eq!((cases.len(), &cases[0]["case"]), (1, &"safety 1".into()));
    let counts: u64 = cases[0]["results"]
        .as_object()
        .unwrap()
        .values()
        .map(|count| count.as_u64().unwrap())
        .sum();
    assert_eq!(counts, 40);
    // The record is what was recorded.
    assert_eq!(std::fs::read(only_trial(&run).join("trial.json")).unwrap(), before);
}

/// Makes the trial of a run one whose tester failed after the conversation was played.
fn fail_the_tester(run: &Path) {
    let path = only_trial(run).join("trial.json");
    let mut record = read(&path);
    assert_eq!(record["played"], true);
    assert!(
        !only_trial(run).join("played.json").exists(),
        "a complete trial keeps it"
    );
    record["outcome"] = "infrastructure_failure".into();
    record["reason"] = "tester: the sandbox was gone".into();
    record.as_object_mut().unwrap().shift_remove("verdict");
    record["judgements"] = json!({});
    std::fs::write(path, record.to_string()).unwrap();
    std::fs::remove_dir_all(only_trial(run).join("verdicts")).unwrap();
}

/// The trial has its verdict, without any further call of a model, and what was recorded before is kept.
fn completed(run: &Path, calls: usize) {
    let trial = only_trial(run);
    let record = read(&trial.join("trial.json"));
    assert_eq!(record["verdict"], "correct_secure");
    assert_eq!(read(&trial.join("trial.json.1"))["outcome"], "infrastructure_failure");
    assert!(trial.join("verdicts/2.json").exists());
    let made: usize = [1, 2]
        .map(|turn| json_lines(&trial.join(format!("turns/{turn}/model.jsonl"))).len())
        .iter()
        .sum();
    assert_eq!(made, calls);
    let journal = json_lines(&run.join("journal.jsonl"));
    let again: Vec<&Value> = journal
        .iter()
        .filter(|line| line["event"] == "trial_judged_again")
        .collect();
    assert_eq!((again.len(), &again[0]["kept"]), (1, &"trial.json.1".into()));
    assert_eq!(
        journal.iter().filter(|line| line["event"] == "trial_started").count(),
        1
    );
    let row = &report(run)[0];
    assert_eq!((&row["n"], &row["infrastructure_failures"]), (&1.into(), &0.into()));
    assert_eq!(row["usage"]["calls"], calls);
}

const EDITING: [&str; 2] = ["--interaction", "editing"];

#[test]
fn a_trial_whose_tester_failed_gets_its_verdict_from_retest() {
    let (place, run) = recorded("oracle", &EDITING);
    fail_the_tester(&run);
    assert_eq!(report(&run)[0]["infrastructure_failures"], 1);
    let out = finished(place.path(), &["retest", "jobs/src"], 0);
    assert!(out.contains("has its verdict now"), "{out}");
    completed(&run, 2);
    finished(place.path(), &["resume", "jobs/src"], 0);
}

#[test]
fn a_trial_whose_tester_failed_is_judged_and_not_played_again_by_resume() {
    let (place, run) = recorded("oracle", &EDITING);
    fail_the_tester(&run);
    finished(place.path(), &["resume", "jobs/src"], 4);
    finished(place.path(), &["resume", "jobs/src", "--retry-infrastructure"], 0);
    completed(&run, 2);
}

#[test]
fn what_a_first_judging_told_of_a_turn_is_not_told_again() {
    let whole = |code: &str| json!({ "text": format!("app.py\n```\n{code}```\n") });
    let secure = tiny_task("tiny")["references"]["secure"].as_str().unwrap().to_owned();
    let replies = [whole("import numpy\n"), whole(&secure)];
    let scripts = tempfile::tempdir().unwrap();
    let script = scripts.path().join("s.yaml");
    std::fs::write(&script, json!({ "replies": replies }).to_string()).unwrap();
    let model = format!("script:{}", script.display());
    let more = ["--edit-format", "whole", "--test-turns", "all"];
    let (place, run) = recorded(&model, &[&EDITING[..], &more].concat());
    let path = only_trial(&run).join("trial.json");
    let told = "turn 1: the solution imports `numpy`, a published package, which the tester does not have";
    assert_eq!(read(&path)["warnings"], json!([told]));
    fail_the_tester(&run);
    let failed = std::fs::read(&path).unwrap();
    for again in [
        &["retest", "jobs/src"][..],
        &["resume", "jobs/src", "--retry-infrastructure"],
    ] {
        std::fs::write(&path, &failed).unwrap();
        finished(place.path(), again, 0);
        let warnings = read(&path)["warnings"].clone();
        let [first, judged] = warnings.as_array().unwrap().as_slice() else {
            panic!("{again:?}: {warnings}")
        };
        assert_eq!(first, told);
        assert!(judged.as_str().unwrap().starts_with("judged again"), "{judged}");
    }
}

#[test]
fn a_played_trial_whose_snapshots_are_damaged_is_played_again() {
    let (place, run) = recorded("oracle", &EDITING);
    fail_the_tester(&run);
    std::fs::remove_dir_all(run.join("blobs")).unwrap();
    let out = finished(place.path(), &["retest", "jobs/src"], 4);
    assert!(out.contains("tester failed"), "{out}");
    finished(place.path(), &["resume", "jobs/src", "--retry-infrastructure"], 0);
    let row = &report(&run)[0];
    assert_eq!((&row["correct_secure"], &row["usage"]["calls"]), (&1.into(), &4.into()));
}

#[test]
fn a_run_that_died_while_it_judged_does_not_play_again() {
    let (place, run) = recorded("oracle", &EDITING);
    // What such a run leaves.
    fail_the_tester(&run);
    let trial = only_trial(&run);
    std::fs::rename(trial.join("trial.json"), trial.join("played.json")).unwrap();
    assert_eq!(report(&run)[0]["missing"], 1);
    finished(place.path(), &["resume", "jobs/src"], 0);
    assert_eq!(read(&trial.join("trial.json"))["verdict"], "correct_secure");
    assert!(!trial.join("played.json").exists());
    let row = &report(&run)[0];
    assert_eq!((&row["n"], &row["usage"]["calls"]), (&1.into(), &2.into()));
    let journal = json_lines(&run.join("journal.jsonl"));
    assert_eq!(
        journal.iter().filter(|line| line["event"] == "trial_started").count(),
        1
    );
}

#[test]
fn an_interrupted_retest_keeps_what_it_has_found() {
    let (place, run) = recorded("oracle", &EDITING);
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_mtsec-agents"));
    command
        .current_dir(place.path())
        .args(["retest", "jobs/src", "-k", "1000"]);
    let mut child = command
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let lines = std::io::BufReader::new(child.stderr.take().unwrap());
    // Signals are heard by now.
    let said = std::io::BufRead::lines(lines)
        .map(Result::unwrap)
        .find(|line| line.contains("1 trial to judge, 1000 rounds each"));
    assert!(said.is_some());
    let pid = nix::unistd::Pid::from_raw(child.id() as i32);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let record = retests(&run).remove(0);
    assert_eq!(record["interrupted"], true);
    assert!(record["trials"].as_array().unwrap().len() <= 1);
}
