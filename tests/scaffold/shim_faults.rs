//! Faults of drivers that speak JSON lines, by small fake ones.

use std::time::{Duration, Instant};

use mtsec_agents::process::tree::Process;
use mtsec_agents::scaffold::{Exit, OpenError, PATH, Refusal};
use mtsec_agents::trial::{Ending, Failure, Limit};

use crate::bench::{Fake, killed, processes};

/// A driver that answers a turn by what its prompt says.
const DRIVER: &str = r#"
import json, os, sys, time
def say(**told): print(json.dumps(told), flush=True)
def finish(reason, error="", message="done", turn=0, **more):
    say(type="turn_finished", turn=told["turn"] + turn, reason=reason, error=error, message=message, **more)
START
for line in sys.stdin:
    told = json.loads(line)
    if told["type"] == "start": say(type="ready"); continue
    if told["type"] == "stop": say(type="closed"); break
    if told["type"] == "cancel": continue
    prompt = told["prompt"]
    if prompt == "crash": os._exit(3)
    if prompt == "garbage": print("Traceback: no JSON", flush=True); time.sleep(600)
    if prompt == "unknown": say(type="song"); time.sleep(600)
    if prompt == "hang": time.sleep(600)
    if prompt == "close": say(type="closed"); break
    if prompt == "stray": os.spawnlp(os.P_NOWAIT, "sleep", "sleep", "600")
    if prompt == "ahead": say(type="event", turn=told["turn"] + 1); time.sleep(600)
    if prompt == "replayed": finish("answered", turn=-1)
    elif prompt == "foretold": finish("answered", turn=1)
    elif prompt == "interrupted": finish("answered", interrupted=True)
    elif prompt == "early": finish("finished")
    elif prompt == "empty": finish("answered", message=" ")
    elif prompt == "key": finish("error", "STATUS$ERROR_LLM_AUTHENTICATION")
    elif prompt == "rate": finish("rate_limited", "slow down")
    elif prompt == "circles": finish("error", "AgentStuckInLoopError: Agent got stuck in a loop")
    elif prompt == "broken": finish("broken", "the runtime is gone")
    else: finish("answered")
"#;

const RECIPE: &str = r#"
name: shim
version: "1"
install: {program: driver.py, interpreter: python3}
argv: [{args: ["python3", "-u", "{{ agent.program }}"]}]
drive:
  shim:
    iterations: 5
    command_seconds: 5
    call_seconds: 5
    tries: 1
    failures:
      - {kind: authentication, error: LLM_AUTHENTICATION}
      - {kind: reflections_exhausted, error: AgentStuckInLoopError}
limits: {ready_seconds: 20, turn_seconds: 30, session_seconds: 60, quiet_seconds: 20, answers: 5}
exit_seconds: 5
grace_seconds: 0.3
"#;

/// `start` is what the driver does before it reads anything.
fn fake(start: &str) -> Fake {
    Fake::new("shim", &DRIVER.replace("START", start), RECIPE)
}

impl Fake {
    async fn refused(&self) -> OpenError {
        self.open().await.err().expect("it must not come up")
    }
}

fn failure(ending: &Ending) -> Option<Failure> {
    match ending {
        Ending::Failed { failure, .. } => Some(*failure),
        _ => None,
    }
}

#[tokio::test]
async fn what_a_driver_reports_is_the_ending_and_its_session_goes_on() {
    let fake = fake("");
    let mut session = fake.opened().await;
    let cases = [
        ("early", None, true),
        ("empty", Some(Failure::EmptyAnswer), false),
        ("key", Some(Failure::Authentication), false),
        ("rate", Some(Failure::RateLimit), false),
        ("circles", Some(Failure::ReflectionsExhausted), false),
        ("a \u{2028}\n\"line\" end", None, false),
    ];
    for (turn, (prompt, expected, early)) in cases.into_iter().enumerate() {
        let end = session.say(turn + 1, prompt, &fake.bench.limits).await;
        assert_eq!(
            (failure(&end.ending), end.finished_early),
            (expected, early),
            "{prompt}: {end:?}"
        );
        assert_eq!(session.settle().await, killed(0));
    }
    assert_eq!(session.close().await, (Exit::Code(0), killed(0)));
    fake.nothing_runs();
}

#[tokio::test]
async fn a_driver_that_breaks_in_the_middle_of_a_turn_has_crashed() {
    // The last three tell of other turns: nobody but the driver itself knows which one it is.
    for prompt in [
        "crash", "garbage", "unknown", "close", "broken", "replayed", "foretold", "ahead",
    ] {
        let fake = fake("");
        let mut session = fake.opened().await;
        let end = session.say(1, prompt, &fake.bench.limits).await;
        assert_eq!(failure(&end.ending), Some(Failure::AgentCrashed), "{prompt}: {end:?}");
        let next = session.say(2, "more", &fake.bench.limits).await;
        assert_eq!(next.ending, Ending::NotReached, "{prompt}");
        assert_eq!(session.close().await.1.left, 0);
        fake.nothing_runs();
    }
}

#[tokio::test]
async fn a_driver_that_hangs_is_cancelled_and_killed_at_its_limit() {
    let mut fake = fake("");
    let mut session = fake.opened().await;
    fake.bench.limits.turn_seconds = 0.5;
    let end = session.say(1, "hang", &fake.bench.limits).await;
    assert_eq!(end.ending, Ending::TimedOut { limit: Limit::Turn });
    assert_eq!(session.close().await, (Exit::Killed, killed(0)));
    fake.nothing_runs();
}

#[tokio::test]
async fn what_a_turn_leaves_running_is_killed_and_counted_before_the_snapshot() {
    let fake = fake("os.spawnlp(os.P_NOWAIT, 'sleep', 'sleep', '601')");
    let mut session = fake.opened().await;
    let end = session.say(1, "stray", &fake.bench.limits).await;
    assert_eq!(end.ending, Ending::Answered);
    assert_eq!(
        session.settle().await,
        killed(1),
        "what the agent started before it was ready is its own"
    );
    assert_eq!(
        session.say(2, "more", &fake.bench.limits).await.ending,
        Ending::Answered
    );
    assert_eq!(session.settle().await, killed(0));
    assert_eq!(
        session.say(3, "interrupted", &fake.bench.limits).await.ending,
        Ending::Answered
    );
    assert_eq!(session.settle().await, killed(1), "a loop of the agent's own shell");
    assert_eq!(session.close().await.1, killed(1), "at the end nothing is");
    fake.nothing_runs();
}

#[tokio::test]
async fn what_the_agent_had_before_it_was_ready_writes_nothing_between_turns() {
    let writer =
        "import subprocess; subprocess.Popen([sys.executable, '-c', 'while True: open(\"grow\", \"a\").write(\"x\")'])";
    let fake = fake(writer);
    let grow = fake.bench.stage.workspace.join("grow");
    let size = || std::fs::metadata(&grow).map_or(0, |metadata| metadata.len());
    let mut session = fake.opened().await;
    let mut before = 0;
    for turn in 1..=2 {
        let until = Instant::now() + Duration::from_secs(20);
        while size() <= before {
            // In the second round it was continued by the turn before.
            assert!(Instant::now() < until, "turn {turn}: it does not write");
            assert_eq!(
                session.say(turn, "more", &fake.bench.limits).await.ending,
                Ending::Answered
            );
        }
        assert_eq!(session.settle().await, killed(0));
        before = size();
        let writers = processes("open(\"grow\", \"a\")");
        let writer = writers.iter().find_map(|pid| Process::of(*pid)).expect("it was ended");
        assert!(writer.is_stopped(), "turn {turn}");
        assert_eq!(size(), before, "turn {turn}");
    }
    assert_eq!(session.close().await.1.left, 0);
    fake.nothing_runs();
}

#[tokio::test]
async fn a_driver_that_does_not_come_up_says_why() {
    let refused = fake("say(type='error', message='no luck'); sys.exit(2)")
        .refused()
        .await;
    assert!(
        matches!(&refused, OpenError::Exited { tail, .. } if tail == "no luck"),
        "{refused}"
    );
    let refused = fake("print('lost', file=sys.stderr); sys.exit(4)").refused().await;
    assert!(matches!(&refused, OpenError::Exited { .. }), "{refused}");
    let mut silent = fake("time.sleep(600)");
    silent.bench.limits.ready_seconds = 0.5;
    let refused = silent.refused().await;
    assert!(matches!(refused, OpenError::NotReady { .. }), "{refused}");
    silent.nothing_runs();
}

#[test]
fn a_driver_of_openhands_cannot_be_looked_into_before_it_hears_anything() {
    // Who owns what only those may read who may look into the process: root, of one that nobody may.
    const LOOK: &str = r#"
import os, sys
sys.path.insert(0, sys.argv[1])
import driver
owner = lambda *_: print(os.stat("/proc/self/environ").st_uid, flush=True)
owner()
driver.Channel = lambda *_: (owner(), os._exit(0))
driver.main(0, 1)
"#;
    let place = tempfile::tempdir().unwrap();
    let source = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("scaffolds/openhands");
    for file in std::fs::read_dir(source).unwrap().flatten() {
        std::fs::copy(file.path(), place.path().join(file.file_name())).unwrap();
    }
    let mut command = std::process::Command::new("setpriv");
    if nix::unistd::geteuid().is_root() {
        std::os::unix::fs::chown(place.path(), Some(65534), None).unwrap();
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]);
    }
    command
        .args(["python3", "-c", LOOK])
        .arg(place.path())
        .env("PATH", PATH);
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let owners: Vec<&str> = said.lines().collect();
    assert!(matches!(owners[..], [before, "0"] if before != "0"), "{owners:?}");
}

#[test]
fn a_prompt_that_openhands_takes_for_its_end_is_refused_beforehand() {
    let other = fake("");
    let recipe = RECIPE.replace("  shim:\n", "  shim:\n    driver: openhands\n");
    let openhands = Fake::new("shim", DRIVER, &recipe);
    for (prompt, refused) in [
        ("/exit", true),
        (" \x1c/exit\n", true),
        ("/exit now", false),
        ("exit", false),
    ] {
        let expected = if refused { Err(Refusal::Command) } else { Ok(()) };
        assert_eq!(openhands.scaffold.carries(prompt), expected, "{prompt:?}");
        assert_eq!(other.scaffold.carries(prompt), Ok(()), "{prompt:?}");
    }
}
