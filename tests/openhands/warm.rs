//! The preparing process: waited for before any clock of a trial begins, and begun again when it fails. By a driver of no
//! agent, forked by the real preparing process into real namespaces.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::common::tiny_task;
use super::common::traces::{self, until};
use super::{finished, record, trials};

/// Answers every turn. `PREPARE`: what takes the place of the imports.
const DRIVER: &str = r#"
import ctypes, json, os, time
HERE = os.path.dirname(os.path.abspath(__file__))

def setns(descriptor):
    if libc.setns(descriptor, 0) != 0:
        raise OSError(ctypes.get_errno(), "setns")

libc = ctypes.CDLL(None, use_errno=True)
# Python before 3.12, which OpenHands does not take.
os.setns = getattr(os, "setns", setns)

def prepare():
    with open(HERE + "/tries", "a") as file:
        file.write("x")
    PREPARE

def main(source, sink):
    lines, out = os.fdopen(source), os.fdopen(sink, "w")
    say = lambda **told: print(json.dumps(told), file=out, flush=True)
    for line in lines:
        told = json.loads(line)
        if told["type"] == "start": say(type="ready")
        elif told["type"] == "turn": say(type="turn_finished", turn=told["turn"], reason="answered", message="done")
        elif told["type"] == "stop": say(type="closed"); os._exit(0)

if __name__ == "__main__":
    main(0, 1)
"#;

const RECIPE: &str = r#"
name: warm
version: "1"
install: {program: lib/driver.py, interpreter: python3}
argv: [{args: ["python3", "-u", "{{ agent.program }}"]}]
env: {PYTHONPATH: "PLACE/lib"}
drive:
  shim: {driver: openhands, iterations: 5, command_seconds: 5, call_seconds: 5, tries: 1, failures: []}
limits: {ready_seconds: 60, turn_seconds: 60, session_seconds: 600, quiet_seconds: 60, answers: 5}
exit_seconds: 5
grace_seconds: 0.3
"#;

const RUN: [&str; 14] = [
    "run",
    "./warm.yaml",
    "-m",
    "nop",
    "--tasks",
    "t.jsonl",
    "--interaction",
    "editing",
    "--job-name",
    "r",
    "-r",
    "0",
    "-n",
    "1",
];

/// A place with an agent whose preparation does this.
fn place(prepare: &str) -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    let lib = place.path().join("lib");
    std::fs::create_dir(&lib).unwrap();
    std::fs::write(lib.join("driver.py"), DRIVER.replace("PREPARE", prepare)).unwrap();
    // The preparing process imports `driver`, and finds that there is one already.
    std::fs::write(lib.join("sitecustomize.py"), "import driver\n").unwrap();
    let recipe = RECIPE.replace("PLACE", &place.path().display().to_string());
    std::fs::write(place.path().join("warm.yaml"), recipe).unwrap();
    std::fs::write(place.path().join("t.jsonl"), tiny_task("tiny").to_string()).unwrap();
    place
}

/// How often the preparation was begun.
fn tries(place: &Path) -> usize {
    std::fs::read(place.join("lib/tries")).unwrap_or_default().len()
}

/// What each trial of the run was warned of, in the order of the attempts.
fn warnings(place: &Path) -> Vec<String> {
    let trials = trials(&place.join("jobs/r"));
    let told = trials.iter().map(|trial| record(trial)["warnings"].clone());
    let joined = |warnings: Value| {
        let all = warnings.as_array().cloned().unwrap_or_default();
        let texts: Vec<&str> = all.iter().filter_map(Value::as_str).collect();
        texts.join("; ")
    };
    told.map(joined).collect()
}

#[test]
fn the_wait_for_the_preparing_process_is_time_of_no_trial() {
    let place = place("time.sleep(2); open(HERE + '/ready', 'w').write(str(time.time()))");
    finished(place.path(), &RUN, 0);
    let ready: f64 = std::fs::read_to_string(place.path().join("lib/ready"))
        .unwrap()
        .parse()
        .unwrap();
    let told = record(&trials(&place.path().join("jobs/r"))[0]);
    let moment = |name: &str| {
        let text = told[name].as_str().unwrap();
        text.parse::<jiff::Timestamp>().unwrap().as_duration().as_secs_f64()
    };
    assert!(
        moment("started") >= ready,
        "begun before it was ready at {ready}: {told:#}"
    );
    let most = moment("ended") - ready;
    for name in ["total", "agent", "agent_time"] {
        let seconds = told["timings"][name].as_f64().unwrap();
        assert!(seconds <= most, "{name}: {seconds} of {most}");
    }
    assert_eq!(warnings(place.path()), [""], "it was started cold");
}

#[test]
fn a_preparing_process_that_fails_is_tried_again_and_told_of() {
    let place = place("os.path.getsize(HERE + '/tries') > 1 or os._exit(1)");
    finished(place.path(), &[&RUN[..], &["-k", "3"]].concat(), 0);
    let told = warnings(place.path());
    assert!(
        told[0].contains("the preparing process could not be started"),
        "{told:?}"
    );
    assert_eq!(told[1..], ["", ""]);
    assert_eq!(tries(place.path()), 2);
}

#[test]
fn a_preparing_process_that_always_fails_is_given_up_and_loses_no_trial() {
    let place = place("os._exit(1)");
    finished(place.path(), &[&RUN[..], &["-k", "5"]].concat(), 0);
    let told = warnings(place.path());
    assert_eq!(told.len(), 5);
    for (index, told) in told.iter().enumerate() {
        assert!(told.contains("without the preparing process"), "{told}");
        assert_eq!(told.contains("none is tried any more"), index >= 2, "{told}");
    }
    assert_eq!(tries(place.path()), 3);
}

#[test]
fn the_wait_for_the_preparing_process_can_be_interrupted() {
    let place = place("time.sleep(600)");
    let tmp = place.path().join("tmp");
    std::fs::create_dir(&tmp).unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_mtsec-agents"));
    command.current_dir(place.path()).env("TMPDIR", &tmp).args(RUN);
    let mut started = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    until("the preparation", Duration::from_secs(60), || tries(place.path()) == 1);
    kill(Pid::from_raw(started.id() as i32), Signal::SIGINT).unwrap();
    assert_eq!(started.wait().unwrap().code(), Some(130));
    until("the end of everything", Duration::from_secs(30), || {
        traces::processes(place.path()).is_empty()
    });
    assert_eq!(traces::entries(&tmp), Vec::<std::path::PathBuf>::new());
    let journal = std::fs::read_to_string(place.path().join("jobs/r/journal.jsonl")).unwrap();
    let lines: Vec<Value> = journal
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(lines.iter().all(|line| line["event"] != "trial_started"), "{journal}");
}
