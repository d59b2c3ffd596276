//! Faults that the real agent does not show on demand, shown by small fake agents.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use mtsec_agents::process::children;
use mtsec_agents::scaffold::{Exit, OpenError};
use mtsec_agents::trial::{Ending, Failure, Limit};

use crate::bench::{Fake, appears, killed, processes};

const RECIPE: &str = r#"
name: fake
version: "1"
install: {python: ">=3.8", requirements: [], distribution: fake, program: fake}
argv: [{args: ["python3", "-u", "{{ agent.program }}"]}]
env: {LANG: C.UTF-8, SHELL: /bin/sh}
drive:
  pty:
    prompts:
      ready: '\r\nready> $'
      questions: ['(?:^|\n)(?P<question>[^\r\n]*) \[y/n\] $']
    answers:
      - {rule: known, question: '^Known\?$', answer: "y"}
      - {rule: crash, question: '^Report\?$', answer: "n", failure: agent_crashed}
    default_answer: "n"
    message: {open: "{TAG\n", close: "TAG}\n"}
    enter: "\n"
    exit: "exit\n"
limits: {ready_seconds: 20, turn_seconds: 20, session_seconds: 60, quiet_seconds: 20, answers: 5}
exit_seconds: 4
grace_seconds: 0.3
"#;

/// The frame of a fake agent: `turn()` is called for each message.
const FRAME: &str = r#"
import os, signal, subprocess, sys, time
def ready():
    sys.stdout.write("\nready> "); sys.stdout.flush()
def read():
    data = b""
    while not data.endswith(b"\n"):
        data += os.read(0, 1)
    return data.decode()
def message():
    first = read()
    if first == "exit\n":
        sys.exit(0)
    tag, lines = first.strip()[1:], []
    while (line := read()) != tag + "}\n":
        lines.append(line)
    return "".join(lines)
def ask(text):
    sys.stdout.write(text); sys.stdout.flush()
    return read().strip()
"#;

/// The rest of an ordinary fake agent.
pub const LOOP: &str = "\nwhile True:\n    ready()\n    turn(message())\n";

/// An agent made of the frame and this code.
pub fn fake(code: &str) -> Fake {
    Fake::new("fake", &format!("{FRAME}{code}"), RECIPE)
}

#[tokio::test]
async fn an_agent_that_never_gets_ready_or_leaves_is_told_with_its_last_words() {
    let mut agent = fake("print('still loading'); time.sleep(600)");
    agent.bench.limits.ready_seconds = 4.0;
    let Err(error) = agent.open().await else { panic!() };
    assert!(
        matches!(&error, OpenError::NotReady { tail, .. } if tail == "still loading"),
        "{error}"
    );
    agent.nothing_runs();

    let agent = fake("print('no licence'); sys.exit(3)");
    let Err(error) = agent.open().await else { panic!() };
    assert!(
        matches!(&error, OpenError::Exited { code: 3, tail } if tail == "no licence"),
        "{error}"
    );

    let mut agent = fake("");
    agent.bench.stage.home = PathBuf::from("/nonexistent");
    let Err(error) = agent.open().await else { panic!() };
    assert!(matches!(error, OpenError::Prepare { .. }), "{error}");
}

#[tokio::test]
async fn questions_that_no_rule_knows_get_the_default_and_a_warning() {
    let code = "
def turn(text):
    open('answers', 'w').write(ask('\\nabout this\\nKnown? [y/n] ') + ask('Strange? [y/n] ') + ask('Password: '))
";
    let agent = fake(&format!("{code}{LOOP}"));
    let mut session = agent.opened().await;
    let end = session.say(1, "go", &agent.bench.limits).await;
    assert_eq!(end.ending, Ending::Answered);
    assert_eq!(agent.bench.read("answers"), "ynn");
    let rules: Vec<_> = end
        .answers
        .iter()
        .map(|answer| (answer.question.as_str(), answer.rule.as_deref()))
        .collect();
    assert_eq!(
        rules,
        [("Known?", Some("known")), ("Strange?", None), ("Password:", None)]
    );
    assert_eq!(end.answers[0].subject, "about this");
    assert_eq!(end.warnings.len(), 2);
    assert_eq!(session.close().await, (Exit::Code(0), killed(0)));
}

#[tokio::test]
async fn endless_questions_endless_silence_and_a_stubborn_agent_end_in_limits() {
    let agent = fake(&format!(
        "
def turn(text):
    while True:
        ask('Known? [y/n] ')
{LOOP}"
    ));
    let mut session = agent.opened().await;
    let end = session.say(1, "go", &agent.bench.limits).await;
    assert_eq!(
        (end.ending, end.answers.len()),
        (Ending::TimedOut { limit: Limit::Answers }, 5)
    );
    session.close().await;

    // The session's limit covers its turns together: each of these alone would be within its own.
    let mut agent = fake(&format!("\ndef turn(text):\n    time.sleep(2)\n{LOOP}"));
    agent.bench.limits.session_seconds = 5.0;
    let mut session = agent.opened().await;
    let mut turn = 1;
    let last = loop {
        let end = session.say(turn, "go", &agent.bench.limits).await;
        if end.ending != Ending::Answered {
            break end.ending;
        }
        turn += 1;
    };
    assert_eq!(last, Ending::TimedOut { limit: Limit::Session });
    assert!(turn <= 3, "{turn}");
    assert_eq!(session.close().await, (Exit::Killed, killed(0)));
    agent.nothing_runs();

    let mut agent = fake(&format!(
        "
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
def turn(text):
    subprocess.Popen(['setsid', 'sleep', '876543'])
    sys.stdout.write('\\nready> '); sys.stdout.flush()  # not true: it does not read
    time.sleep(600)
{LOOP}"
    ));
    agent.bench.limits.quiet_seconds = 0.5;
    let mut session = agent.opened().await;
    let end = session.say(1, "go", &agent.bench.limits).await;
    assert_eq!(
        end.ending,
        Ending::TimedOut { limit: Limit::Quiet },
        "a printed prompt alone is no end of a turn"
    );
    agent.nothing_runs();
    assert!(processes("sleep 876543").is_empty());
    assert_eq!(session.close().await, (Exit::Killed, killed(1)));
}

#[tokio::test]
async fn an_agent_that_leaves_or_crashes_in_the_middle_of_a_turn_is_told() {
    let agent = fake(&format!(
        "
def turn(text):
    sys.exit(7)
{LOOP}"
    ));
    let mut session = agent.opened().await;
    assert_eq!(
        session.say(1, "go", &agent.bench.limits).await.ending,
        Ending::AgentExited { code: 7 }
    );
    assert_eq!(
        session.say(2, "go", &agent.bench.limits).await.ending,
        Ending::NotReached
    );
    assert_eq!(session.close().await, (Exit::Code(7), killed(0)));

    let agent = fake(&format!(
        "
def turn(text):
    os.kill(os.getpid(), 11)
{LOOP}"
    ));
    let mut session = agent.opened().await;
    assert_eq!(
        session.say(1, "go", &agent.bench.limits).await.ending,
        Ending::AgentExited { code: -11 }
    );
    session.close().await;

    let agent = fake(&format!(
        "
def turn(text):
    ask('Report? [y/n] ')
    sys.exit(1)
{LOOP}"
    ));
    let mut session = agent.opened().await;
    let end = session.say(1, "go", &agent.bench.limits).await;
    assert!(
        matches!(
            end.ending,
            Ending::Failed {
                failure: Failure::AgentCrashed,
                ..
            }
        ),
        "{:?}",
        end.ending
    );
    session.close().await;
}

#[tokio::test]
async fn floods_of_output_are_survived_in_bounded_space() {
    let agent = fake(&format!(
        "
def turn(text):
    for i in range(3000):
        sys.stdout.write('x' * 32768 + '\\n')
{LOOP}"
    ));
    let mut session = agent.opened().await;
    let mut limits = agent.bench.limits;
    limits.turn_seconds = 60.0;
    let before = memory();
    let end = session.say(1, "go", &limits).await;
    assert_eq!(end.ending, Ending::Answered);
    assert!(memory() < before + 20_000, "{} KB, then {} KB", before, memory());
    let log = std::fs::metadata(agent.bench.stage.logs.join("turns/1/agent.log"))
        .unwrap()
        .len();
    assert_eq!(log, 64 << 20);
    assert_eq!(session.close().await, (Exit::Code(0), killed(0)));
}

/// Resident memory of this process, in KB.
fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_ascii_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn settling_spares_the_waiting_agent_and_finds_what_hides() {
    let agent = fake(&format!(
        "
def turn(text):
    subprocess.Popen(['sleep', '765431'])
    subprocess.Popen(['setsid', 'sleep', '765432'])
    # A double fork: its parent is gone before anyone can look.
    subprocess.run(['sh', '-c', '(setsid sleep 765433 &) ; (trap \"\" TERM HUP; sleep 765434) &'])
{LOOP}"
    ));
    let mut session = agent.opened().await;
    for turn in 1..=2 {
        assert_eq!(
            session.say(turn, "go", &agent.bench.limits).await.ending,
            Ending::Answered
        );
        let strays = session.settle().await.count;
        assert!((4..=6).contains(&strays), "{strays}");
        assert!(processes("sleep 76543").is_empty());
        assert_eq!(session.settle().await, killed(0));
    }
    assert_eq!(session.close().await, (Exit::Code(0), killed(0)));
}

#[tokio::test]
async fn a_process_that_keeps_changing_its_id_is_caught() {
    let agent = fake(&format!(
        "
def turn(text):
    if os.fork() == 0:
        os.setsid()
        while True:
            if os.fork():
                os._exit(0)
            open('alive', 'a').write('x')
{LOOP}"
    ));
    let mut session = agent.opened().await;
    assert_eq!(session.say(1, "go", &agent.bench.limits).await.ending, Ending::Answered);
    assert!(session.settle().await.count >= 1);
    let seen = agent.bench.read("alive").len();
    assert_eq!(
        session.say(2, "exit is not said", &agent.bench.limits).await.ending,
        Ending::Answered
    );
    assert!(session.settle().await.count >= 1, "the second turn's");
    let after = agent.bench.read("alive").len();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(agent.bench.read("alive").len(), after, "{seen}");
    session.close().await;
    agent.nothing_runs();
}

#[tokio::test]
async fn what_outlives_a_killed_shepherd_is_found_and_ended() {
    // Known from what the same test leaves beside this one.
    let mark = format!("4321{}", std::process::id());
    // What the shell commands of a hostile model may do. `ignored` also spares the agent from the hang-up.
    for (ignored, whole) in [("signal.SIGUSR2", true), ("signal.SIGHUP", false)] {
        let agent = fake(&format!(
            "
signal.signal({ignored}, signal.SIG_IGN)
WRITER = \"trap '' HUP TERM; while :; do echo x >> alive; sleep 0.01; done # {mark}\"
def turn(text):
    subprocess.Popen(['setsid', 'sh', '-c', WRITER])
    subprocess.run(['sh', '-c', '(setsid sleep {mark} &)'])
    while not os.path.exists('alive'):
        time.sleep(0.01)
    os.kill(os.getppid(), signal.SIGKILL); time.sleep(0.5)
{LOOP}"
        ));
        let mut bystander = children::spawn(std::process::Command::new("sleep").arg("20")).unwrap();
        let mut session = agent.opened().await;
        let end = session.say(1, "go", &agent.bench.limits).await;
        assert_eq!(end.ending, Ending::AgentExited { code: -9 }, "{ignored}");
        let strays = session.settle().await.count;
        assert!(strays >= if whole { 2 } else { 3 }, "{ignored}: {strays}");
        assert!(processes(&mark).is_empty(), "{ignored}");
        agent.nothing_runs();
        assert_eq!(
            session.say(2, "go", &agent.bench.limits).await.ending,
            Ending::NotReached
        );
        assert_eq!(session.close().await, (Exit::Killed, killed(0)));
        assert_eq!(bystander.try_wait().unwrap(), None, "a child of ours is no stray");
        bystander.kill().unwrap();
        bystander.wait().unwrap();
    }
}

#[tokio::test]
async fn a_user_can_cancel_at_the_start_and_a_dropped_session_leaves_nothing() {
    let agent = fake("time.sleep(600)");
    agent.bench.stage.cancel.cancel();
    let Err(error) = agent.open().await else { panic!() };
    assert!(matches!(error, OpenError::Cancelled), "{error}");
    agent.nothing_runs();

    let agent = fake(&format!(
        "
def turn(text):
    subprocess.Popen(['setsid', 'sleep', '654321'])
{LOOP}"
    ));
    let mut session = agent.opened().await;
    session.say(1, "go", &agent.bench.limits).await;
    drop(session);
    let end = Instant::now() + Duration::from_secs(50);
    while !processes("sleep 654321").is_empty() || !processes("fake.py").is_empty() {
        if processes(&agent.bench.folder.path().display().to_string()).is_empty()
            && processes("sleep 654321").is_empty()
        {
            break;
        }
        assert!(Instant::now() < end, "still running");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Not a test of its own: the driver that the next test kills. It does nothing unless it is told where to work.
#[tokio::test]
async fn a_driver_to_be_killed() {
    let Ok(mark) = std::env::var("MTSEC_TEST_DRIVER") else {
        return;
    };
    let agent = fake(&format!(
        "
def turn(text):
    subprocess.Popen(['setsid', 'sleep', '543210'])
{LOOP}"
    ));
    let mut session = agent.opened().await;
    session.say(1, "go", &agent.bench.limits).await;
    std::fs::write(&mark, agent.bench.folder.path().display().to_string()).unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
}

#[tokio::test]
async fn a_driver_that_is_killed_leaves_no_agent_behind() {
    let folder = tempfile::tempdir().unwrap();
    let mark = folder.path().join("mark");
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "faults::a_driver_to_be_killed"])
        .env("MTSEC_TEST_DRIVER", &mark)
        .stdout(std::process::Stdio::null());
    // Known as a child of ours, so that no session of another test takes it for a stray.
    let mut driver = children::spawn(&mut command).unwrap();
    let end = Instant::now() + Duration::from_secs(50);
    while !std::fs::metadata(&mark).is_ok_and(|mark| mark.len() > 0) {
        assert!(Instant::now() < end, "the driver did not come up");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let place = std::fs::read_to_string(&mark).unwrap();
    appears("sleep 543210").await;
    assert!(processes(&place).len() >= 2, "the agent and its shepherd");
    driver.kill().unwrap();
    driver.wait().unwrap();
    while !processes(&place).is_empty() || !processes("sleep 543210").is_empty() {
        assert!(Instant::now() < end, "still running: {:?}", processes(&place));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
