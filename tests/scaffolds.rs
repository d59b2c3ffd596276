//! All agents in one run, with the whole program: what comes out is right, each conversation is one session, and nothing is
//! left, whether the run ends, is interrupted, or is killed.

mod common;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::traces::{Watch, entries, mounts, until};
use common::{agents, holds, json_lines, report};
use mtsec_agents::plan::{Cell, Lock};

/// A folder for runs, with a temporary folder of its own by which everything that they start is known.
struct Arena {
    place: tempfile::TempDir,
    agents: Vec<&'static str>,
    watch: Watch,
}

impl Arena {
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        std::fs::create_dir(place.path().join("tmp")).unwrap();
        let watch = Watch::new(place.path());
        Self {
            place,
            agents: agents(),
            watch,
        }
    }

    fn run(&self) -> PathBuf {
        self.place.path().join("jobs/all")
    }

    fn start(&self, arguments: &[&str]) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mtsec-agents"));
        command
            .current_dir(self.place.path())
            .env("TMPDIR", self.place.path().join("tmp"))
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        command.spawn().unwrap()
    }

    fn start_run(&self, more: &[&str]) -> Child {
        let all = [
            &["run"],
            self.agents.as_slice(),
            &["-n", "4", "--job-name", "all"],
            more,
        ]
        .concat();
        self.start(&all)
    }

    fn resume(&self) -> Child {
        self.start(&["resume", &self.run().display().to_string()])
    }

    /// Watches a run until something holds, or it has ended.
    fn watch_until(&mut self, run: &mut Child, mut holds: impl FnMut() -> bool) {
        let end = Instant::now() + Duration::from_secs(900);
        while run.try_wait().unwrap().is_none() && !holds() {
            assert!(Instant::now() < end, "the run does not come to this");
            self.watch.look();
            std::thread::sleep(Duration::from_millis(50));
        }
        self.watch.look();
    }

    /// Watches a run to its end.
    fn ends(&mut self, mut run: Child, code: i32) {
        self.watch_until(&mut run, || false);
        let output = run.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{said}");
    }

    /// Every conversation came to the verdict that its scripted model stands for.
    fn all_is_as_known(&self, of_each: u64) {
        let rows = report(&self.run());
        for agent in &self.agents {
            assert!(rows.iter().any(|row| row["scaffold"] == *agent), "{agent}: {rows:?}");
        }
        for row in rows {
            let verdict = match row["model"].as_str() {
                Some("oracle") => "correct_secure",
                _ => "correct_insecure",
            };
            assert_eq!(
                (&row["planned"], &row[verdict]),
                (&of_each.into(), &of_each.into()),
                "{row}"
            );
        }
    }

    /// The model is told in the third turn what the user said in the first.
    fn each_conversation_is_one_session(&self) {
        let mut conversations = 0;
        for trial in entries(&self.run().join("trials")) {
            let third = trial.join("turns/3/model.jsonl");
            if trial.display().to_string().contains(".try-") || !third.exists() {
                continue;
            }
            conversations += 1;
            let said = std::fs::read_to_string(trial.join("turns/1/prompt.md")).unwrap();
            let calls = json_lines(&third);
            assert!(!calls.is_empty(), "{}", third.display());
            for call in calls {
                assert!(
                    holds(&call["request"], said.trim()),
                    "{}: {}",
                    third.display(),
                    call["request"]
                );
            }
        }
        assert!(conversations >= self.agents.len(), "{conversations}");
    }

    fn nothing_is_left(&mut self) {
        let place = self.place.path();
        until("the end of all that the run started", Duration::from_secs(20), || {
            self.watch.alive().is_empty()
        });
        assert_eq!(self.watch.listening(), Vec::<String>::new());
        assert_eq!(entries(&place.join("tmp")), Vec::<PathBuf>::new());
        assert_eq!(mounts(place), Vec::<String>::new());
        let sockets = std::fs::read_to_string("/proc/net/unix").unwrap();
        assert!(!sockets.contains(&place.display().to_string()), "{sockets}");
    }

    /// The watch saw each agent at work; else that nothing is left would say nothing.
    fn everyone_was_seen(&self) {
        let mut wanted = vec!["aider", "codex"];
        if self.agents.contains(&"openhands") {
            wanted.extend(["openhands", "tmux"]);
        }
        for program in wanted {
            assert!(self.watch.saw(program), "{program}");
        }
        assert!(self.watch.saw_a_port(), "the gateway's port");
    }
}

/// Whether a conversation with this agent has begun and has not ended.
fn in_the_middle(run: &Path, agent: &str) -> bool {
    let Ok(lock) = std::fs::read(run.join("lock.json")) else {
        return false;
    };
    let lock: Lock = serde_json::from_slice(&lock).unwrap();
    let of_agent = |cell: &&Cell| cell.scaffold == agent;
    let cells: Vec<String> = lock.cells.iter().filter(of_agent).map(Cell::id).collect();
    let trials = std::fs::read_dir(run.join("trials")).into_iter().flatten().flatten();
    trials.map(|entry| entry.path()).any(|trial| {
        let name = trial.display().to_string();
        let said = std::fs::metadata(trial.join("turns/1/model.jsonl")).is_ok_and(|file| file.len() > 0);
        let of_agent = cells.iter().any(|cell| name.contains(&format!("__{cell}__")));
        of_agent && said && !name.contains(".try-") && !trial.join("trial.json").exists()
    })
}

fn interrupt(run: &Child) {
    let id = nix::unistd::Pid::from_raw(run.id() as i32);
    nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGINT).unwrap();
}

#[test]
fn a_run_of_all_agents_comes_out_as_known_in_one_session_each_and_leaves_nothing() {
    let mut arena = Arena::new();
    let tasks = ["-i", "cwe-601-*", "--interaction", "expansion,editing"];
    let run = arena.start_run(&[&tasks[..], &["-m", "oracle,oracle:insecure"]].concat());
    arena.ends(run, 0);
    arena.all_is_as_known(1);
    arena.each_conversation_is_one_session();
    arena.everyone_was_seen();
    arena.nothing_is_left();
}

#[test]
fn a_run_of_all_agents_that_is_interrupted_and_then_killed_leaves_nothing_and_comes_to_its_end() {
    let mut arena = Arena::new();
    let mut run = arena.start_run(&["-i", "cwe-79-*", "--interaction", "editing", "-m", "oracle", "-k", "2"]);
    let folder = arena.run();
    arena.watch_until(&mut run, || in_the_middle(&folder, "codex"));
    interrupt(&run);
    arena.ends(run, 130);
    arena.nothing_is_left();

    // The slowest of them is still there.
    let slow = if arena.agents.contains(&"openhands") {
        "openhands"
    } else {
        "aider"
    };
    let mut run = arena.resume();
    arena.watch_until(&mut run, || in_the_middle(&folder, slow));
    assert!(
        run.try_wait().unwrap().is_none(),
        "the run ended before it could be killed"
    );
    run.kill().unwrap();
    run.wait().unwrap();
    let gc = arena.start(&["gc"]);
    arena.ends(gc, 0);
    arena.nothing_is_left();

    let run = arena.resume();
    arena.ends(run, 0);
    arena.all_is_as_known(2);
    arena.each_conversation_is_one_session();
    arena.everyone_was_seen();
    arena.nothing_is_left();
}
