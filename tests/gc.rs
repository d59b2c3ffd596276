//! What killed runs leave is removed by `gc` and by the next command, and nothing else is.

mod common;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use common::traces::{entries, processes, until};
use common::{program, tiny_task};
use predicates::prelude::*;
use serde_json::Value;

const AGENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fake/agent.yaml");

/// A place with a task whose agent never ends, and a temporary folder of its own.
fn place() -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    let mut task = tiny_task("tiny");
    task["conversations"]["editing"][0] = "Write it. fault: stubborn".into();
    std::fs::write(place.path().join("t.jsonl"), task.to_string()).unwrap();
    std::fs::create_dir(place.path().join("tmp")).unwrap();
    place
}

/// A run in the background, once its agent works.
fn start(place: &Path, name: &str) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mtsec-agents"));
    command
        .current_dir(place)
        .env("TMPDIR", place.join("tmp"))
        .args([
            "run",
            AGENT,
            "-m",
            "oracle",
            "--tasks",
            "t.jsonl",
            "--interaction",
            "editing",
        ])
        // A contained agent ends with its shepherd: only one that nothing holds can be left over.
        .args(["--job-name", name, "--containment", "none"])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let child = command.spawn().unwrap();
    let folders = || walkdir::WalkDir::new(place.join("tmp")).into_iter().flatten();
    let works =
        || folders().any(|entry| entry.file_name() == "app.py" && entry.metadata().is_ok_and(|file| file.len() > 0));
    until("the agent's work", Duration::from_secs(60), works);
    child
}

fn gc(place: &Path, arguments: &[&str]) -> Value {
    let mut command = program();
    command.current_dir(place).env("TMPDIR", place.join("tmp"));
    let output = command.arg("gc").arg("--json").args(arguments).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Kills a run with its shepherds first, so that nobody is there to end the agent.
fn kill_hard(run: &mut Child, scratch: &Path) -> Vec<i32> {
    let kill = |id: i32| nix::sys::signal::kill(nix::unistd::Pid::from_raw(id), nix::sys::signal::SIGKILL);
    // Stopped, it cannot end what loses its shepherd.
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(run.id() as i32), nix::sys::signal::SIGSTOP).unwrap();
    let command = |id: i32| std::fs::read_to_string(format!("/proc/{id}/cmdline")).unwrap_or_default();
    let all = processes(scratch);
    let (shepherds, agents): (Vec<i32>, Vec<i32>) = all.into_iter().partition(|id| command(*id).contains("__shepherd"));
    assert!(!shepherds.is_empty() && !agents.is_empty());
    for shepherd in shepherds {
        kill(shepherd).unwrap();
    }
    run.kill().unwrap();
    run.wait().unwrap();
    agents
}

fn scratch(place: &Path) -> PathBuf {
    let all = entries(&place.join("tmp"));
    assert_eq!(all.len(), 1, "{all:?}");
    all[0].clone()
}

#[test]
fn gc_ends_and_removes_what_a_dead_run_left_and_spares_a_living_one() {
    let place = place();
    let mut dead = start(place.path(), "dead");
    let left = scratch(place.path());
    let agents = kill_hard(&mut dead, &left);
    until("the agent to be an orphan", Duration::from_secs(10), || {
        processes(&left).len() >= agents.len().min(1)
    });
    let mut live = start_without_reaping(place.path(), "live", &left);

    let seen = gc(place.path(), &["--dry-run"]);
    assert_eq!(seen["leftovers"].as_array().unwrap().len(), 1, "{seen}");
    assert_eq!(seen["leftovers"][0]["scratch"], left.display().to_string());
    assert!(
        seen["leftovers"][0]["owner"]["run"]
            .as_str()
            .unwrap()
            .ends_with("jobs/dead")
    );
    assert!(left.exists() && !processes(&left).is_empty(), "a dry run does nothing");

    // A user who looks around in it is not the run's.
    let mut shell = Command::new("sleep").arg("600").current_dir(&left).spawn().unwrap();
    gc(place.path(), &[]);
    assert!(!left.exists());
    assert_eq!(shell.try_wait().unwrap(), None, "a bystander was ended");
    shell.kill().unwrap();
    shell.wait().unwrap();
    until("the agents' end", Duration::from_secs(10), || {
        agents.iter().all(|id| !Path::new(&format!("/proc/{id}/fd")).exists())
    });

    assert_eq!(live.try_wait().unwrap(), None);
    let place_of_live = scratch(place.path());
    assert!(processes(&place_of_live).len() >= 2, "the living run's agent was ended");
    assert_eq!(gc(place.path(), &[])["leftovers"], serde_json::json!([]));
    live.kill().unwrap();
    live.wait().unwrap();
    until("the end of all", Duration::from_secs(20), || {
        processes(&place_of_live).is_empty()
    });
}

/// A run that begins while the leftover of another is hidden from it.
fn start_without_reaping(place: &Path, name: &str, left: &Path) -> Child {
    let hidden = place.join("hidden");
    std::fs::rename(left, &hidden).unwrap();
    let child = start(place, name);
    std::fs::rename(&hidden, left).unwrap();
    child
}

#[test]
fn the_next_run_and_a_resume_remove_what_a_dead_run_left() {
    let place = place();
    let mut dead = start(place.path(), "dead");
    let left = scratch(place.path());
    kill_hard(&mut dead, &left);
    let mut whole = tiny_task("tiny");
    whole["conversations"]["editing"][0] = "Write it.".into();
    std::fs::write(place.path().join("whole.jsonl"), whole.to_string()).unwrap();
    let mut next = program();
    next.current_dir(place.path()).env("TMPDIR", place.path().join("tmp"));
    next.args([
        "run",
        AGENT,
        "-m",
        "oracle",
        "--tasks",
        "whole.jsonl",
        "--job-name",
        "next",
    ]);
    let told = format!("removed what a dead run left: {}", left.display());
    next.assert().success().stderr(predicate::str::contains(told));
    assert!(entries(&place.path().join("tmp")).is_empty());
    assert!(processes(&left).is_empty());

    // With another temporary folder, the run's journal tells where its leftovers are.
    let mut again = start(place.path(), "again");
    let left = scratch(place.path());
    kill_hard(&mut again, &left);
    let folder = place.path().join("jobs/again");
    let mut resume = Command::new(env!("CARGO_BIN_EXE_mtsec-agents"));
    resume.arg("resume").arg(&folder).env("TMPDIR", place.path());
    let mut resumed = resume.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    until("the leftover's end", Duration::from_secs(60), || !left.exists());
    resumed.kill().unwrap();
    resumed.wait().unwrap();
    assert!(processes(&left).is_empty());
}

#[test]
fn runs_that_never_began_are_told_and_removed_on_demand_only() {
    let place = place();
    let half = place.path().join("jobs/half");
    std::fs::create_dir_all(half.join("trials")).unwrap();
    std::fs::write(half.join(".lock"), "").unwrap();
    std::fs::write(half.join("tasks.jsonl"), "{").unwrap();
    let other = place.path().join("jobs/notes");
    std::fs::create_dir_all(&other).unwrap();
    std::fs::write(other.join("thesis.tex"), "x").unwrap();
    let half_made = serde_json::json!([{ "path": "jobs/half", "failure": null }]);
    assert_eq!(gc(place.path(), &[])["half_made"], half_made);
    assert!(half.exists());
    assert_eq!(gc(place.path(), &["--half-made"])["half_made"], half_made);
    assert!(!half.exists() && other.join("thesis.tex").exists());
}

#[test]
fn what_is_mounted_in_a_leftover_is_taken_off_and_not_emptied() {
    let place = place();
    let script = r#"
mkdir -p precious tmp/mtsec-agents-abc/x/workspace/home && echo kept > precious/file || exit 9
echo '{"run": "/gone", "pid": 1}' > tmp/mtsec-agents-abc/.owner
mount --bind precious tmp/mtsec-agents-abc/x/workspace/home || exit 77
"$PROGRAM" gc --json && cat precious/file
"#;
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", script]).current_dir(place.path());
    command.env("TMPDIR", place.path().join("tmp"));
    command.env("PROGRAM", env!("CARGO_BIN_EXE_mtsec-agents"));
    let Ok(output) = command.output() else {
        eprintln!("skipped: there is no unshare");
        return;
    };
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: only root mounts");
        return;
    }
    assert!(output.status.success(), "{output:?}");
    assert!(said.ends_with("kept\n") && said.contains("workspace/home"), "{said}");
    assert_eq!(entries(&place.path().join("tmp")), Vec::<PathBuf>::new());
}

#[test]
fn folders_that_a_container_shared_with_a_dead_process_are_told_and_then_removed() {
    let place = place();
    // No process has this start: it is dead, in our own namespace of process ids.
    let namespace = std::fs::read_link("/proc/self/ns/pid").unwrap();
    let namespace = namespace.to_string_lossy().replace(|c: char| !c.is_ascii_digit(), "");
    let folder = place.path().join(format!("tmp/mtsec-docker-{namespace}-1-0-abcdef"));
    std::fs::create_dir_all(folder.join("shared")).unwrap();
    let told = serde_json::json!([{ "path": folder, "failure": null }]);
    assert_eq!(gc(place.path(), &["--dry-run"])["folders"], told);
    assert!(folder.exists());
    assert_eq!(gc(place.path(), &[])["folders"], told);
    assert!(!folder.exists());
}

#[test]
fn a_journal_from_elsewhere_costs_nobody_a_folder() {
    let place = place();
    let users = place.path().join("mtsec-agents-main");
    std::fs::create_dir_all(&users).unwrap();
    std::fs::write(users.join("thesis.tex"), "x").unwrap();
    let run = place.path().join("jobs/shared");
    std::fs::create_dir_all(&run).unwrap();
    let line = serde_json::json!({
        "at": "2026-01-01T00:00:00Z", "event": "run_started", "trials": 1, "done": 0, "scratch": users,
    });
    std::fs::write(run.join("journal.jsonl"), format!("{line}\n")).unwrap();
    assert_eq!(gc(place.path(), &[])["leftovers"], serde_json::json!([]));
    assert!(users.join("thesis.tex").exists());
    // The same journal finds what says itself that it is the run's.
    let owner = serde_json::json!({ "run": run, "pid": 1 });
    std::fs::write(users.join(".owner"), owner.to_string()).unwrap();
    assert_eq!(gc(place.path(), &[])["leftovers"].as_array().unwrap().len(), 1);
    assert!(!users.exists());
}
