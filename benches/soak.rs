//! A long run with faults: `cargo bench --bench soak`.
//!
//! 500 trials of the fake agent at `-n 32` against an HTTP provider. One of ten goes wrong: the agent crashes in the middle
//! of its turn, leaves a daemon, ignores every signal until its limit, prints garbage, or its provider fails. It fails when
//! an outcome is lost or wrong, when anything is left, or when the program's memory grows with the number of trials.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use common::provider::Provider;
use common::traces::{entries, mounts, processes, until};
use common::{json_lines, tiny_task};

#[path = "../tests/common/mod.rs"]
mod common;

const PROGRAM: &str = env!("CARGO_BIN_EXE_mtsec-agents");
const AGENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fake/agent.yaml");
const TRIALS: usize = 500;
/// What goes wrong, and the outcome that it has to have.
const FAULTS: [(&str, &str); 6] = [
    ("fault: crashes", "incorrect"),
    ("fault: daemonises", "correct_secure"),
    ("fault: stubborn", "correct_secure"),
    ("fault: garbage", "correct_secure"),
    ("model: 500.", "infrastructure_failure"),
    ("model: 500-once.", "correct_secure"),
];

/// One look at the program while it runs.
struct Sample {
    done: usize,
    resident: f64,
    descriptors: usize,
    threads: usize,
}

fn main() {
    let place = tempfile::tempdir().unwrap();
    let wanted = write_tasks(place.path());
    std::fs::create_dir(place.path().join("tmp")).unwrap();
    let provider = Provider::start();
    let began = Instant::now();
    let mut child = Command::new(PROGRAM)
        .current_dir(place.path())
        .env("TMPDIR", place.path().join("tmp"))
        .args([
            "run",
            AGENT,
            "-m",
            "some-model",
            "--api-base",
            &provider.base,
            "--tasks",
            "t.jsonl",
        ])
        .args([
            "--interaction",
            "single",
            "-n",
            "32",
            "--turn-limit",
            "30",
            "--job-name",
            "soak",
            "--quiet",
        ])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let run = place.path().join("jobs/soak");
    let mut samples = Vec::new();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        samples.extend(sample(child.id(), &run));
        std::thread::sleep(Duration::from_millis(250));
    };
    let seconds = began.elapsed().as_secs_f64();
    assert_eq!(
        status.code(),
        Some(4),
        "the provider's failures are left over, and nothing else went wrong"
    );
    check_outcomes(&run, &wanted);
    check_nothing_is_left(place.path());
    println!(
        "soak           {TRIALS} trials at -n 32, one of ten with a fault: {seconds:.0} s, {:.0} ms a trial; nothing lost, nothing left",
        seconds * 1e3 / TRIALS as f64
    );
    check_memory(&samples);
}

/// The tasks, every tenth of which goes wrong; task → outcome.
fn write_tasks(place: &Path) -> BTreeMap<String, &'static str> {
    let mut wanted = BTreeMap::new();
    let mut lines = Vec::new();
    for number in 0..TRIALS {
        let (words, outcome) = match number % 10 {
            9 => FAULTS[number / 10 % FAULTS.len()],
            _ => ("", "correct_secure"),
        };
        let id = format!("task-{number}");
        let mut task = tiny_task(&id);
        // The provider counts its failures for each prompt alone.
        let words = words.replace("500-once.", &format!("500-once-{number}."));
        task["description"]["description"] = format!("Doubles a number. {words}").into();
        lines.push(task.to_string());
        wanted.insert(id, outcome);
    }
    std::fs::write(place.join("t.jsonl"), lines.join("\n")).unwrap();
    wanted
}

fn sample(pid: u32, run: &Path) -> Option<Sample> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let field = |name: &str| -> Option<f64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_ascii_whitespace().next()?.parse().ok()
    };
    let journal = std::fs::read_to_string(run.join("journal.jsonl")).unwrap_or_default();
    Some(Sample {
        done: journal.matches("\"trial_ended\"").count(),
        resident: field("VmRSS:")? / 1024.0,
        descriptors: std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count(),
        threads: field("Threads:")? as usize,
    })
}

fn check_outcomes(run: &Path, wanted: &BTreeMap<String, &str>) {
    let events = json_lines(&run.join("journal.jsonl"));
    let ended: Vec<&Value> = events.iter().filter(|event| event["event"] == "trial_ended").collect();
    assert_eq!(ended.len(), TRIALS, "outcomes in the journal");
    let mut seen = BTreeMap::new();
    for folder in entries(&run.join("trials")) {
        if folder.display().to_string().contains(".try-") {
            continue;
        }
        let record: Value = serde_json::from_slice(&std::fs::read(folder.join("trial.json")).unwrap()).unwrap();
        let outcome = record["verdict"]
            .as_str()
            .or(record["outcome"].as_str())
            .unwrap()
            .to_owned();
        let task = record["key"]["task"].as_str().unwrap().to_owned();
        assert_eq!(outcome, wanted[&task], "{task}: {}", record["turns"]);
        assert!(seen.insert(task.clone(), outcome).is_none(), "{task} has two records");
    }
    assert_eq!(seen.len(), TRIALS, "records");
}

fn check_nothing_is_left(place: &Path) {
    until("the end of all processes", Duration::from_secs(20), || {
        processes(place).is_empty()
    });
    assert_eq!(entries(&place.join("tmp")), Vec::<PathBuf>::new());
    assert_eq!(mounts(place), Vec::<String>::new());
}

fn check_memory(samples: &[Sample]) {
    let at = |part: f64| {
        let count = (TRIALS as f64 * part) as usize;
        samples
            .iter()
            .find(|sample| sample.done >= count)
            .or(samples.last())
            .unwrap()
    };
    for part in [0.1, 0.25, 0.5, 0.75, 0.95] {
        let sample = at(part);
        println!(
            "               {:3} trials done: {:.1} MB resident, {} descriptors, {} threads",
            sample.done, sample.resident, sample.descriptors, sample.threads
        );
    }
    let most = |from: f64, to: f64| {
        let bounds = (TRIALS as f64 * from) as usize..(TRIALS as f64 * to) as usize;
        let within = samples.iter().filter(|sample| bounds.contains(&sample.done));
        within.map(|sample| sample.resident).fold(0.0, f64::max)
    };
    let (early, late) = (most(0.2, 0.5), most(0.7, 1.0));
    println!("               peak: {early:.1} MB in the second fifth to the middle, {late:.1} MB in the last third");
    assert!(late < early * 1.25 + 4.0, "memory grows with the number of trials");
}
