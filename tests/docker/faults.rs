//! Daemons that die, programs that are killed: no wrong verdict, nothing lost, nothing left.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bollard::models::ContainerSummary;
use bollard::query_parameters::{InspectContainerOptions, ListContainersOptionsBuilder};
use mtsec_agents::docker::Engine;
use serde_json::Value;

use super::daemon::{Daemon, PATIENCE};
use super::engine::all_gone;
use super::{PROGRAM, common};

/// A long validation that has begun: its first verdict is there.
fn validation(host: &str, rounds: u32) -> (Child, BufReader<std::process::ChildStdout>) {
    let mut child = Command::new(PROGRAM)
        .args([
            "tasks",
            "validate",
            "--json",
            "--sandbox",
            "docker",
            "-l",
            "2",
            "--rounds",
        ])
        .arg(rounds.to_string())
        .env("DOCKER_HOST", host)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    lines.read_line(&mut String::new()).unwrap();
    (child, lines)
}

async fn containers(client: &bollard::Docker) -> Vec<ContainerSummary> {
    let options = ListContainersOptionsBuilder::new().all(true).build();
    client.list_containers(Some(options)).await.unwrap()
}

#[tokio::test]
async fn a_daemon_that_is_killed_and_started_again_costs_no_verdict() {
    let Some(mut daemon) = Daemon::start() else { return };
    let host = daemon.host();
    let client = bollard::Docker::connect_with_host(&host).unwrap();
    let rounds = 100;
    let (mut child, lines) = validation(&host, rounds);
    let first = containers(&client).await.remove(0).id.unwrap();
    let seen = client
        .inspect_container(&first, None::<InspectContainerOptions>)
        .await
        .unwrap();
    let launcher = seen.state.unwrap().pid.unwrap();
    daemon.kill();
    // What was running goes on without a daemon; its end is what the daemon is needed for.
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(launcher as i32),
        nix::sys::signal::Signal::SIGKILL,
    )
    .unwrap();
    daemon.start_again();
    let verdicts: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(&line.unwrap()).unwrap())
        .collect();
    assert!(child.wait().unwrap().success());
    assert_eq!(verdicts.len(), 2 * 2 * rounds as usize - 1);
    assert!(verdicts.iter().all(|verdict| verdict["holds"] == true));
    all_gone(&Engine::connect_to(&host).await.unwrap(), &client).await;
}

#[tokio::test]
async fn what_a_killed_program_leaves_ends_or_is_reaped_by_the_next_command() {
    let Some(daemon) = Daemon::start() else { return };
    let host = daemon.host();
    let client = bollard::Docker::connect_with_host(&host).unwrap();
    let engine = Engine::connect_to(&host).await.unwrap();
    // A container that runs ends with us, and its daemon removes it.
    let (mut killed, _) = validation(&host, 100_000);
    killed.kill().unwrap();
    killed.wait().unwrap();
    all_gone(&engine, &client).await;
    // One that cannot end by itself is left, and found.
    let (mut killed, _) = validation(&host, 100_000);
    let left = containers(&client).await.remove(0).id.unwrap();
    client.pause_container(&left).await.unwrap();
    killed.kill().unwrap();
    killed.wait().unwrap();
    let seen = common::program()
        .args(["gc", "--dry-run", "--json"])
        .env("DOCKER_HOST", &host)
        .output()
        .unwrap();
    let seen: Value = serde_json::from_slice(&seen.stdout).unwrap();
    assert_eq!(seen["containers"][0]["id"], left);
    let output = common::program()
        .args(["tasks", "validate", "--sandbox", "docker", "-l", "1"])
        .env("DOCKER_HOST", &host)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("removed 1 containers"),
        "{output:?}"
    );
    all_gone(&engine, &client).await;
}

/// Killed at many moments of a container's making, the program leaves nothing that `reap` does not find.
#[tokio::test]
async fn at_no_moment_does_a_killed_program_leave_what_reap_cannot_find() {
    let Some(daemon) = Daemon::start() else { return };
    let host = daemon.host();
    let client = bollard::Docker::connect_with_host(&host).unwrap();
    let engine = Engine::connect_to(&host).await.unwrap();
    let folders = tempfile::tempdir().unwrap();
    for moment in 0..12 {
        let mut child = Command::new(PROGRAM)
            .args(["tasks", "validate", "--sandbox", "docker", "-l", "1"])
            .env("DOCKER_HOST", &host)
            .env("TMPDIR", folders.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // A moment of its own, wherever it falls.
        std::thread::sleep(Duration::from_millis(moment * 25));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let end = Instant::now() + PATIENCE;
    while !containers(&client).await.is_empty() {
        engine.reap().await.unwrap();
        assert!(Instant::now() < end, "{:?}", containers(&client).await);
    }
    let output = common::program()
        .args(["tasks", "validate", "--sandbox", "docker", "-l", "1"])
        .env("DOCKER_HOST", &host)
        .env("TMPDIR", folders.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let left: Vec<_> = std::fs::read_dir(folders.path()).unwrap().flatten().collect();
    assert!(left.is_empty(), "{left:?}");
}
