//! An agent by its recipe alone: a file of the user's, and a program that is there already.

mod common;

use std::path::{Path, PathBuf};

use common::{program, report, tiny_task};
use predicates::prelude::*;
use serde_json::Value;

/// A folder with a task, and with a copy of the fake agent and its recipe under `mine/`.
fn place() -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("t.jsonl"), tiny_task("tiny").to_string()).unwrap();
    let fake = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fake");
    std::fs::create_dir(place.path().join("mine")).unwrap();
    for name in ["agent.yaml", "agent.py"] {
        std::fs::copy(fake.join(name), place.path().join("mine").join(name)).unwrap();
    }
    place
}

fn run(place: &Path, name: &str, more: &[&str]) -> assert_cmd::assert::Assert {
    program()
        .current_dir(place)
        .args(["run", "mine/agent.yaml", "-m", "oracle", "--tasks", "t.jsonl"])
        .args(["--interaction", "single", "--job-name", name])
        .args(more)
        .assert()
}

fn edit(path: PathBuf, from: &str, to: &str) {
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(from));
    std::fs::write(path, text.replace(from, to)).unwrap();
}

#[test]
fn an_agent_of_ones_own_is_driven_by_the_path_of_its_recipe() {
    let place = place();
    run(place.path(), "own", &[]).success();
    let folder = place.path().join("jobs/own");
    assert_eq!(report(&folder)[0]["correct_secure"], 1);
    let kept = std::fs::read(folder.join("recipe.yaml")).unwrap();
    assert_eq!(kept, std::fs::read(place.path().join("mine/agent.yaml")).unwrap());
    let verify = program()
        .current_dir(place.path())
        .args(["agents", "verify", "mine/agent.yaml"])
        .assert();
    verify.success().stdout(predicate::str::contains("fake 1 in"));

    // Another recipe of the same name and version is another cell.
    let cell = |run: &str| {
        let lock = std::fs::read(place.path().join("jobs").join(run).join("lock.json")).unwrap();
        let lock: Value = serde_json::from_slice(&lock).unwrap();
        lock["trials"][0]["cell"].as_str().unwrap().to_owned()
    };
    edit(
        place.path().join("mine/agent.yaml"),
        "default_answer: \"n\"",
        "default_answer: \"y\"",
    );
    run(place.path(), "other", &[]).success();
    assert_ne!(cell("own"), cell("other"));
}

#[test]
fn a_run_is_resumed_with_the_recipe_that_it_was_started_with() {
    let place = place();
    run(place.path(), "own", &[]).success();
    let folder = place.path().join("jobs/own");
    let trial = std::fs::read_dir(folder.join("trials"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    std::fs::remove_file(trial.join("trial.json")).unwrap();
    // The user's file has gone on changing: the run has its own copy.
    std::fs::write(place.path().join("mine/agent.yaml"), "name: [broken").unwrap();
    program().arg("resume").arg(&folder).assert().success();
    assert_eq!(report(&folder)[0]["correct_secure"], 1);

    std::fs::remove_file(trial.join("trial.json")).unwrap();
    let agent = place.path().join("mine/agent.py");
    let program_text = std::fs::read_to_string(&agent).unwrap();
    std::fs::write(&agent, format!("{program_text}\n# another agent\n")).unwrap();
    let resumed = program().arg("resume").arg(&folder).assert().code(2);
    resumed.stderr(predicate::str::contains("or its program has changed"));
    std::fs::write(&agent, program_text).unwrap();

    // As an installation is known by its digest in the lock.
    let path = folder.join("lock.json");
    let lock_text = std::fs::read_to_string(&path).unwrap();
    let mut lock: Value = serde_json::from_str(&lock_text).unwrap();
    assert!(lock["agents"][0]["digest"].is_string(), "{lock}");
    lock["agents"][0]["digest"] = "0".repeat(64).into();
    std::fs::write(&path, lock.to_string()).unwrap();
    let resumed = program().arg("resume").arg(&folder).assert().code(2);
    resumed.stderr(
        predicate::str::contains("installed with other files").and(predicate::str::contains("agents verify fake")),
    );
    assert!(!trial.join("trial.json").exists(), "a trial was started");
    std::fs::write(&path, lock_text).unwrap();

    edit(folder.join("recipe.yaml"), "exit_seconds: 5", "exit_seconds: 6");
    let resumed = program().arg("resume").arg(&folder).assert().code(2);
    resumed.stderr(predicate::str::contains(
        "recipe.yaml: it is not the recipe that the run was started with",
    ));
    std::fs::remove_file(folder.join("recipe.yaml")).unwrap();
    let resumed = program().arg("resume").arg(&folder).assert().code(2);
    resumed.stderr(predicate::str::contains("recipe.yaml: No such file"));
}

#[test]
fn a_recipe_that_cannot_be_used_is_told_before_anything_starts() {
    let place = place();
    let recipe = place.path().join("mine/agent.yaml");
    let whole = std::fs::read_to_string(&recipe).unwrap();
    let line = "install: {program: agent.py, interpreter: python3}";
    for (from, to, code, told) in [
        (
            line,
            "install: {program: absent.py, interpreter: python3}",
            3,
            "mine/absent.py: there is no such file",
        ),
        (
            line,
            "install: {program: agent.py, interpreter: pyhton}",
            3,
            "pyhton: no such interpreter",
        ),
        (line, "install: {program: agent.yaml}", 3, "names no interpreter"),
        (
            line,
            "install: {program: agent.py, python: '>=3.8'}",
            2,
            "agent.yaml:6:10: ",
        ),
        (
            line,
            "install: {program: agent.py, interpretre: python3}",
            2,
            "agent.yaml:6:",
        ),
        ("name: fake", "name: ../fake", 2, "agent.yaml: name: expected letters"),
        ("ready> $'", "ready> ($'", 2, "agent.yaml: drive.pty.prompts.ready: "),
    ] {
        std::fs::write(&recipe, whole.replace(from, to)).unwrap();
        let refused = run(place.path(), "none", &[]).code(code);
        refused.stderr(predicate::str::contains(told));
        let runs = std::fs::read_dir(place.path().join("jobs")).map_or(0, |runs| runs.count());
        assert_eq!(runs, 0, "a run was begun");
    }
    let absent = program().args(["run", "./absent.yaml", "-m", "nop"]).assert().code(2);
    absent.stderr(predicate::str::contains("/absent.yaml: No such file"));
}

#[test]
fn one_run_drives_several_scaffolds_and_is_gone_on_with() {
    let place = place();
    let other = place.path().join("mine/other.yaml");
    std::fs::copy(place.path().join("mine/agent.yaml"), &other).unwrap();
    run(place.path(), "twice", &["mine/other.yaml"])
        .code(2)
        .stderr(predicate::str::contains("two scaffolds of the run are named `fake`"));
    edit(other, "name: fake", "name: other");
    run(place.path(), "both", &["mine/other.yaml", "-n", "2"]).success();
    let folder = place.path().join("jobs/both");
    let rows = || {
        let rows = report(&folder).into_iter();
        rows.map(|row| (row["scaffold"].clone(), row["correct_secure"].clone()))
            .collect::<Vec<_>>()
    };
    let wanted = [("fake".into(), 1.into()), ("other".into(), 1.into())];
    assert_eq!(rows(), wanted);

    let lost = std::fs::read_dir(folder.join("trials"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    std::fs::remove_file(lost.path().join("trial.json")).unwrap();
    program().arg("resume").arg(&folder).assert().success();
    assert_eq!(rows(), wanted);
}
