//! Runs that an earlier version of the program began: they go on, or are refused with what to use instead.

mod common;

use std::path::Path;

use axum::routing::post;
use common::server::{KEY, converse, message, serve};
use common::{finished, program, report};
use mtsec_agents::plan::Lock;

/// Changes a run's lock.
fn edit(folder: &Path, change: impl FnOnce(&mut Lock)) {
    let path = folder.join("lock.json");
    let mut lock: Lock = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    change(&mut lock);
    std::fs::write(path, serde_json::to_vec(&lock).unwrap()).unwrap();
}

#[test]
fn a_run_of_another_version_is_gone_on_with_aloud_and_refused_by_name() {
    let place = tempfile::tempdir().unwrap();
    let resumed = |code| finished(place.path(), &["resume", "jobs/old"], code).1;
    let run = ["run", "llm", "-m", "oracle", "-l", "1", "--interaction", "single"];
    finished(place.path(), &[&run[..], &["--job-name", "old"]].concat(), 0);
    let folder = place.path().join("jobs/old");
    assert!(!resumed(0).contains("was started with"));

    edit(&folder, |lock| lock.version = "0.0.9".to_owned());
    let told = resumed(0);
    assert!(
        told.contains("started with mtsec-agents 0.0.9") && told.contains(env!("CARGO_PKG_VERSION")),
        "{told}"
    );

    // The rules of the scaffold have changed since.
    edit(&folder, |lock| lock.cells[0].version = "0".to_owned());
    for arguments in [["resume", "jobs/old"], ["replay", "jobs/old"]] {
        let (_, told) = finished(place.path(), &arguments, 2);
        assert!(
            told.contains("made with llm 0") && told.contains("use mtsec-agents 0.0.9"),
            "{told}"
        );
    }
}

#[test]
fn a_budget_for_thinking_that_was_accepted_once_stays_so() {
    let place = tempfile::tempdir().unwrap();
    let (base, provider) = serve("/v1/messages", post(message), false);
    let folder = converse(place.path(), &base, "llm", "claude-3-7-sonnet", &[]);
    edit(&folder, |lock| {
        lock.cells[0].options.thinking_tokens = Some(2048);
        let id = lock.cells[0].id();
        lock.trials.iter_mut().for_each(|trial| trial.cell = id.clone());
    });
    std::fs::remove_dir_all(folder.join("trials")).unwrap();
    std::fs::remove_file(folder.join("journal.jsonl")).unwrap();
    let run = |arguments: &[&str]| {
        let mut run = program();
        run.current_dir(place.path()).env("MTSEC_API_KEY", KEY);
        run.args(arguments).assert()
    };
    run(&["resume", "jobs/llm"]).success();
    assert_eq!(report(&folder)[0]["n"], 1);
    let bodies = provider.bodies.lock().unwrap().clone();
    assert_eq!(bodies.len(), 6);
    assert!(bodies[3..].iter().all(|body| body["thinking"]["budget_tokens"] == 2048));
    run(&["replay", "jobs/llm", "--job-name", "again"]).success();

    // A model that is named now is asked as in `run`.
    let on = ["--until", "1", "-m", "claude-3-7-sonnet", "--api-base", &base];
    let refused = run(&[&["replay", "jobs/llm"], &on[..]].concat()).code(2);
    let told = String::from_utf8_lossy(&refused.get_output().stderr).into_owned();
    assert!(told.contains("`claude-3-7-sonnet-thinking`"), "{told}");
}
