//! A sweep that is killed, in the middle of its trials or while its run grows.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::common::finished;
use super::common::traces::{processes, until};
use super::{copy, lock, place, run, started, sweep, tasks, write};

#[test]
fn killed_in_the_middle_and_gone_on_with_it_prints_the_same_tables_byte_for_byte() {
    let place = place(
        "matrix: {scaffold: [llm, aider], model: [oracle, 'oracle:insecure'], interaction: editing}\ntable: {lines: [scaffold, model]}\n",
    );
    let (whole, _) = sweep(place.path(), &["--job-name", "whole"]);
    assert!(
        whole.matches('┌').count() >= 2,
        "the counts and the file's own table: {whole}"
    );
    let paper = |name: &str| finished(place.path(), &["report", name, "--layout", "paper"], 0).0;
    for (name, goes_on) in [
        ("again", &["sweep", "e.yaml", "--job-name", "again"][..]),
        ("resumed", &["resume", "jobs/resumed"]),
    ] {
        kill_after_the_first_trial(place.path(), name);
        finished(place.path(), goes_on, 0);
        let run = place.path().join("jobs").join(name);
        let all = lock(&run)["trials"].as_array().unwrap().len();
        assert_eq!(all, 8);
        // What was live when it was killed was begun again, and nothing else.
        assert!((all..all + 3).contains(&started(&run).len()), "{name}");
        let (table, _) = sweep(place.path(), &["--job-name", name]);
        assert_eq!(table, whole, "{name}");
        let name = |text: String, name: &str| text.replace(name, "RUN");
        let run = format!("jobs/{}", run.file_name().unwrap().to_str().unwrap());
        assert_eq!(name(paper(&run), &run), name(paper("jobs/whole"), "jobs/whole"));
    }
}

fn kill_after_the_first_trial(place: &Path, name: &str) {
    let mut driver = Command::new(env!("CARGO_BIN_EXE_mtsec-agents"));
    driver.current_dir(place).stdout(Stdio::null()).stderr(Stdio::null());
    let mut driver = driver
        .args(["sweep", "e.yaml", "-n", "2", "--job-name", name])
        .spawn()
        .unwrap();
    let journal = place.join("jobs").join(name).join("journal.jsonl");
    until("the first outcome", Duration::from_secs(120), || {
        std::fs::read_to_string(&journal).is_ok_and(|text| text.contains("trial_ended"))
    });
    assert!(driver.try_wait().unwrap().is_none(), "it is still at work");
    driver.kill().unwrap();
    driver.wait().unwrap();
    until("the end of its processes", Duration::from_secs(20), || {
        processes(place).is_empty()
    });
}

/// A run with one task and cell, and what it becomes with two; then it is as if the process had been killed before and after
/// the new lock was written.
#[test]
fn killed_while_it_grows_it_has_the_old_lock_or_the_new_one_and_goes_on_with_either() {
    let place = place("matrix: {scaffold: llm, model: oracle, interaction: single}\n");
    tasks(place.path(), &["one"]);
    sweep(place.path(), &[]);
    let recipe = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/scaffolds/llm.yaml")).unwrap();
    std::fs::write(
        place.path().join("mine.yaml"),
        recipe.replace("name: llm", "name: mine"),
    )
    .unwrap();
    let (run, jobs) = (run(place.path()), place.path().join("jobs"));
    copy(&run, &jobs.join("before"));
    tasks(place.path(), &["two", "one"]);
    write(
        place.path(),
        "matrix: {scaffold: [llm, ./mine.yaml], model: oracle, interaction: single}\n",
    );
    let (grown, _) = sweep(place.path(), &[]);

    let files = [
        "tasks.next.jsonl",
        "recipe.2.yaml",
        "run.yaml",
        "experiment.yaml",
        "lock.json",
    ];
    for written in 0..=files.len() {
        for (index, goes_on) in ["resume", "sweep"].into_iter().enumerate() {
            let name = format!("cut-{written}-{index}");
            let cut = jobs.join(&name);
            copy(&jobs.join("before"), &cut);
            for file in &files[..written] {
                let from = if *file == "tasks.next.jsonl" {
                    "tasks.jsonl"
                } else {
                    file
                };
                std::fs::copy(run.join(from), cut.join(file)).unwrap();
            }
            std::fs::write(cut.join(".aside-torn"), "{").unwrap();
            let folder = format!("jobs/{name}");
            // What only reads it can do so.
            finished(place.path(), &["report", &folder], 0);
            finished(place.path(), &["retest", &folder], 0);
            if goes_on == "resume" {
                finished(place.path(), &["resume", &folder], 0);
                let trials = if written == files.len() { 4 } else { 1 };
                assert_eq!(lock(&cut)["trials"].as_array().unwrap().len(), trials, "{name}");
                assert!(!cut.join("tasks.next.jsonl").exists(), "{name}");
            }
            let (table, _) = sweep(place.path(), &["--job-name", &name]);
            assert_eq!(table, grown, "{name}");
            assert!(
                !cut.join("tasks.next.jsonl").exists() && !cut.join(".aside-torn").exists(),
                "{name}"
            );
            assert_eq!(started(&cut).len(), 4, "{name}: nothing was run twice");
        }
    }
}

#[test]
fn killed_before_it_began_it_begins_under_its_name() {
    let place = place("matrix: {scaffold: llm, model: oracle, interaction: single}\n");
    let run = run(place.path());
    std::fs::create_dir_all(run.join("trials")).unwrap();
    for file in [
        "tasks.jsonl",
        "recipe.yaml",
        "recipe.2.yaml",
        "run.yaml",
        "experiment.yaml",
    ] {
        std::fs::write(run.join(file), "torn").unwrap();
    }
    sweep(place.path(), &[]);
    assert_eq!(started(&run).len(), 2);
    finished(place.path(), &["resume", "jobs/e"], 0);
}
