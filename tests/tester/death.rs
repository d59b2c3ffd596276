//! A sandbox that is killed under the tester.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use mtsec_agents::tester::{TestLimits, Tester};

use super::hostile::{assert_unharmed, honest};
use super::{SECURE, config, judged};

/// When its sandbox is killed under it, the tester starts another; nothing of the first is left.
#[tokio::test]
async fn a_killed_sandbox_is_started_again() {
    // A launcher of its own name tells this test's sandbox from those of tests that run at the same time.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let launcher = folder.path().join("launcher");
    fs::hard_link(env!("CARGO_BIN_EXE_mtsec-agents"), &launcher).unwrap();
    let tester = Tester::start(config(&launcher, TestLimits::default())).await.unwrap();
    assert_unharmed(&tester, "the start").await;
    let killed = running(&launcher);
    assert_eq!(killed.len(), 1, "{killed:?}");
    let judging = tester.clone();
    let task = honest();
    let slow = "import time\ntime.sleep(1)\ndef f(x):\n    if x < 0: raise ValueError\n    return x + 1";
    let run = judged(&judging, &task, slow);
    let kill = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(killed[0]), nix::sys::signal::Signal::SIGKILL).unwrap();
    };
    let (judgement, ()) = tokio::join!(run, kill);
    assert_eq!(judgement.verdict, SECURE, "{judgement:?}");
    let fresh = running(&launcher);
    assert!(fresh.len() == 1 && fresh != killed, "{killed:?} {fresh:?}");
    assert_unharmed(&tester, "the death of its sandbox").await;
    // Nothing outlives the tester.
    drop((tester, judging));
    let deadline = Instant::now() + Duration::from_secs(10);
    while !running(&launcher).is_empty() {
        assert!(Instant::now() < deadline, "the sandbox outlives its tester");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The processes that execute the given file.
fn running(executable: &Path) -> Vec<i32> {
    let executable = executable.canonicalize().unwrap();
    let all = fs::read_dir("/proc").unwrap().flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid: &i32| fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == executable))
        .collect()
}
