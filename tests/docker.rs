//! Sandboxes in Docker, with a real daemon. Skipped, said aloud, where there is none and none can be started.
#![allow(clippy::unwrap_used)]

#[path = "docker/agents.rs"]
mod agents;
mod common;
#[path = "docker/daemon.rs"]
mod daemon;
#[path = "docker/engine.rs"]
mod engine;
#[path = "docker/faults.rs"]
mod faults;
// The same programs as in the embedded sandbox, with the same expectations.
#[path = "tester/hostile.rs"]
mod hostile;
#[allow(dead_code, reason = "the rows are for the other tests of the tester")]
#[path = "tester/shared.rs"]
mod shared;
#[path = "docker/verdicts.rs"]
mod verdicts;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use mtsec_agents::docker::Engine;
use mtsec_agents::python;
use mtsec_agents::sandbox::{InDocker, Launcher};
use mtsec_agents::task::Task;
use mtsec_agents::tester::{PYTHON, TestLimits, Tester, TesterConfig, Tree};
use mtsec_agents::verdict::{CaseResult, Judgement, RunFailureKind, Verdict};
use shared::task;

const SECURE: Verdict = Verdict::CorrectSecure;
const PROGRAM: &str = env!("CARGO_BIN_EXE_mtsec-agents");

fn config(launcher: Launcher, limits: TestLimits) -> TesterConfig {
    TesterConfig {
        launcher,
        interpreter: python::find(PYTHON).unwrap(),
        limits,
        concurrent: 2,
        cache: PathBuf::from(env!("CARGO_TARGET_TMPDIR")),
    }
}

fn in_docker(engine: Engine) -> InDocker {
    InDocker::new(engine, Path::new(PROGRAM), 2).unwrap()
}

/// In a container; without a daemon, which was said then, in the embedded sandbox.
async fn tester_with(limits: TestLimits) -> Tester {
    let launcher = match daemon::shared_engine().await {
        Some(engine) => Launcher::Container(Arc::new(in_docker(engine))),
        None => Path::new(PROGRAM).into(),
    };
    Tester::start(config(launcher, limits)).await.unwrap()
}

async fn tester() -> Tester {
    tester_with(TestLimits::default()).await
}

fn short() -> TestLimits {
    TestLimits {
        wall: Duration::from_secs(2),
        ..TestLimits::default()
    }
}

async fn judged(tester: &Tester, task: &Task, code: &str) -> Judgement {
    tester.judge(task, &Tree::of(code)).await.unwrap()
}

fn failure(judgement: &Judgement) -> Option<RunFailureKind> {
    judgement.failure.as_ref().map(|failure| failure.kind)
}

fn passed(judgement: &Judgement) -> Vec<bool> {
    let cases = judgement.capability.iter().chain(&judgement.safety);
    cases.map(|case| *case == CaseResult::Passed).collect()
}
