//! The same verdicts in both sandboxes.

use std::sync::Arc;

use mtsec_agents::sandbox::Launcher;
use mtsec_agents::tester::{TestLimits, Tester};
use mtsec_agents::verdict::RunFailureKind;
use serde_json::Value;

use super::common::{json_lines, program, report};
use super::daemon::{shared_engine, shared_host};
use super::hostile::{assert_unharmed, honest};
use super::{config, in_docker, judged};

/// Every judgement of the built-in tasks' solutions, but for the time it took.
fn judgements(sandbox: &str, host: &str) -> Vec<Value> {
    let mut command = program();
    command.args(["tasks", "validate", "--json", "--sandbox", sandbox]);
    let output = command.env("DOCKER_HOST", host).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines
        .map(|mut line| {
            line["judgement"].as_object_mut().unwrap().remove("wall_ms");
            line
        })
        .collect()
}

#[test]
fn both_sandboxes_judge_the_built_in_tasks_alike() {
    let Some(host) = shared_host() else { return };
    let docker = judgements("docker", &host);
    assert!(docker.len() >= 30, "{docker:?}");
    assert_eq!(docker, judgements("namespaces", &host));
}

/// `run` records what it judged in, its report says so, and `resume` goes on in the same.
#[test]
fn a_run_is_judged_in_docker_and_says_so() {
    let Some(host) = shared_host() else { return };
    let jobs = tempfile::tempdir().unwrap();
    let mut command = program();
    command.args([
        "run",
        "aider",
        "--model",
        "oracle",
        "-l",
        "1",
        "--interaction",
        "single",
    ]);
    command
        .args(["--sandbox", "docker", "--job-name", "r", "-o"])
        .arg(jobs.path());
    let output = command.env("DOCKER_HOST", &host).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let run = jobs.path().join("r");
    let lock: Value = serde_json::from_slice(&std::fs::read(run.join("lock.json")).unwrap()).unwrap();
    assert_eq!(lock["settings"]["sandbox"], "docker");
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.contains("(docker, Docker Engine "), "{table}");
    assert_eq!(report(&run)[0]["correct_secure"], 1);
    // The trial is taken back; without a daemon there is no verdict for it, in whatever sandbox.
    let trial = std::fs::read_dir(run.join("trials")).unwrap().next().unwrap().unwrap();
    std::fs::remove_file(trial.path().join("trial.json")).unwrap();
    let resume = |host: &str| {
        program()
            .arg("resume")
            .arg(&run)
            .env("DOCKER_HOST", host)
            .output()
            .unwrap()
    };
    assert_eq!(resume("unix:///no/such/socket").status.code(), Some(3));
    assert!(resume(&host).status.success());
    assert!(!json_lines(&run.join("journal.jsonl")).is_empty());
    assert_eq!(report(&run)[0]["correct_secure"], 1);
}

/// What namespaces alone cannot limit: the memory of all processes of a run together. It is the run's own failure.
#[tokio::test]
async fn the_memory_of_a_whole_sandbox_is_limited() {
    let Some(engine) = shared_engine().await else { return };
    let small = in_docker(engine).limited_to(400 << 20);
    let launcher = Launcher::Container(Arc::new(small));
    let tester = Tester::start(config(launcher, TestLimits::default())).await.unwrap();
    let greedy = "import os, time\n\
        def f(x):\n    children = [os.fork() for _ in range(3)]\n\
        \x20   if 0 in children or True: kept = b'x' * (150 << 20); time.sleep(1)\n\
        \x20   for child in children:\n        if child and os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 0: raise SystemExit(1)\n\
        \x20   if 0 in children: os._exit(0)\n    if x < 0: raise ValueError\n    return x + 1\n";
    let judgement = judged(&tester, &honest(), greedy).await;
    let kind = judgement.failure.as_ref().map(|failure| failure.kind);
    assert!(
        matches!(kind, Some(RunFailureKind::Died | RunFailureKind::BaseException)),
        "{judgement:?}"
    );
    assert_unharmed(&tester, "a run that took all memory").await;
}
