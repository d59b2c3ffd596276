//! Files of a run that are torn, damaged, or in the way: told clearly, mended where that is safe, never taken for whole.

mod common;

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use common::{json_lines, program, report, tiny_task};
use mtsec_agents::event::Event;
use mtsec_agents::store::{Journal, RunFolder, StoreError, read_journal, write_atomic};
use predicates::prelude::*;

const AGENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fake/agent.yaml");

/// A finished run of one trial.
fn finished(place: &Path) -> PathBuf {
    std::fs::write(place.join("t.jsonl"), tiny_task("tiny").to_string()).unwrap();
    let mut run = program();
    run.current_dir(place);
    run.args([
        "run",
        AGENT,
        "-m",
        "oracle",
        "--tasks",
        "t.jsonl",
        "--interaction",
        "single",
    ]);
    run.args(["--job-name", "run"]).assert().success();
    place.join("jobs/run")
}

fn ended(run: &Path) -> usize {
    let events = json_lines(&run.join("journal.jsonl"));
    events.iter().filter(|line| line["event"] == "trial_ended").count()
}

#[test]
fn an_outcome_that_the_journal_has_lost_is_told_again_and_not_played_again() {
    let place = tempfile::tempdir().unwrap();
    let run = finished(place.path());
    let journal = run.join("journal.jsonl");
    // A crash between the record and its line, in the middle of the line.
    let text = std::fs::read_to_string(&journal).unwrap();
    let at = text.find("trial_ended").unwrap();
    std::fs::write(&journal, &text[..at]).unwrap();
    program().arg("resume").arg(&run).assert().success();
    assert_eq!(ended(&run), 1);
    let started = json_lines(&journal)
        .iter()
        .filter(|line| line["event"] == "trial_started")
        .count();
    assert_eq!(started, 1, "it was played again");
    program().arg("resume").arg(&run).assert().success();
    assert_eq!(ended(&run), 1, "told twice");
}

#[test]
fn files_that_a_dead_process_was_writing_are_no_runs_and_are_removed() {
    let place = tempfile::tempdir().unwrap();
    let run = finished(place.path());
    let asides = [run.join(".aside-abc"), run.join("blobs/.aside-def")];
    for aside in &asides {
        std::fs::write(aside, "half").unwrap();
    }
    program().arg("resume").arg(&run).assert().success();
    assert!(asides.iter().all(|aside| !aside.exists()));
}

#[test]
fn damaged_files_of_a_run_are_named_with_what_is_wrong() {
    let place = tempfile::tempdir().unwrap();
    let run = finished(place.path());
    for (name, content, told) in [
        ("lock.json", "{\"version\": ", "lock.json: EOF while parsing"),
        ("run.yaml", "scaffold: [", "run.yaml:1:"),
        (
            "tasks.jsonl",
            "{}\n",
            "tasks.jsonl: it is not what the run was started with",
        ),
    ] {
        let whole = std::fs::read(run.join(name)).unwrap();
        std::fs::write(run.join(name), content).unwrap();
        let refused = program().arg("resume").arg(&run).assert().code(2);
        refused.stderr(predicate::str::contains(told));
        std::fs::write(run.join(name), whole).unwrap();
    }
    // Something else in the place of the journal.
    std::fs::rename(run.join("journal.jsonl"), run.join("kept")).unwrap();
    std::fs::create_dir(run.join("journal.jsonl")).unwrap();
    let refused = program().arg("resume").arg(&run).assert().code(3);
    refused.stderr(predicate::str::contains("cannot write").and(predicate::str::contains("journal.jsonl")));
    std::fs::remove_dir(run.join("journal.jsonl")).unwrap();
    std::fs::rename(run.join("kept"), run.join("journal.jsonl")).unwrap();
    program().arg("resume").arg(&run).assert().success();
    assert_eq!(report(&run)[0]["n"], 1);
}

#[test]
fn what_a_killed_process_was_writing_aside_is_removed_also_from_a_trial_that_was_played() {
    let place = tempfile::tempdir().unwrap();
    let run = RunFolder::create(place.path(), "run").unwrap();
    let played = run.path().join("trials/played");
    std::fs::create_dir_all(played.join("verdicts")).unwrap();
    std::fs::create_dir_all(run.path().join("blobs")).unwrap();
    std::fs::write(played.join("played.json"), "{}").unwrap();
    let asides = ["", "blobs", "trials/played", "trials/played/verdicts"];
    for folder in asides {
        std::fs::write(run.path().join(folder).join(".aside-x"), "torn").unwrap();
    }
    run.tidy();
    for folder in asides {
        assert!(!run.path().join(folder).join(".aside-x").exists(), "{folder}");
    }
    assert!(played.join("played.json").exists());
}

#[test]
fn a_write_that_fails_leaves_the_old_content_and_nothing_aside() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("file");
    write_atomic(&path, b"old").unwrap();
    write_atomic(&path, b"new").unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"new");
    // A folder cannot be replaced by a file.
    std::fs::create_dir(place.path().join("folder")).unwrap();
    write_atomic(&place.path().join("folder"), b"x").unwrap_err();
    let names: Vec<_> = common::traces::entries(place.path());
    assert_eq!(names.len(), 2, "{names:?}");
}

#[test]
fn a_line_that_is_torn_anywhere_costs_that_line_only() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("journal.jsonl");
    let event = |interrupted| Event::RunEnded { interrupted };
    Journal::open(&path).unwrap().append(&event(true)).unwrap();
    let whole = std::fs::read(&path).unwrap();
    for cut in 1..whole.len() {
        std::fs::write(&path, [&whole[..], &whole[..cut]].concat()).unwrap();
        assert_eq!(
            read_journal(&path).unwrap().len(),
            if cut == whole.len() - 1 { 2 } else { 1 },
            "{cut}"
        );
        Journal::open(&path).unwrap().append(&event(false)).unwrap();
        let lines = read_journal(&path).unwrap();
        assert_eq!(lines.len(), 2, "{cut}");
        assert_eq!(lines[1].event, event(false));
    }
    // What is no text at all is passed over as well.
    OpenOptions::new()
        .append(true)
        .open(&path)
        .unwrap()
        .write_all(b"\xff\xfe\0\n")
        .unwrap();
    assert_eq!(read_journal(&path).unwrap().len(), 2);
}

#[test]
fn a_run_is_held_by_one_process_and_removed_by_none_that_does_not_hold_it() {
    let place = tempfile::tempdir().unwrap();
    let held = RunFolder::create(place.path(), "half").unwrap();
    assert!(RunFolder::half_made(place.path()).is_empty(), "it is about to begin");
    assert!(matches!(
        RunFolder::remove_half_made(held.path()),
        Err(StoreError::InUse(_))
    ));
    let path = held.path().to_owned();
    drop(held);
    assert_eq!(RunFolder::half_made(place.path()), std::slice::from_ref(&path));
    std::fs::write(path.join("lock.json"), "{}").unwrap();
    assert!(RunFolder::half_made(place.path()).is_empty(), "it has begun");
    assert!(RunFolder::remove_half_made(&path).is_err());
    std::fs::remove_file(path.join("lock.json")).unwrap();
    RunFolder::remove_half_made(&path).unwrap();
    assert!(!path.exists());
}
