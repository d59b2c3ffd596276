//! Faults of agents, models and disks, through the whole program: each ends in the outcome that a user would call right,
//! within its limits, leaves nothing, and the run goes on.

mod common;

use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use common::traces::{entries, mounts, processes, until};
use common::{json_lines, program, tiny_task};
use serde_json::{Value, json};

/// What an agent does wrong, and what has to come of it.
struct Fault {
    /// The agent's word for it; see `tests/fake/agent.py`.
    name: &'static str,
    /// The ending of its turn.
    ending: Value,
    /// The trial's verdict.
    verdict: &'static str,
    /// A part of a warning in its record; empty: there is none.
    warning: &'static str,
}

fn fault(name: &'static str, ending: Value, verdict: &'static str, warning: &'static str) -> Fault {
    Fault {
        name,
        ending,
        verdict,
        warning,
    }
}

fn ended(how: &str) -> Value {
    json!({ "ending": how })
}

fn timed_out(limit: &str) -> Value {
    json!({ "ending": "timed_out", "limit": limit })
}

const SECURE: &str = "correct_secure";
const INCORRECT: &str = "incorrect";

/// Faults that an agent comes to the end of, or that need no time to be found. Why these outcomes: what an agent has
/// written counts, however it ends; what it has not written is a wrong answer, for it alone is to blame.
fn quick() -> Vec<Fault> {
    vec![
        fault("exits", json!({ "ending": "agent_exited", "code": 3 }), SECURE, ""),
        fault(
            "crashes",
            json!({ "ending": "agent_exited", "code": -11 }),
            INCORRECT,
            "",
        ),
        // Unknown questions are answered by the default, told of, and no reason to stop.
        fault(
            "asks",
            ended("answered"),
            SECURE,
            "no rule knows the question `Shall I sing?`",
        ),
        fault("asks-forever", timed_out("answers"), INCORRECT, ""),
        fault("garbage", ended("answered"), SECURE, ""),
        fault("daemonises", ended("answered"), SECURE, ""),
        // More than a snapshot holds: what is judged is kept whatever else there is.
        fault("many-files", ended("answered"), SECURE, "more than 100000 entries"),
        fault(
            "deletes-workspace",
            ended("answered"),
            INCORRECT,
            "the workspace was deleted",
        ),
        fault(
            "links-workspace",
            ended("answered"),
            INCORRECT,
            "the workspace was replaced",
        ),
        fault("odd-files", ended("answered"), SECURE, ""),
    ]
}

/// A place for runs of the fake agent.
struct Arena {
    place: tempfile::TempDir,
}

impl Arena {
    /// With a recipe of the fake agent in which these texts are replaced.
    fn new(changes: &[(&str, &str)]) -> Self {
        let place = tempfile::tempdir().unwrap();
        let fake = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fake");
        std::fs::copy(fake.join("agent.py"), place.path().join("agent.py")).unwrap();
        let mut recipe = std::fs::read_to_string(fake.join("agent.yaml")).unwrap();
        for (from, to) in changes {
            assert!(recipe.contains(from), "{from}");
            recipe = recipe.replace(from, to);
        }
        std::fs::write(place.path().join("agent.yaml"), recipe).unwrap();
        std::fs::create_dir(place.path().join("tmp")).unwrap();
        Self { place }
    }

    /// Runs one trial for each of these prompts, and one whose agent does nothing wrong after them.
    fn run(&self, prompts: &[(&str, String)], arguments: &[&str]) -> Output {
        let honest = ("honest", String::new());
        let tasks: Vec<String> = prompts
            .iter()
            .chain([&honest])
            .map(|(id, words)| {
                let mut task = tiny_task(id);
                task["description"]["description"] = format!("Doubles a number. {words}").into();
                task.to_string()
            })
            .collect();
        std::fs::write(self.place.path().join("t.jsonl"), tasks.join("\n")).unwrap();
        let mut command = program();
        command
            .current_dir(self.place.path())
            .env("TMPDIR", self.place.path().join("tmp"));
        command.args([
            "run",
            "./agent.yaml",
            "--tasks",
            "t.jsonl",
            "--interaction",
            "single",
            "--job-name",
            "run",
        ]);
        let output = command.args(arguments).output().unwrap();
        self.nothing_is_left();
        output
    }

    fn run_faults(&self, faults: &[Fault], arguments: &[&str]) -> Output {
        let prompts: Vec<_> = faults
            .iter()
            .map(|fault| (fault.name, format!("fault: {}", fault.name)))
            .collect();
        self.run(&prompts, &[&["-m", "oracle"], arguments].concat())
    }

    fn folder(&self) -> PathBuf {
        self.place.path().join("jobs/run")
    }

    fn trial(&self, task: &str) -> PathBuf {
        let wanted = |path: &PathBuf| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            name.starts_with(&format!("{task}__")) && !name.contains(".try-")
        };
        let found: Vec<PathBuf> = entries(&self.folder().join("trials"))
            .into_iter()
            .filter(wanted)
            .collect();
        assert_eq!(found.len(), 1, "{task}: {found:?}");
        found[0].clone()
    }

    fn record(&self, task: &str) -> Value {
        serde_json::from_slice(&std::fs::read(self.trial(task).join("trial.json")).unwrap()).unwrap()
    }

    /// Checks every fault's trial, and that of the agent that came after them.
    fn check(&self, output: &Output, faults: &[Fault]) {
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{said}");
        for Fault {
            name,
            ending,
            verdict,
            warning,
        } in faults
        {
            let mut record = self.record(name);
            // May name very many files.
            record["turns"][0]["drift"].take();
            let turn = &record["turns"][0];
            for (key, value) in ending.as_object().unwrap() {
                assert_eq!(&turn[key], value, "{name}: {turn} {}", record["warnings"]);
            }
            assert_eq!(
                (&record["outcome"], &record["verdict"]),
                (&"judged".into(), &json!(verdict)),
                "{name}: {record:#}"
            );
            let warnings = record["warnings"].to_string();
            let told = if warning.is_empty() {
                warnings == "[]"
            } else {
                warnings.contains(warning)
            };
            assert!(told, "{name}: {warnings}");
        }
        self.honest_is_whole();
    }

    fn honest_is_whole(&self) {
        let honest = self.record("honest");
        assert_eq!(honest["verdict"], SECURE, "the run did not go on: {honest:#}");
    }

    fn nothing_is_left(&self) {
        let place = self.place.path();
        until("the end of all processes", Duration::from_secs(10), || {
            processes(place).is_empty()
        });
        assert_eq!(entries(&place.join("tmp")), Vec::<PathBuf>::new());
        assert_eq!(mounts(place), Vec::<String>::new());
    }
}

#[test]
fn what_agents_do_wrong_ends_in_its_outcome_and_the_run_goes_on() {
    let arena = Arena::new(&[]);
    let faults = quick();
    let output = arena.run_faults(&faults, &["-n", "2"]);
    arena.check(&output, &faults);

    let strays = &arena.record("daemonises")["turns"][0]["strays"];
    assert!(strays.as_u64().unwrap() >= 2, "{strays}");
    let answers = arena.record("asks")["turns"][0]["answers"].clone();
    let answers: Vec<&str> = answers
        .as_array()
        .unwrap()
        .iter()
        .map(|answer| answer["answer"].as_str().unwrap())
        .collect();
    assert_eq!(answers, ["y", "n", "n"]);
    let odd = std::fs::read_to_string(arena.trial("odd-files").join("turns/1/snapshot.json")).unwrap();
    for (name, what) in [("pipe", "fifo"), ("socket", "socket"), ("device", "device")] {
        // Only root makes device nodes.
        let is_root = nix::unistd::geteuid().is_root();
        assert_eq!(
            odd.contains(&format!("\"{name}\"")),
            what != "device" || is_root,
            "{odd}"
        );
        assert!(odd.contains(&format!("\"{what}\"")) || !is_root, "{odd}");
    }
    // Nothing of what a link led to was kept, and nothing of it was removed.
    let linked = std::fs::read_to_string(arena.trial("links-workspace").join("turns/1/snapshot.json")).unwrap();
    assert!(!linked.contains("passwd") && Path::new("/etc/passwd").exists());
}

#[test]
fn a_gigabyte_of_output_is_no_reason_to_stop() {
    let arena = Arena::new(&[("turn_seconds: 60", "turn_seconds: 300")]);
    let faults = [fault("floods", ended("answered"), SECURE, "")];
    let output = arena.run_faults(&faults, &[]);
    arena.check(&output, &faults);
    // The record is bounded.
    let log = std::fs::metadata(arena.trial("floods").join("turns/1/agent.log"))
        .unwrap()
        .len();
    assert!(log <= 64 << 20, "{log}");
}

#[test]
fn an_agent_that_says_nothing_or_does_not_stop_ends_at_its_limit() {
    let arena = Arena::new(&[]);
    let silent = [fault("silent", timed_out("quiet"), INCORRECT, "")];
    // What it wrote before counts; that it ignores every signal but the last does not help it.
    let stubborn = [fault("stubborn", timed_out("turn"), SECURE, "")];
    let faults: Vec<Fault> = silent.into_iter().chain(stubborn).collect();
    // The honest one, too, has to do with these limits.
    let output = arena.run_faults(&faults, &["--turn-limit", "12", "--quiet-limit", "6"]);
    arena.check(&output, &faults);
    for fault in &faults {
        let seconds = arena.record(fault.name)["timings"]["agent"].as_f64().unwrap();
        assert!(seconds < 60.0, "{}: {seconds}", fault.name);
    }
}

#[test]
fn an_agent_that_takes_the_disk_is_stopped_before_it_is_full() {
    let limits = "answers: 20, disk_bytes: 100000000, files: 20000}";
    let arena = Arena::new(&[("answers: 20}", limits), ("turn_seconds: 60", "turn_seconds: 300")]);
    let faults = [
        fault("fills-disk", timed_out("disk"), SECURE, "more than 100000000 bytes"),
        // A file without a name is found where nobody looks for files.
        fault("fills-hidden", timed_out("disk"), SECURE, "more than 100000000 bytes"),
        fault("endless-files", timed_out("disk"), SECURE, "more than 20000 files"),
    ];
    let output = arena.run_faults(&faults, &["-n", "3"]);
    arena.check(&output, &faults);
}

#[test]
fn an_agent_that_does_not_come_up_is_no_wrong_answer_and_is_tried_again() {
    for (start, told) in [
        ("never-ready", "was not ready within"),
        ("no-licence", "left with status 3"),
    ] {
        let arena = Arena::new(&[
            ("SHELL: /bin/sh", &format!("SHELL: /bin/sh, FAULT_AT_START: {start}")),
            ("ready_seconds: 60", "ready_seconds: 2"),
        ]);
        let output = arena.run(&[], &["-m", "oracle", "--retries", "1"]);
        assert_eq!(output.status.code(), Some(4));
        let record = arena.record("honest");
        assert_eq!(record["outcome"], "infrastructure_failure");
        assert!(record["reason"].as_str().unwrap().contains(told), "{record:#}");
        let kept = entries(&arena.folder().join("trials"));
        assert!(
            kept.iter().any(|path| path.display().to_string().ends_with(".try-1")),
            "the first try was not kept"
        );
        let events = json_lines(&arena.folder().join("journal.jsonl"));
        assert_eq!(
            events.iter().filter(|event| event["event"] == "trial_retried").count(),
            1
        );
    }
}
