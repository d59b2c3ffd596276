//! Faults of agents that are started anew for each turn, shown by small fake agents.

use std::time::{Duration, Instant};

use mtsec_agents::scaffold::{Exit, OpenError, TurnEnd};
use mtsec_agents::trial::{Ending, Failure, Limit};

use crate::bench::{Fake, appears, killed, processes};

const RECIPE: &str = r#"
name: fake
version: "1"
install: {program: fake.py, interpreter: python3}
argv:
  - args: ["python3", "-u", "{{ agent.program }}", "{{ turn }}"]
  - {when: session is not none, args: ["{{ session }}"]}
env: {LANG: C.UTF-8, LOGS: "{{ logs }}"}
drive:
  exec:
    events:
      kind: /type
      message: {kind: message, text: /text}
      error: {kind: error, text: /text}
    failures: [{kind: token_limit, text: '^too much$'}]
    session: {folder: "{{ logs }}/sessions", name: '^session-', id: /id, form: '^[a-z]+$'}
    preflight: {argv: ["python3", "{{ agent.program }}", "preflight"], text: 'no luck', advice: "The fake needs luck."}
limits: {ready_seconds: 20, turn_seconds: 30, session_seconds: 60, quiet_seconds: 20, answers: 5}
exit_seconds: 4
grace_seconds: 0.3
"#;

/// The frame of a fake agent: `turn(text)` is called with the prompt, and a session is kept before.
const FRAME: &str = r#"
import json, os, signal, subprocess, sys, time
def event(kind, text=""):
    print(json.dumps({"type": kind, "text": text}), flush=True)
def keep(name="session-a", id="abc"):
    os.makedirs(os.environ["LOGS"] + "/sessions", exist_ok=True)
    with open(os.environ["LOGS"] + "/sessions/" + name, "w") as file:
        file.write(json.dumps({"id": id}) + "\n")
def preflight():
    pass
def turn():
    event("message", sys.stdin.read())
"#;

const LOOP: &str = r#"
if sys.argv[1] == "preflight":
    preflight()
else:
    number, session = int(sys.argv[1]), sys.argv[2:]
    keep()
    turn()
"#;

fn fake(code: &str) -> Fake {
    fake_of(RECIPE, code)
}

fn fake_of(recipe: &str, code: &str) -> Fake {
    Fake::new("fake", &format!("{FRAME}{code}{LOOP}"), recipe)
}

impl Fake {
    /// What is found before a run begins.
    async fn checked(&self) -> Result<(), OpenError> {
        let checked = self.scaffold.check(self.bench.folder.path()).await;
        self.nothing_runs();
        checked
    }

    /// Why the agent cannot be used.
    async fn refused_before(&self) -> String {
        match self.checked().await.unwrap_err() {
            error @ OpenError::Preflight { .. } => error.to_string(),
            other => panic!("{other}"),
        }
    }

    /// The first turn of a new session, after which nothing runs.
    async fn first(&self) -> TurnEnd {
        let mut session = self.opened().await;
        let end = session.say(1, "hello", &self.bench.limits).await;
        assert_eq!(session.settle().await.left, 0);
        self.nothing_runs();
        session.close().await;
        end
    }
}

#[track_caller]
fn failed(ending: &Ending, expected: Failure, word: &str) {
    match ending {
        Ending::Failed { failure, detail } if *failure == expected => assert!(detail.contains(word), "{detail}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn each_turn_is_a_process_that_is_told_its_session() {
    let agent = fake("def turn(): event('message', f'{number} {session} {sys.stdin.read()}')");
    let mut session = agent.opened().await;
    for turn in 1..=2 {
        let end = session.say(turn, "hello", &agent.bench.limits).await;
        assert_eq!(end.ending, Ending::Answered, "{}", agent.bench.log(turn));
    }
    assert_eq!(session.close().await, (Exit::Code(0), killed(0)));
    assert!(agent.bench.log(1).contains("1 [] hello"));
    assert!(agent.bench.log(2).contains("2 ['abc'] hello"), "{}", agent.bench.log(2));
}

#[tokio::test]
async fn a_preflight_that_fails_is_told_before_anything_is_said() {
    let agent = fake("def preflight(): sys.exit('no luck here')");
    let told = agent.refused_before().await;
    assert!(
        told.contains("left with status 1 where the agent is to run: no luck here"),
        "{told}"
    );
    assert!(told.ends_with("\nThe fake needs luck."), "{told}");

    // What the recipe's advice is not meant for has another remedy.
    let told = fake("def preflight(): sys.exit('out of memory')")
        .refused_before()
        .await;
    assert!(
        told.contains("out of memory") && told.contains("agents verify fake"),
        "{told}"
    );
    assert!(!told.contains("needs luck"), "{told}");

    let hangs = RECIPE.replace("ready_seconds: 20", "ready_seconds: 1");
    let told = fake_of(&hangs, "def preflight(): time.sleep(600)")
        .refused_before()
        .await;
    assert!(told.contains("did not come to an end within"), "{told}");

    fake("def preflight(): open(os.environ['LOGS'] + '/tried', 'w')")
        .checked()
        .await
        .unwrap();
}

#[tokio::test]
async fn what_is_no_event_is_told_and_does_not_hide_the_rest() {
    let agent = fake(
        "def turn():\n    os.write(1, b'\\xff\\x00 garbage\\n{\"type\": 1}\\n[]\\n')\n    event('message', sys.stdin.read())\n    os.write(1, b'no end')",
    );
    let end = agent.first().await;
    assert_eq!(end.ending, Ending::Answered);
    let [warning] = end.warnings.as_slice() else {
        panic!("{:?}", end.warnings)
    };
    assert!(warning.contains("3 lines") && warning.contains("garbage"), "{warning}");

    let end = fake("def turn(): print('Segmentation fault')").first().await;
    failed(&end.ending, Failure::AgentCrashed, "told of nothing");
}

#[tokio::test]
async fn errors_are_known_by_their_text() {
    let end = fake("def turn(): event('message', 'x'); event('error', 'too much')")
        .first()
        .await;
    failed(&end.ending, Failure::TokenLimit, "too much");
    let end = fake("def turn(): event('error', 'who knows')").first().await;
    failed(&end.ending, Failure::ProviderError, "who knows");
    let end = fake("def turn(): event('message', ' ')").first().await;
    failed(&end.ending, Failure::EmptyAnswer, "");
}

#[tokio::test]
async fn crashes_are_told_with_the_last_words() {
    let agent = fake("def turn(): event('message', 'x'); sys.stderr.write('panic!'); sys.stderr.flush(); os.abort()");
    let end = agent.first().await;
    assert_eq!(end.ending, Ending::AgentExited { code: -libc::SIGABRT });
    assert!(end.warnings[0].contains("panic!"), "{:?}", end.warnings);
    let end = fake("def turn(): event('message', 'x'); sys.exit(3)").first().await;
    assert_eq!(end.ending, Ending::AgentExited { code: 3 });
}

#[tokio::test]
async fn a_session_must_be_one_and_the_same() {
    let end = fake("def turn(): event('message', 'x'); keep('session-b', 'other')")
        .first()
        .await;
    failed(&end.ending, Failure::SessionLost, "2 sessions");
    let end = fake("def turn(): event('message', 'x'); os.remove(os.environ['LOGS'] + '/sessions/session-a')")
        .first()
        .await;
    failed(&end.ending, Failure::SessionLost, "no session");
    let end = fake("def turn(): event('message', 'x'); keep(id='--an-option')")
        .first()
        .await;
    failed(&end.ending, Failure::SessionLost, "does not name it");

    let agent = fake("def turn():\n    event('message', 'x')\n    if number == 2: keep(id='other')");
    let mut session = agent.opened().await;
    session.say(1, "hello", &agent.bench.limits).await;
    let end = session.say(2, "hello", &agent.bench.limits).await;
    failed(&end.ending, Failure::SessionLost, "abc has become other");
}

#[tokio::test]
async fn a_prompt_that_is_not_read_was_not_said() {
    let agent = fake("def turn(): os.close(0); event('message', 'x')");
    let mut session = agent.opened().await;
    // More than any pipe holds.
    let end = session.say(1, &"x".repeat(4 << 20), &agent.bench.limits).await;
    failed(&end.ending, Failure::AgentCrashed, "closed its input");
}

#[tokio::test]
async fn silence_floods_and_cancellation_end_the_turn() {
    let quiet = |code: &str| {
        let mut agent = fake(code);
        agent.bench.limits.quiet_seconds = 1.0;
        agent
    };
    for code in [
        "def turn(): time.sleep(600)",
        // No event is silence, however loud it is.
        "def turn():\n    while True: os.write(1, b'x' * 65536)",
        "def turn():\n    while True: os.write(2, b'y\\n' * 30000)",
        "def turn(): os.close(1); os.close(2); time.sleep(600)",
    ] {
        let agent = quiet(code);
        let began = Instant::now();
        let end = agent.first().await;
        assert_eq!(end.ending, Ending::TimedOut { limit: Limit::Quiet }, "{code}");
        assert!(began.elapsed() < Duration::from_secs(20), "{code}");
    }
    // Events without end are no silence.
    let mut agent = quiet("def turn():\n    while True: event('busy')");
    agent.bench.limits.turn_seconds = 2.0;
    let end = agent.first().await;
    assert_eq!(end.ending, Ending::TimedOut { limit: Limit::Turn });
    let log = std::fs::metadata(agent.bench.stage.logs.join("turns/1/agent.log"))
        .unwrap()
        .len();
    assert!(log > 0 && log <= 64 << 20, "{log}");

    let agent = fake("def turn(): time.sleep(600)");
    let cancel = agent.bench.stage.cancel.clone();
    let path = agent.bench.folder.path().join("fake.py").display().to_string();
    tokio::spawn(async move {
        appears(&format!("{path} 1")).await;
        cancel.cancel();
    });
    assert_eq!(agent.first().await.ending, Ending::Cancelled);
}

#[tokio::test]
async fn what_holds_the_output_after_the_agents_end_holds_up_nothing() {
    let agent = fake(
        "def turn():\n    subprocess.Popen(['sleep', '4721'], start_new_session=True)\n    event('message', sys.stdin.read())",
    );
    let mut session = agent.opened().await;
    let began = Instant::now();
    let end = session.say(1, "hello", &agent.bench.limits).await;
    assert_eq!(end.ending, Ending::Answered);
    assert!(began.elapsed() < Duration::from_secs(10));
    assert_eq!(session.settle().await, killed(1));
    assert_eq!(processes("sleep 4721"), Vec::<i32>::new());
}

#[tokio::test]
async fn an_agent_that_kills_its_shepherd_is_found_and_ended() {
    let agent = fake(
        "def turn():\n    event('message', sys.stdin.read())\n    os.kill(os.getppid(), signal.SIGKILL)\n    time.sleep(600)",
    );
    let end = agent.first().await;
    assert_eq!(end.ending, Ending::AgentExited { code: -libc::SIGKILL });
}

#[tokio::test]
async fn no_turn_is_begun_with_another_configuration_than_the_recipes() {
    let files = "files: [{path: \"{{ logs }}/own/config\", content: ours}]\ndrive:";
    let recipe = RECIPE.replace("drive:", files);
    for change in [
        "open(path, 'w').write('mine')",
        "open(path, 'a').write('mine')",
        "os.remove(path)",
        "os.remove(path); os.mkfifo(path)",
        "os.remove(path); os.symlink('../../../victim', path)",
        "os.rename(folder, folder + '2'); os.symlink('own2', folder)",
    ] {
        let code = format!(
            "def turn():\n    folder = os.environ['LOGS'] + '/own'\n    path = folder + '/config'\n    event('message', sys.stdin.read())\n    if number == 2: {change}"
        );
        let agent = fake_of(&recipe, &code);
        let victim = agent.bench.folder.path().join("victim");
        std::fs::write(&victim, "ours").unwrap();
        let mut session = agent.opened().await;
        for turn in 1..=2 {
            let end = session.say(turn, "hello", &agent.bench.limits).await;
            assert_eq!(end.ending, Ending::Answered, "{}", agent.bench.log(turn));
        }
        let end = session.say(3, "hello", &agent.bench.limits).await;
        failed(&end.ending, Failure::SessionLost, "own/config is no longer");
        assert_eq!(agent.bench.log(3), "", "it was started: {change}");
        let end = session.say(4, "hello", &agent.bench.limits).await;
        assert_eq!(end.ending, Ending::NotReached);
        assert_eq!(std::fs::read_to_string(victim).unwrap(), "ours");
    }
}
