//! A place where the fake agent is run, and what has to come of it.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use serde_json::{Value, json};

use crate::common::traces::{entries, mounts, processes, until};
use crate::common::{program, tiny_task};

/// What an agent does wrong, and what has to come of it.
pub struct Fault {
    /// The agent's word for it; see `tests/fake/agent.py`.
    pub name: &'static str,
    /// The ending of its turn.
    pub ending: Value,
    /// The trial's verdict.
    pub verdict: &'static str,
    /// A part of a warning in its record; empty: there is none.
    pub warning: &'static str,
}

pub fn fault(name: &'static str, ending: Value, verdict: &'static str, warning: &'static str) -> Fault {
    Fault {
        name,
        ending,
        verdict,
        warning,
    }
}

pub fn ended(how: &str) -> Value {
    json!({ "ending": how })
}

pub fn timed_out(limit: &str) -> Value {
    json!({ "ending": "timed_out", "limit": limit })
}

pub const SECURE: &str = "correct_secure";
pub const INCORRECT: &str = "incorrect";

/// A place for runs of the fake agent.
pub struct Arena {
    pub place: tempfile::TempDir,
}

impl Arena {
    /// With a recipe of the fake agent in which these texts are replaced.
    pub fn new(changes: &[(&str, &str)]) -> Self {
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
    pub fn run(&self, prompts: &[(&str, String)], arguments: &[&str]) -> Output {
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

    pub fn run_faults(&self, faults: &[Fault], arguments: &[&str]) -> Output {
        let prompts: Vec<_> = faults
            .iter()
            .map(|fault| (fault.name, format!("fault: {}", fault.name)))
            .collect();
        self.run(&prompts, &[&["-m", "oracle"], arguments].concat())
    }

    pub fn folder(&self) -> PathBuf {
        self.place.path().join("jobs/run")
    }

    pub fn trial(&self, task: &str) -> PathBuf {
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

    pub fn record(&self, task: &str) -> Value {
        serde_json::from_slice(&std::fs::read(self.trial(task).join("trial.json")).unwrap()).unwrap()
    }

    /// Checks every fault's trial, and that of the agent that came after them.
    pub fn check(&self, output: &Output, faults: &[Fault]) {
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

    pub fn honest_is_whole(&self) {
        let honest = self.record("honest");
        assert_eq!(honest["verdict"], SECURE, "the run did not go on: {honest:#}");
    }

    pub fn nothing_is_left(&self) {
        let place = self.place.path();
        until("the end of all processes", Duration::from_secs(10), || {
            processes(place).is_empty()
        });
        assert_eq!(entries(&place.join("tmp")), Vec::<PathBuf>::new());
        assert_eq!(mounts(place), Vec::<String>::new());
    }
}
