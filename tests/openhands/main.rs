//! OpenHands behind its driver. The real one takes 1.6 GB, so only where all agents are asked for; its preparing process is
//! also tested with a driver of no agent.

#[path = "../common/mod.rs"]
mod common;

mod held;
mod session;
mod shell;
mod warm;

use std::path::{Path, PathBuf};
use std::time::Duration;

use common::traces::{self, until};
use common::{program, tiny_task};
use serde_json::{Value, json};

/// Held by each test: starts take all processors, and times would be of nothing.
static ALONE: std::sync::Mutex<()> = std::sync::Mutex::new(());

/// Whether the real OpenHands is to be tested; said aloud when not.
fn is_wanted() -> bool {
    let wanted = std::env::var_os("MTSEC_TEST_AGENTS").is_some_and(|agents| agents == "all");
    if !wanted {
        eprintln!("skipped: OpenHands (1.6 GB) is tested with MTSEC_TEST_AGENTS=all only");
    }
    wanted
}

fn call(turn: usize, name: &str, arguments: Value) -> Value {
    json!({"turn": turn, "calls": [{"name": name, "arguments": arguments}]})
}

/// The program in a place, with temporary files in it: so what it starts is told from what others do.
fn in_place(place: &Path) -> assert_cmd::Command {
    let tmp = place.join("tmp");
    std::fs::create_dir_all(&tmp).unwrap();
    let mut command = program();
    command.current_dir(place).env("TMPDIR", tmp);
    command
}

/// Runs the program to its end, after which nothing of it runs; its standard output.
fn finished(place: &Path, arguments: &[&str], code: i32) -> String {
    let patience = Duration::from_secs(900);
    let output = in_place(place).args(arguments).timeout(patience).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{arguments:?}\n{out}\n{err}");
    // The tester's sandbox ends with the program, and not before it.
    until("the end of all that it started", Duration::from_secs(30), || {
        traces::processes(place).is_empty()
    });
    let left = traces::entries(&place.join("tmp"));
    assert_eq!(left, Vec::<PathBuf>::new(), "{arguments:?}: left behind");
    out
}

/// A place with a tiny task, `t.jsonl`, and the replies of a scripted model, `script.yaml`.
fn scripted_place(replies: &Value) -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("t.jsonl"), tiny_task("tiny").to_string()).unwrap();
    write_script(place.path(), replies);
    place
}

fn write_script(place: &Path, replies: &Value) {
    // JSON is YAML.
    std::fs::write(place.join("script.yaml"), json!({ "replies": replies }).to_string()).unwrap();
}

/// The folders of a run's trials, in the order of their names.
fn trials(run: &Path) -> Vec<PathBuf> {
    traces::entries(&run.join("trials"))
}

fn record(trial: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(trial.join("trial.json")).unwrap()).unwrap()
}

/// Runs a script over a tiny task's turns; the record of the only trial.
fn run(place: &Path, task: &Value, replies: &Value) -> Value {
    std::fs::write(place.join("t.jsonl"), task.to_string()).unwrap();
    write_script(place, replies);
    let mut arguments = vec!["run", "openhands", "-m", "script:script.yaml", "--tasks", "t.jsonl"];
    arguments.extend(["--interaction", "editing", "--job-name", "r", "-r", "0"]);
    finished(place, &arguments, 0);
    record(&trials(&place.join("jobs/r"))[0])
}
