//! What is found out about an agent before a run begins: then there is no run, and no trial fails.

mod common;

use std::path::Path;

use common::{program, tiny_task};

/// A recipe of an agent that says nothing in its turns.
const RECIPE: &str = r#"
name: mine
version: "1"
install: {program: mine.py, interpreter: python3, needs: [luck]}
argv: [{args: ["{{ agent.interpreter }}", "{{ agent.program }}"]}]
env: {LANG: C.UTF-8}
drive:
  exec:
    events:
      kind: /type
      message: {kind: message, text: /text}
      error: {kind: error, text: /text}
    session: {folder: "{{ logs }}/sessions", name: '^session-', id: /id, form: '^[a-z]+$'}
    preflight: {argv: ["{{ agent.interpreter }}", "{{ agent.program }}", "{{ workspace }}"], advice: "Mine needs luck."}
limits: {ready_seconds: 60, turn_seconds: 30, session_seconds: 60, quiet_seconds: 20, answers: 5}
exit_seconds: 4
grace_seconds: 0.3
"#;

/// A folder with one task, the recipe and a cache.
struct Place(tempfile::TempDir);

impl Place {
    fn new(recipe: &str) -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        place.write("t.jsonl", &tiny_task("tiny").to_string());
        place.write("mine.yaml", recipe);
        place
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path().join(name), text).unwrap();
    }

    /// What the program says, which must leave with this code.
    fn said(&self, arguments: &[&str], code: i32) -> String {
        let mut command = program();
        command.current_dir(self.path()).args(arguments);
        let output = command.env("MTSEC_CACHE", self.path().join("cache")).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
        text
    }

    fn run(&self, code: i32) -> String {
        let tasks = ["--tasks", "t.jsonl", "--interaction", "single"];
        self.said(
            &[&["run", "./mine.yaml", "-m", "nop", "--job-name", "one"], &tasks[..]].concat(),
            code,
        )
    }

    fn resume(&self, code: i32) -> String {
        self.said(&["resume", "jobs/one"], code)
    }

    fn has_run(&self) -> bool {
        self.path().join("jobs/one").exists()
    }
}

#[test]
fn an_agent_that_cannot_work_in_its_containment_has_no_run_and_no_resume() {
    let place = Place::new(RECIPE);
    // The preflight writes its workspace, as a turn would.
    place.write(
        "mine.py",
        "import os, sys\nif sys.argv[1:]:\n    open(sys.argv[1] + '/x', 'w')\n    luck = open(os.path.dirname(sys.argv[0]) + '/luck').read()\n    if luck: sys.exit(luck)\n",
    );
    let refused = |said: String| {
        for word in ["mine: ", "left with status 1", "out of luck\n", "Mine needs luck."] {
            assert!(said.contains(word), "{word}: {said}");
        }
    };
    place.write("luck", "out of luck");
    refused(place.run(3));
    assert!(!place.has_run());
    place.write("luck", "");
    place.run(0);
    place.write("luck", "out of luck");
    refused(place.resume(3));
    place.write("luck", "");
    place.resume(0);
}

#[test]
fn an_installation_that_was_changed_has_no_run_and_no_resume() {
    let place = Place::new("");
    let install = format!(
        "install: {{package: {}/mine-1.tgz, program: bin/mine, from: {{{}: {{path: package/mine}}}}}}",
        place.path().display(),
        std::env::consts::ARCH
    );
    let lines = RECIPE.lines().filter(|line| !line.contains("preflight: "));
    let lines = lines.map(|line| if line.starts_with("install: ") { &install } else { line });
    place.write("mine.yaml", &lines.collect::<Vec<_>>().join("\n"));
    std::fs::create_dir(place.path().join("package")).unwrap();
    place.write("package/package.json", r#"{"name": "mine", "version": "1.0.0"}"#);
    place.write("package/mine", "#!/bin/sh\nexit 0\n");
    let mut tar = std::process::Command::new("tar");
    let packed = tar
        .args(["-czf", "mine-1.tgz", "package"])
        .current_dir(place.path())
        .status();
    assert!(packed.unwrap().success());
    let program = || {
        let found = walkdir::WalkDir::new(place.path().join("cache/agents"))
            .into_iter()
            .flatten();
        let mut found = found.filter(|entry| entry.path().ends_with("bin/mine"));
        found.next().unwrap().into_path()
    };
    place.said(&["agents", "install", "./mine.yaml"], 0);
    let refused = |said: String| {
        for word in [
            "mine 1 is not as it was installed: bin/mine changed",
            "agents install --force",
        ] {
            assert!(said.contains(word), "{word}: {said}");
        }
    };
    std::fs::write(program(), "#!/bin/sh\nexit 1\n").unwrap();
    refused(place.run(3));
    assert!(!place.has_run());
    place.said(&["agents", "install", "--force", "./mine.yaml"], 0);
    place.run(0);
    std::fs::write(program(), "#!/bin/sh\nexit 1\n").unwrap();
    refused(place.resume(3));
    place.said(&["agents", "install", "--force", "./mine.yaml"], 0);
    place.resume(0);
}
