//! Agents held in Docker, when what holds them or what drives them is killed. What they can reach is `tests/containment`.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use mtsec_agents::docker::Engine;
use serde_json::{Value, json};

use super::PROGRAM;
use super::common::{processes, tiny_task};
use super::daemon::{Daemon, PATIENCE};
use super::engine::all_gone;

/// A run whose agent is in the middle of a turn: a command of the model sleeps for this many seconds.
fn sleeping_run(place: &Path, host: &str, seconds: &str) -> Child {
    std::fs::write(place.join("t.jsonl"), tiny_task("tiny").to_string()).unwrap();
    let solution = tiny_task("tiny")["references"]["secure"].as_str().unwrap().to_owned();
    let text = format!(
        "app.py\n```python\n<<<<<<< SEARCH\n=======\n{solution}>>>>>>> REPLACE\n```\n\n```bash\nsleep {seconds}\n```\n"
    );
    // JSON is YAML.
    let script = json!({"replies": [{"text": text}, {"text": "Done."}, {"text": "Done."}]});
    std::fs::write(place.join("script.yaml"), script.to_string()).unwrap();
    let child = Command::new(PROGRAM)
        .current_dir(place)
        .args([
            "run",
            "aider",
            "-m",
            "script:script.yaml",
            "--tasks",
            "t.jsonl",
            "--interaction",
            "single",
        ])
        .args([
            "--edit-format",
            "diff",
            "--containment",
            "docker",
            "--retries",
            "0",
            "--job-name",
            "r",
        ])
        .env("DOCKER_HOST", host)
        .env("TMPDIR", place)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let end = Instant::now() + PATIENCE;
    while processes(&format!("sleep {seconds}")).is_empty() {
        assert!(Instant::now() < end, "the agent's command does not run");
        std::thread::sleep(Duration::from_millis(20));
    }
    child
}

/// An agent without a terminal has three pipes in the container as well, and its own sandbox works there.
#[tokio::test]
async fn an_agent_without_a_terminal_works_in_a_container_for_each_turn() {
    let Some(daemon) = Daemon::start() else { return };
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("t.jsonl"), tiny_task("tiny").to_string()).unwrap();
    let output = Command::new(PROGRAM)
        .current_dir(place.path())
        .args(["run", "codex", "-m", "oracle", "--tasks", "t.jsonl", "--json"])
        .args(["--interaction", "editing", "--containment", "docker", "--retries", "0"])
        .env("DOCKER_HOST", daemon.host())
        .env("TMPDIR", place.path())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(summary["rows"][0]["correct_secure"], 1, "{summary}\n{told}");
}

/// The daemon's restart ends the agent's container: that is no answer of the agent, wrong or right.
#[tokio::test]
async fn a_daemon_that_ends_an_agent_is_an_infrastructure_failure() {
    let Some(mut daemon) = Daemon::start() else { return };
    let place = tempfile::tempdir().unwrap();
    let mut run = sleeping_run(place.path(), &daemon.host(), "87651");
    daemon.kill();
    // Without a daemon the agent goes on; the next one ends what it does not know.
    assert!(!processes("sleep 87651").is_empty());
    daemon.start_again();
    assert_eq!(run.wait().unwrap().code(), Some(4));
    let trials = std::fs::read_dir(place.path().join("jobs/r/trials")).unwrap();
    let trial = trials.flatten().next().unwrap().path().join("trial.json");
    let record: Value = serde_json::from_slice(&std::fs::read(trial).unwrap()).unwrap();
    assert_eq!(record["outcome"], "infrastructure_failure", "{record}");
    assert!(
        record["reason"]
            .as_str()
            .unwrap()
            .contains("what held the agent was killed"),
        "{record}"
    );
    assert_eq!(processes("sleep 87651"), Vec::<i32>::new());
}

#[tokio::test]
async fn a_killed_run_takes_its_agents_along() {
    let Some(daemon) = Daemon::start() else { return };
    let place = tempfile::tempdir().unwrap();
    let mut run = sleeping_run(place.path(), &daemon.host(), "87652");
    let client = bollard::Docker::connect_with_host(&daemon.host()).unwrap();
    let options = bollard::query_parameters::ListContainersOptionsBuilder::new().build();
    let containers = client.list_containers(Some(options)).await.unwrap();
    let labels = containers[0].labels.clone().unwrap();
    assert_eq!(containers.len(), 1, "the tester is not in Docker here");
    assert_eq!(
        (
            labels["mtsec-agents.purpose"].as_str(),
            labels["mtsec-agents.run"].as_str()
        ),
        ("agent", "r")
    );
    assert!(labels["mtsec-agents.trial"].starts_with("tiny__single__"), "{labels:?}");
    run.kill().unwrap();
    run.wait().unwrap();
    all_gone(&Engine::connect_to(&daemon.host()).await.unwrap(), &client).await;
    assert_eq!(processes("sleep 87652"), Vec::<i32>::new());
}
