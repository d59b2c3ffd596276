//! `sweep`: an experiment file in a run folder that grows with it, is resumed, and is never paid for twice.

mod common;

#[path = "sweep/crash.rs"]
mod crash;
#[path = "sweep/dry_run.rs"]
mod dry_run;
#[path = "sweep/end.rs"]
mod end;
#[path = "sweep/endpoints.rs"]
mod endpoints;
#[path = "sweep/grow.rs"]
mod grow;
#[path = "sweep/refuse.rs"]
mod refuse;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use common::{finished, json_lines, tiny_task};
use serde_json::Value;

/// A place with two tiny tasks and an experiment.
fn place(experiment: &str) -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    tasks(place.path(), &["one", "two"]);
    write(place.path(), experiment);
    place
}

fn tasks(place: &Path, ids: &[&str]) {
    let lines: Vec<String> = ids.iter().map(|id| tiny_task(id).to_string()).collect();
    std::fs::write(place.join("t.jsonl"), lines.join("\n")).unwrap();
}

/// Writes `e.yaml`, whose name is `e` and whose tasks are those of `t.jsonl`.
fn write(place: &Path, experiment: &str) {
    let head = "name: e\ntasks: {paths: [t.jsonl]}\n";
    std::fs::write(place.join("e.yaml"), format!("{head}{experiment}")).unwrap();
}

/// Sweeps `e.yaml` in `jobs/e`; standard output and error.
fn sweep(place: &Path, more: &[&str]) -> (String, String) {
    finished(place, &[&["sweep", "e.yaml"], more].concat(), 0)
}

fn run(place: &Path) -> PathBuf {
    place.join("jobs/e")
}

fn lock(run: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(run.join("lock.json")).unwrap()).unwrap()
}

/// Every file below a folder with its content.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = walkdir::WalkDir::new(folder).into_iter().map(Result::unwrap);
    let files = entries.filter(|entry| entry.file_type().is_file());
    files
        .map(|entry| (entry.path().to_owned(), std::fs::read(entry.path()).unwrap()))
        .collect()
}

/// The trials that a run has started, in order, each as often as it was.
fn started(run: &Path) -> Vec<Value> {
    let lines = json_lines(&run.join("journal.jsonl"));
    let started = lines.into_iter().filter(|line| line["event"] == "trial_started");
    started.map(|line| line["key"].clone()).collect()
}

fn copy(from: &Path, to: &Path) {
    for entry in walkdir::WalkDir::new(from).into_iter().map(Result::unwrap) {
        let target = to.join(entry.path().strip_prefix(from).unwrap());
        match entry.file_type().is_dir() {
            true => std::fs::create_dir_all(&target).unwrap(),
            false => drop(std::fs::copy(entry.path(), &target).unwrap()),
        }
    }
}
