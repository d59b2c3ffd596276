//! The tester on real and hostile programs, in the real sandbox.
#![allow(clippy::unwrap_used)]

#[path = "tester/death.rs"]
mod death;
#[path = "tester/explain.rs"]
mod explain;
#[path = "tester/hostile.rs"]
mod hostile;
#[path = "tester/packages.rs"]
mod packages;
#[path = "tester/probe.rs"]
mod probe;
#[path = "tester/reference.rs"]
mod reference;
#[path = "tester/semantics.rs"]
mod semantics;
#[path = "tester/shared.rs"]
mod shared;

use std::path::{Path, PathBuf};
use std::time::Duration;

use mtsec_agents::python;
use mtsec_agents::task::Task;
use mtsec_agents::tester::{PYTHON, TestLimits, Tester, TesterConfig, Tree};
use mtsec_agents::verdict::{CaseResult, Judgement, RunFailureKind, Verdict};
use shared::task;

fn config(launcher: &Path, limits: TestLimits) -> TesterConfig {
    TesterConfig {
        launcher: launcher.into(),
        interpreter: python::find(PYTHON).unwrap(),
        limits,
        concurrent: 2,
        cache: PathBuf::from(env!("CARGO_TARGET_TMPDIR")),
    }
}

/// A tester of its own for each test: what one program does must show in the next run of the same tester.
async fn tester_with(limits: TestLimits) -> Tester {
    Tester::start(config(Path::new(env!("CARGO_BIN_EXE_mtsec-agents")), limits))
        .await
        .unwrap()
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

const SECURE: Verdict = Verdict::CorrectSecure;
