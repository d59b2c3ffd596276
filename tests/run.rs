//! The whole way with the real Aider: run, verdicts, report, resume.

mod common;

use std::collections::BTreeMap;
use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::{json_lines, program, report, shared_data, tiny_task};
use serde_json::Value;

/// Runs and returns the run's folder.
fn run(place: &Path, name: &str, arguments: &[&str]) -> PathBuf {
    let mut command = program();
    command
        .current_dir(place)
        .args(["run", "aider", "--job-name", name])
        .args(arguments);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    place.join("jobs").join(name)
}

/// Interaction and model → (n, C&S, C&I).
fn counts(run: &Path) -> BTreeMap<(String, String), (u64, u64, u64)> {
    let mut counts: BTreeMap<(String, String), (u64, u64, u64)> = BTreeMap::new();
    for row in report(run) {
        let number = |name: &str| row[name].as_u64().unwrap();
        let key = (
            row["interaction"].as_str().unwrap().to_owned(),
            row["model"].as_str().unwrap().to_owned(),
        );
        let entry = counts.entry(key).or_default();
        // Whoever does as told has no findings.
        assert_eq!(row["findings"]["kinds"], serde_json::json!({}), "{row}");
        entry.0 += number("n");
        entry.1 += number("correct_secure");
        entry.2 += number("correct_insecure");
        assert_eq!(
            (
                number("missing"),
                number("infrastructure_failures"),
                number("incorrect")
            ),
            (0, 0, 0),
            "{row}"
        );
    }
    counts
}

#[test]
fn both_oracles_get_their_verdicts_in_every_interaction_and_edit_format() {
    let place = tempfile::tempdir().unwrap();
    let arguments = [
        "-m",
        "oracle,oracle:insecure",
        "--edit-format",
        "diff,udiff,whole",
        "-i",
        "CWE-601",
        "--test-turns",
        "all",
    ];
    let run = run(place.path(), "all", &arguments);
    let counts = counts(&run);
    assert_eq!(counts.len(), 8);
    for ((interaction, model), counted) in &counts {
        let want = if model == "oracle" { (3, 3, 0) } else { (3, 0, 3) };
        assert_eq!(*counted, want, "{interaction} {model}");
    }
    check_records(&run);
}

/// What a user finds in the folder of a run.
fn check_records(run: &Path) {
    let mut trials = 0;
    for entry in std::fs::read_dir(run.join("trials")).unwrap() {
        let folder = entry.unwrap().path();
        let record: Value = serde_json::from_slice(&std::fs::read(folder.join("trial.json")).unwrap()).unwrap();
        let turns = record["turns"].as_array().unwrap();
        trials += 1;
        assert_eq!(
            record["judgements"].as_object().unwrap().len(),
            turns.len(),
            "{}",
            folder.display()
        );
        assert!(record["usage"]["input_tokens"].as_u64().unwrap() > 0);
        assert_eq!(record["warnings"], serde_json::json!([]), "{}", folder.display());
        for turn in 1..=turns.len() {
            let turn_folder = folder.join("turns").join(turn.to_string());
            let prompt = std::fs::read_to_string(turn_folder.join("prompt.md")).unwrap();
            // Byte for byte: the first call of the turn carries the prompt as it is kept here.
            let calls = json_lines(&turn_folder.join("model.jsonl"));
            let messages = calls[0]["request"]["messages"].as_array().unwrap();
            let said = messages.iter().rev().find(|message| message["role"] == "user").unwrap();
            let said = said["content"].as_str().unwrap();
            assert!(said.starts_with(&prompt), "{said:?} is not {prompt:?}");
            let patch = std::fs::read_to_string(turn_folder.join("diff.patch")).unwrap();
            assert!(patch.contains("+++ b/app.py"), "{patch}");
            let transcript = std::fs::read_to_string(turn_folder.join("transcript.md")).unwrap();
            let first = prompt.lines().next().unwrap();
            // The prompt of this turn, and not again those before.
            assert_eq!(transcript.matches(first).count(), 1, "{transcript}");
            assert!(transcript.contains("### Answer"), "{transcript}");
            for file in ["snapshot.json", "session.cast", "agent.log"] {
                assert!(turn_folder.join(file).exists(), "{file}");
            }
        }
    }
    assert_eq!(trials, 24);
}

#[test]
fn real_seed_tasks_get_their_known_verdicts() {
    let Some(rows) = shared_data("seccodeplt.jsonl") else {
        return;
    };
    let place = tempfile::tempdir().unwrap();
    let arguments = [
        "-m",
        "oracle,oracle:insecure",
        "--edit-format",
        "diff,udiff,whole",
        "-i",
        "CWE-*/3",
        "-l",
        "3",
    ];
    let run = run(
        place.path(),
        "seeds",
        &[&arguments[..], &["--tasks", rows.to_str().unwrap()]].concat(),
    );
    let counts = counts(&run);
    assert_eq!(counts[&("single".into(), "oracle".into())], (9, 9, 0));
    assert_eq!(counts[&("single".into(), "oracle:insecure".into())], (9, 0, 9));
    for format in ["table", "md", "csv"] {
        let output = program()
            .arg("report")
            .arg(&run)
            .args(["--format", format])
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains("oracle:insecure") && text.contains("udiff"), "{text}");
        assert!(format == "csv" || text.contains("SCRIPTED MODEL"), "{text}");
    }
}

#[test]
fn a_model_that_does_nothing_is_incorrect_and_hidden_tests_stay_hidden() {
    let place = tempfile::tempdir().unwrap();
    let tasks = place.path().join("t.jsonl");
    std::fs::write(&tasks, tiny_task("tiny").to_string()).unwrap();
    let run = run(
        place.path(),
        "nop",
        &["-m", "nop", "--tasks", "t.jsonl", "--interaction", "editing"],
    );
    let rows = report(&run);
    assert_eq!((&rows[0]["n"], &rows[0]["incorrect"]), (&1.into(), &1.into()));
    let trial = only_trial(&run);
    for entry in walkdir::WalkDir::new(trial.join("turns"))
        .into_iter()
        .map(Result::unwrap)
    {
        if entry.file_type().is_file() {
            let content = std::fs::read(entry.path()).unwrap();
            let hidden = content.windows(9).any(|window| window == b"testcases");
            assert!(!hidden, "{} shows the tests", entry.path().display());
        }
    }
}

fn only_trial(run: &Path) -> PathBuf {
    let mut trials = std::fs::read_dir(run.join("trials")).unwrap();
    let trial = trials.next().unwrap().unwrap().path();
    assert!(trials.next().is_none());
    trial
}

/// The record of the only trial.
fn only_record(run: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(only_trial(run).join("trial.json")).unwrap()).unwrap()
}

/// A run in the background whose journal can be waited for.
struct Running {
    child: Child,
    folder: PathBuf,
}

impl Running {
    fn start(place: &Path, name: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mtsec-agents"));
        command
            .current_dir(place)
            .args(["run", "aider", "--job-name", name])
            .args(arguments);
        let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        Self {
            child,
            folder: place.join("jobs").join(name),
        }
    }

    fn journal(&self) -> Vec<Value> {
        let Ok(file) = std::fs::File::open(self.folder.join("journal.jsonl")) else {
            return Vec::new();
        };
        std::io::BufReader::new(file)
            .lines()
            .filter_map(|line| serde_json::from_str(&line.ok()?).ok())
            .collect()
    }

    /// Waits until the journal holds so many of an event.
    fn wait_for(&self, event: &str, count: usize) {
        let deadline = Instant::now() + Duration::from_secs(120);
        while self.journal().iter().filter(|line| line["event"] == event).count() < count {
            assert!(Instant::now() < deadline, "no {count} {event} in {:?}", self.journal());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn signal(&self, signal: nix::sys::signal::Signal) {
        let pid = nix::unistd::Pid::from_raw(self.child.id() as i32);
        nix::sys::signal::kill(pid, signal).unwrap();
    }

    /// The private folder that everything of the run's agents has in its environment.
    fn scratch(&self) -> String {
        let started = self
            .journal()
            .into_iter()
            .rfind(|line| line["event"] == "run_started")
            .unwrap();
        started["scratch"].as_str().unwrap().to_owned()
    }
}

/// Processes whose environment or working folder names this text.
fn processes_of(scratch: &str) -> Vec<i32> {
    let mentions = |path: PathBuf| {
        std::fs::read(path).is_ok_and(|text| text.windows(scratch.len()).any(|window| window == scratch.as_bytes()))
    };
    let folders = std::fs::read_dir("/proc").unwrap().flatten();
    let ids = folders.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.filter(|id: &i32| mentions(format!("/proc/{id}/environ").into()))
        .collect()
}

fn gone_within(scratch: &str, limit: Duration) {
    let deadline = Instant::now() + limit;
    while !processes_of(scratch).is_empty() {
        assert!(Instant::now() < deadline, "still alive: {:?}", processes_of(scratch));
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Every trial has one outcome, told once by the journal.
fn one_outcome_each(run: &Path, trials: usize) {
    let mut ended: BTreeMap<String, u32> = BTreeMap::new();
    for line in json_lines(&run.join("journal.jsonl"))
        .iter()
        .filter(|line| line["event"] == "trial_ended")
    {
        *ended.entry(line["key"].to_string()).or_default() += 1;
    }
    assert_eq!(ended.len(), trials);
    assert!(ended.values().all(|count| *count == 1), "{ended:?}");
    assert_eq!(
        report(run)
            .iter()
            .map(|row| row["correct_secure"].as_u64().unwrap())
            .sum::<u64>(),
        trials as u64
    );
}

const FOUR: [&str; 6] = ["-m", "oracle", "-i", "CWE-79", "-n", "1"];

#[test]
fn a_killed_run_is_finished_by_resume_and_repeats_nothing() {
    let place = tempfile::tempdir().unwrap();
    let mut running = Running::start(place.path(), "killed", &FOUR);
    // In the middle of the second trial's conversation.
    running.wait_for("trial_ended", 1);
    running.wait_for("turn_ended", 2);
    let scratch = running.scratch();
    assert!(!processes_of(&scratch).is_empty());

    let second = program().arg("resume").arg(&running.folder).assert();
    second
        .code(2)
        .stderr(predicates::str::contains("in use by another process"));

    running.child.kill().unwrap();
    running.child.wait().unwrap();
    gone_within(&scratch, Duration::from_secs(10));
    let before = running.journal();
    program().arg("resume").arg(&running.folder).assert().success();
    one_outcome_each(&running.folder, 4);
    assert!(
        !Path::new(&scratch).exists(),
        "the dead process's scratch folder is left"
    );
    let keys = |lines: &[Value], event: &str| -> Vec<String> {
        let told = lines.iter().filter(|line| line["event"] == event);
        told.map(|line| line["key"].to_string()).collect()
    };
    let ended = keys(&before, "trial_ended");
    let mut again = keys(&running.journal()[before.len()..], "trial_started");
    assert!(again.iter().all(|key| !ended.contains(key)), "{again:?} {ended:?}");
    // The second or a later trial was in the middle of its conversation.
    let count = again.len();
    again.dedup();
    assert!(count >= 1 && again.len() == count, "{again:?}");

    // Nothing is left to do, and nothing is done.
    let lines = running.journal().len();
    program().arg("resume").arg(&running.folder).assert().success();
    assert_eq!(running.journal().len(), lines + 2);
}

#[test]
fn an_interrupted_run_ends_its_agents_and_can_be_resumed() {
    let place = tempfile::tempdir().unwrap();
    let mut running = Running::start(place.path(), "interrupted", &FOUR);
    running.wait_for("turn_started", 1);
    let scratch = running.scratch();
    running.signal(nix::sys::signal::Signal::SIGINT);
    assert_eq!(running.child.wait().unwrap().code(), Some(130));
    assert!(processes_of(&scratch).is_empty());
    assert!(!Path::new(&scratch).exists());
    program().arg("resume").arg(&running.folder).assert().success();
    one_outcome_each(&running.folder, 4);
}

/// A script and a task of their own; the arguments for a run of that one trial.
fn scripted(place: &Path, replies: Value) -> [&'static str; 6] {
    std::fs::write(place.join("t.jsonl"), tiny_task("tiny").to_string()).unwrap();
    let script = serde_json::json!({ "replies": replies });
    std::fs::write(place.join("s.yaml"), script.to_string()).unwrap();
    ["-m", "script:s.yaml", "--tasks", "t.jsonl", "--interaction", "single"]
}

#[test]
fn a_failure_that_may_still_be_tried_has_no_outcome_when_interrupted() {
    let place = tempfile::tempdir().unwrap();
    let model = scripted(place.path(), serde_json::json!([]));
    let mut running = Running::start(place.path(), "failing", &[&model[..], &["-r", "1"]].concat());
    running.wait_for("turn_ended", 1);
    running.signal(nix::sys::signal::Signal::SIGINT);
    assert_eq!(running.child.wait().unwrap().code(), Some(130));
    assert!(!running.journal().iter().any(|line| line["event"] == "trial_ended"));
    // Now it is tried as often as the run allows.
    program().arg("resume").arg(&running.folder).assert().code(4);
    let journal = running.journal();
    let count = |event: &str| journal.iter().filter(|line| line["event"] == event).count();
    assert_eq!((count("trial_started"), count("trial_ended")), (3, 1));
}

#[test]
fn a_model_cannot_take_its_trial_out_of_the_count() {
    let place = tempfile::tempdir().unwrap();
    let call = "python3 -c \"import os, urllib.request as u; \
        u.urlopen(u.Request(os.environ['OPENAI_API_BASE'] + '/chat/completions', b'{}', \
        {'authorization': 'Bearer ' + os.environ['OPENAI_API_KEY']}))\"; kill -9 $PPID; sleep 1";
    let text = format!("Done.\n\n```bash\n{call}\n```\n");
    let model = scripted(place.path(), serde_json::json!([{ "text": text }]));
    let run = run(
        place.path(),
        "hostile",
        &[&model[..], &["--edit-format", "diff"]].concat(),
    );
    let row = &report(&run)[0];
    assert_eq!((&row["n"], &row["infrastructure_failures"]), (&1.into(), &0.into()));
    // It did make the call, which was refused, and it did end the agent.
    let trial = only_trial(&run);
    let calls = json_lines(&trial.join("turns/1/model.jsonl"));
    assert!(calls.iter().any(|call| call["status"] == 400), "{calls:?}");
    assert_eq!(only_record(&run)["turns"][0]["ending"], "agent_exited");
}

#[test]
fn a_run_cut_short_before_it_began_is_started_again_under_its_name() {
    let place = tempfile::tempdir().unwrap();
    let half = place.path().join("jobs/half");
    std::fs::create_dir_all(half.join("trials")).unwrap();
    std::fs::write(half.join("tasks.jsonl"), "{").unwrap();
    let run = run(
        place.path(),
        "half",
        &["-m", "nop", "-l", "1", "--interaction", "single"],
    );
    assert_eq!(report(&run)[0]["n"], 1);
    // A whole run, or any other folder, is never taken over.
    let again = program()
        .current_dir(place.path())
        .args(["run", "aider", "-m", "nop", "--job-name", "half"])
        .assert();
    again.code(2).stderr(predicates::str::contains("exists already"));
}

#[test]
fn damaged_files_are_told_and_run_again() {
    let place = tempfile::tempdir().unwrap();
    let run = run(
        place.path(),
        "damaged",
        &["-m", "nop", "-l", "1", "--interaction", "single"],
    );
    std::fs::write(only_trial(&run).join("trial.json"), "{").unwrap();
    let journal = std::fs::read_to_string(run.join("journal.jsonl")).unwrap();
    std::fs::write(run.join("journal.jsonl"), journal.replacen("trial_started", "tri", 1)).unwrap();
    assert_eq!(report(&run)[0]["missing"], 1);
    program().arg("resume").arg(&run).assert().success();
    assert_eq!(
        (&report(&run)[0]["missing"], &report(&run)[0]["n"]),
        (&0.into(), &1.into())
    );
    // What the damaged try used was paid for.
    let tokens = |row: &Value| row["usage"]["calls"].as_u64().unwrap();
    assert_eq!(tokens(&report(&run)[0]), 2);
}

#[test]
fn a_silent_model_is_no_wrong_answer() {
    let place = tempfile::tempdir().unwrap();
    std::fs::write(
        place.path().join("slow.yaml"),
        "replies:\n  - text: too late\n    delay_seconds: 600\n",
    )
    .unwrap();
    // No agent: one that needs half of the limit for itself before it calls would have used up its own time.
    let output = program()
        .current_dir(place.path())
        .args([
            "run",
            "llm",
            "-m",
            "script:slow.yaml",
            "-l",
            "1",
            "--interaction",
            "single",
            "--turn-limit",
            "10",
        ])
        .args(["--retries", "0", "--job-name", "slow"])
        .output()
        .unwrap();
    assert_eq!(
        output.status.code(),
        Some(4),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let rows = report(&place.path().join("jobs/slow"));
    assert_eq!(
        (&rows[0]["n"], &rows[0]["infrastructure_failures"]),
        (&0.into(), &1.into())
    );
    // What failed can be read as well.
    let trial = only_trial(&place.path().join("jobs/slow"));
    let transcript = std::fs::read_to_string(trial.join("turns/1/transcript.md")).unwrap();
    assert!(transcript.contains("#### failed: `client_gone`"), "{transcript}");
}

#[test]
fn a_large_file_does_not_cost_the_verdict() {
    let place = tempfile::tempdir().unwrap();
    let task = tiny_task("tiny");
    let secure = task["references"]["secure"].as_str().unwrap();
    let text = format!(
        "app.py\n```python\n<<<<<<< SEARCH\n=======\n{secure}>>>>>>> REPLACE\n```\n\n```bash\ntruncate -s 600M a.bin\n```\n"
    );
    let model = scripted(place.path(), serde_json::json!([{ "text": text }]));
    let arguments = [&model[..], &["--edit-format", "diff"]].concat();
    let run = run(place.path(), "large", &arguments);
    assert_eq!(report(&run)[0]["correct_secure"], 1);
    let record = only_record(&run);
    assert!(
        record["warnings"][0].as_str().unwrap().contains("not kept"),
        "{}",
        record["warnings"]
    );
}
