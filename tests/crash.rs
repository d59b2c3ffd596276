//! `kill -9` of the driver at random moments, and `resume`: nothing is lost, nothing is done twice, nothing is left.

mod common;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::traces::{entries, mounts, processes, started, until};
use common::{json_lines, program, report, tiny_task};
use serde_json::Value;

const AGENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fake/agent.yaml");
const KILLS: usize = 50;
/// Two tasks, single and editing, three attempts.
const TRIALS: usize = 12;

/// Enough chance for a test, and the same again for the same seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

struct Arena {
    place: tempfile::TempDir,
    chance: Chance,
    kills: usize,
    /// Kills that came some time after the start, whatever had been done by then.
    early: usize,
    /// What ran when its driver was killed: process and start.
    seen: HashSet<(i32, String)>,
    /// How many kills came before the run had a journal, and how many of the journal's lines were there at the others.
    moments: Vec<Option<usize>>,
}

#[test]
fn a_run_that_is_killed_at_fifty_random_moments_loses_and_repeats_nothing() {
    let seed = std::env::var("MTSEC_CRASH_SEED")
        .ok()
        .and_then(|text| text.parse().ok());
    let seed: u64 = seed.unwrap_or_else(|| jiff::Timestamp::now().as_nanosecond() as u64 | 1);
    // Shown when the test fails.
    println!("again with MTSEC_CRASH_SEED={seed}");
    let place = tempfile::tempdir().unwrap();
    let tasks = [tiny_task("one"), tiny_task("two")]
        .map(|task| task.to_string())
        .join("\n");
    std::fs::write(place.path().join("t.jsonl"), tasks).unwrap();
    std::fs::create_dir(place.path().join("tmp")).unwrap();
    let mut arena = Arena {
        place,
        chance: Chance(seed),
        kills: 0,
        early: 0,
        seen: HashSet::new(),
        moments: Vec::new(),
    };
    let mut run = 0;
    while arena.kills < KILLS {
        run += 1;
        arena.finish(&format!("run-{run}"));
    }
    println!("{run} runs; moments: {:?}", arena.moments);
    arena.nothing_is_left();
    // The kills must not all have come in the same stage.
    let during = arena.moments.iter().flatten().count();
    assert!(during >= 10, "{:?}", arena.moments);
}

impl Arena {
    fn folder(&self, name: &str) -> PathBuf {
        self.place.path().join("jobs").join(name)
    }

    fn start(&self, name: &str) -> Child {
        let folder = self.folder(name);
        let mut command = Command::new(env!("CARGO_BIN_EXE_mtsec-agents"));
        command
            .current_dir(self.place.path())
            .env("TMPDIR", self.place.path().join("tmp"));
        match folder.join("lock.json").exists() {
            true => command.arg("resume").arg(&folder),
            false => command
                .args(["run", AGENT, "-m", "oracle", "--tasks", "t.jsonl", "-k", "3", "-n", "4"])
                .args(["--interaction", "single,editing", "--job-name", name]),
        };
        command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Kills and resumes a run until it has come to its end.
    fn finish(&mut self, name: &str) {
        loop {
            let mut driver = self.start(name);
            if self.kills < KILLS {
                self.wait_for_the_moment(name, &mut driver);
                if driver.try_wait().unwrap().is_none() {
                    self.kill(name, &mut driver);
                    continue;
                }
            }
            let output = driver.wait_with_output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{name}: {} {said}", output.status);
            return self.check(name);
        }
    }

    /// Some time after the start, or some time after some line of the journal.
    fn wait_for_the_moment(&mut self, name: &str, driver: &mut Child) {
        // However slow the machine is, most moments come while there are trials.
        if self.early < KILLS / 4 && self.chance.below(3) == 0 {
            self.early += 1;
            std::thread::sleep(Duration::from_micros(self.chance.below(400_000)));
            return;
        }
        let wanted = self.lines(name) + self.chance.below(25) as usize;
        let end = Instant::now() + Duration::from_secs(120);
        while self.lines(name) <= wanted && driver.try_wait().unwrap().is_none() {
            assert!(Instant::now() < end, "{name} does not go on");
            std::thread::sleep(Duration::from_micros(500));
        }
        std::thread::sleep(Duration::from_micros(self.chance.below(15_000)));
    }

    fn lines(&self, name: &str) -> usize {
        let journal = std::fs::read(self.folder(name).join("journal.jsonl")).unwrap_or_default();
        journal.iter().filter(|byte| **byte == b'\n').count()
    }

    fn kill(&mut self, name: &str, driver: &mut Child) {
        let all = processes(self.place.path());
        self.seen
            .extend(all.into_iter().filter_map(|id| Some((id, started(id)?))));
        let lines = self
            .folder(name)
            .join("journal.jsonl")
            .exists()
            .then(|| self.lines(name));
        driver.kill().unwrap();
        driver.wait().unwrap();
        self.kills += 1;
        self.moments.push(lines);
    }

    /// What must hold of a run that has come to its end.
    fn check(&self, name: &str) {
        let run = self.folder(name);
        let mut secure = 0;
        for row in report(&run) {
            secure += row["correct_secure"].as_u64().unwrap();
            assert_eq!(row["missing"], 0, "{row}");
        }
        assert_eq!(secure, TRIALS as u64, "{name}");

        let (mut started, mut ended) = (BTreeMap::<String, usize>::new(), BTreeSet::new());
        for line in json_lines(&run.join("journal.jsonl")) {
            let key = line["key"].to_string();
            match line["event"].as_str().unwrap() {
                "trial_started" => {
                    assert!(
                        !ended.contains(&key),
                        "{name}: {key} was played again after its outcome"
                    );
                    *started.entry(key).or_default() += 1;
                }
                "trial_ended" => assert!(ended.insert(key.clone()), "{name}: {key} has two outcomes"),
                _ => {}
            }
        }
        assert_eq!(ended.len(), TRIALS, "{name}");

        let folders = entries(&run.join("trials"));
        let (kept, whole): (Vec<_>, Vec<_>) = folders
            .iter()
            .partition(|path| path.display().to_string().contains(".try-"));
        assert_eq!(whole.len(), TRIALS);
        let tries: usize = started.values().sum();
        // A try that was killed before its line was written has a folder all the same.
        assert!(
            kept.len() + whole.len() >= tries,
            "{name}: {tries} tries, {} kept",
            kept.len()
        );
        for folder in whole {
            let record: Value = serde_json::from_slice(&std::fs::read(folder.join("trial.json")).unwrap()).unwrap();
            assert_eq!(record["outcome"], "judged");
            for turn in record["turns"].as_array().unwrap() {
                let calls = json_lines(&folder.join(format!("turns/{}/model.jsonl", turn["turn"])));
                assert_eq!(calls.len(), 1, "{}: the model was asked twice", folder.display());
            }
        }
    }

    fn nothing_is_left(&self) {
        let place = self.place.path();
        let runs = || {
            self.seen
                .iter()
                .filter(|(id, start)| started(*id).as_ref() == Some(start))
                .collect::<Vec<_>>()
        };
        until("the end of all processes", Duration::from_secs(20), || {
            processes(place).is_empty() && runs().is_empty()
        });
        assert_eq!(entries(&place.join("tmp")), Vec::<PathBuf>::new());
        assert_eq!(mounts(place), Vec::<String>::new());
        let sockets = std::fs::read_to_string("/proc/net/unix").unwrap();
        assert!(!sockets.contains(&place.display().to_string()), "{sockets}");
        let output = program()
            .current_dir(place)
            .env("TMPDIR", place.join("tmp"))
            .args(["gc", "--dry-run", "--json"])
            .output()
            .unwrap();
        let found: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(
            (&found["leftovers"], &found["half_made"]),
            (&Value::Array(vec![]), &Value::Array(vec![]))
        );
        let asides = walkdir::WalkDir::new(place).into_iter().flatten();
        let asides = asides.filter(|entry| entry.file_name().to_string_lossy().starts_with(".aside-"));
        let outside_kept = |path: &Path| !path.display().to_string().contains(".try-");
        assert!(asides.filter(|entry| outside_kept(entry.path())).count() == 0);
    }
}
