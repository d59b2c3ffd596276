//! What driving a real agent costs: `cargo bench --bench agents`.
//!
//! A conversation of three turns with an instant model that changes nothing (`nop`), through `mtsec-agents run`, and with the
//! same agent started by hand with the same command line and prompts. Both are read off the gateway's record of calls:
//!
//! - start-up: from the beginning of the trial, or of the process, to the agent's first request;
//! - a turn: from the request of one turn to that of the next: the agent ends its turn, is frozen, and is told the next prompt.
//!
//! By hand, all prompts of Aider and of OpenHands wait in its input, and Codex's next process starts when the last one has
//! ended. OpenHands by hand is cold; this program forks it from a process that is prepared once per run. It takes part where
//! it is installed.

#[path = "agents/bare.rs"]
mod bare;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use jiff::Timestamp;
use mtsec_agents::gateway::{Gateway, GatewayConfig};
use mtsec_agents::recipe::Recipe;
use mtsec_agents::scaffold::{Installed, Installer, Status};
use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_mtsec-agents");
const ROUNDS: usize = 5;
const TURNS: usize = 3;

/// Of one conversation, in seconds.
#[derive(Debug, Clone, Copy)]
pub struct Figures {
    start: f64,
    /// Mean of the conversation's turns but the last.
    turn: f64,
}

impl Figures {
    fn of(began: Timestamp, calls: &[Timestamp]) -> Self {
        assert_eq!(calls.len(), TURNS, "one call in each turn: {calls:?}");
        let seconds = |from: Timestamp, to: Timestamp| to.duration_since(from).as_secs_f64();
        Self {
            start: seconds(began, calls[0]),
            turn: seconds(calls[0], calls[TURNS - 1]) / (TURNS - 1) as f64,
        }
    }
}

fn main() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let gateway = runtime.block_on(Gateway::start(GatewayConfig::default())).unwrap();
    let installer = Installer::new(&Installer::default_cache().unwrap());
    for name in ["aider", "codex", "openhands"] {
        let recipe = Recipe::builtin(name).unwrap();
        let installed = match (name, installer.status(&recipe)) {
            ("openhands", Status::Ready(installed)) => installed,
            ("openhands", _) => {
                println!("openhands      left out: it is not installed (`mtsec-agents agents install openhands`)");
                continue;
            }
            _ => installer.ensure(&recipe, &mut |_| ()).unwrap(),
        };
        measure(&recipe, &installed, &gateway);
    }
}

fn measure(recipe: &Recipe, installed: &Installed, gateway: &Gateway) {
    let name = recipe.source.name.as_str();
    let (ours, prompts) = ours(name);
    let bare: Vec<Figures> = (0..ROUNDS)
        .map(|_| bare::play(recipe, installed, gateway, &prompts))
        .collect();
    // The first trial of a run has the tester and the prepared process come up beside it.
    let later = &ours[1..];
    let tell = |what: &str, of: fn(&Figures) -> f64| {
        let (mine, theirs) = (median(later, of), median(&bare, of));
        println!(
            "{name:<14} {what}: {mine:.3} s, {:.2} of the bare agent's {theirs:.3} s (medians of {} and {ROUNDS})",
            mine / theirs,
            later.len()
        );
    };
    tell("start-up", |figures| figures.start);
    tell("a turn", |figures| figures.turn);
    println!(
        "{name:<14} start-up of a run's first trial: {:.3} s, {:.2} of the bare agent's",
        ours[0].start,
        ours[0].start / median(&bare, |figures| figures.start)
    );
}

/// Conversations through this program, one at a time, in their order; and what was said in them.
fn ours(name: &str) -> (Vec<Figures>, Vec<String>) {
    let place = tempfile::tempdir().unwrap();
    let attempts = (ROUNDS + 1).to_string();
    let status = Command::new(PROGRAM)
        .current_dir(place.path())
        .args(["run", name, "-m", "nop", "-i", "cwe-601-*", "--interaction", "editing"])
        .args(["-n", "1", "--job-name", "bench", "-k", &attempts])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success(), "{name}: {status}");
    let trials = std::fs::read_dir(place.path().join("jobs/bench/trials"))
        .unwrap()
        .flatten();
    let mut trials: Vec<(Timestamp, PathBuf)> = trials.map(|trial| (began(&trial.path()), trial.path())).collect();
    trials.sort();
    let turn = |trial: &Path, turn: usize, file: &str| trial.join(format!("turns/{turn}/{file}"));
    let figures = trials.iter().map(|(began, trial)| {
        let records: Vec<PathBuf> = (1..=TURNS).map(|number| turn(trial, number, "model.jsonl")).collect();
        Figures::of(*began, &calls(&records))
    });
    let prompt = |number| std::fs::read_to_string(turn(&trials[0].1, number, "prompt.md")).unwrap();
    (figures.collect(), (1..=TURNS).map(prompt).collect())
}

/// When a trial began.
fn began(trial: &Path) -> Timestamp {
    let record = std::fs::read(trial.join("trial.json")).unwrap();
    let record: Value = serde_json::from_slice(&record).unwrap();
    record["started"].as_str().unwrap().parse().unwrap()
}

/// When the calls in these records were made.
fn calls(records: &[PathBuf]) -> Vec<Timestamp> {
    let lines = records.iter().flat_map(|record| {
        let text = std::fs::read_to_string(record).unwrap_or_default();
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    });
    let started = |line: String| {
        let call: Value = serde_json::from_str(&line).unwrap();
        call["started"].as_str().unwrap().parse().unwrap()
    };
    lines.map(started).collect()
}

fn median(all: &[Figures], of: fn(&Figures) -> f64) -> f64 {
    let mut values: Vec<f64> = all.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
