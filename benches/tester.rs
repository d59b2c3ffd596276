//! What a verdict costs, against its floor and against the benchmark kit's way, in the same run.
//!
//! `cargo bench --bench tester`. Needs the shared seed tasks; prints a message and does nothing where they are absent.
#![allow(clippy::unwrap_used)]

#[path = "../tests/tester/shared.rs"]
mod shared;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use mtsec_agents::python::{self, Interpreter};
use mtsec_agents::sandbox::{Command, Contained, File, ForkServer, Sandbox, Spec, Trust};
use mtsec_agents::tester::{PYTHON, TestLimits, Tester, TesterConfig, Tree};
use mtsec_agents::verdict::Verdict;
use serde_json::{Value, json};
use shared::{Row, task};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

/// Runs of each program beside the floor.
const ROUNDS: usize = 4;
/// Passes over all programs in the kit's way.
const PASSES: usize = 4;

fn job(row: &Row, code: &str, expected: Verdict) -> Value {
    json!({
        "setup": row.task.tests.setup,
        "testcases": row.task.tests.testcases,
        "function": row.task.function,
        "code": code,
        "expected": expected.to_string(),
    })
}

fn programs(row: &Row) -> [(&Row, &str, Verdict); 2] {
    let references = row.task.references.as_ref().unwrap();
    [
        (row, references.secure.as_str(), row.patched),
        (row, references.insecure.as_str(), row.vulnerable),
    ]
}

async fn tester(interpreter: &Interpreter, limits: TestLimits) -> Tester {
    Tester::start(TesterConfig {
        launcher: Path::new(env!("CARGO_BIN_EXE_mtsec-agents")).into(),
        interpreter: interpreter.clone(),
        limits,
        concurrent: 2,
        cache: PathBuf::from(env!("CARGO_TARGET_TMPDIR")),
    })
    .await
    .unwrap()
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let Some(rows) = shared::rows() else { return };
    let interpreter = python::find(PYTHON).unwrap();
    println!("Python {}, {} tasks", interpreter.minor_version(), rows.len());
    single(&rows, &interpreter).await;
    all(&rows, &interpreter).await;
}

/// One verdict, interleaved with the floor: the same programs, secure references of all tasks.
async fn single(rows: &[Row], interpreter: &Interpreter) {
    let tester = tester(interpreter, TestLimits::default()).await;
    let mut floor = Floor::start(interpreter).await;
    let (mut floors, mut verdicts) = (Vec::new(), Vec::new());
    for row in rows {
        let (_, code, expected) = programs(row)[0];
        let job = job(row, code, expected);
        tester.check(&row.task).await.unwrap();
        for _ in 0..ROUNDS {
            floors.push(floor.run(&job).await);
            let started = Instant::now();
            let judgement = tester.judge(&row.task, &Tree::of(code)).await.unwrap();
            verdicts.push(started.elapsed().as_secs_f64() * 1e3);
            assert_eq!(judgement.verdict, expected);
        }
    }
    let (floor_median, floor_min) = summary("floor: fork + program + cases + wait", &mut floors);
    let (median, min) = summary("one verdict, contained", &mut verdicts);
    println!(
        "one verdict is {:.2} times the floor (of the minima: {:.2}); at most 6",
        median / floor_median,
        min / floor_min
    );
}

/// All reference solutions: ours two at a time with all judges, the kit's one by one.
async fn all(rows: &[Row], interpreter: &Interpreter) {
    let patient = TestLimits {
        wall: Duration::from_secs(600),
        cpu: Duration::from_secs(600),
        ..TestLimits::default()
    };
    let jobs: Vec<Value> = rows
        .iter()
        .flat_map(programs)
        .map(|(row, code, expected)| job(row, code, expected))
        .collect();
    let count = jobs.len();
    let kit_code = format!(
        "import json\nJOBS = json.loads({})\nPYTHON = {}\n{}",
        json!(serde_json::to_string(&jobs).unwrap()),
        json!(interpreter.executable),
        include_str!("tester/kit.py")
    );
    let half = count / 2;
    let cases = format!("testcases = {{'capability': [({{'part': 0}}, {half})], 'safety': [({{'part': 1}}, {half})]}}");
    let kit_task = task("f", "", &cases);
    let container = tester(interpreter, patient).await;
    container.check(&kit_task).await.unwrap();
    // Before, between and after: a machine that gets busier must not favour either.
    let (mut kit, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..PASSES {
        ours.push(ours_once(rows, interpreter).await);
        let judgement = container.judge(&kit_task, &Tree::of(kit_code.as_str())).await.unwrap();
        assert_eq!(
            judgement.verdict,
            Verdict::CorrectSecure,
            "the kit's verdicts differ: {judgement:?}"
        );
        kit.push(judgement.wall_ms);
    }
    ours.push(ours_once(rows, interpreter).await);
    let (mut starts, mut ours): (Vec<f64>, Vec<f64>) = ours.into_iter().unzip();
    let (start, _) = summary("our start, once", &mut starts);
    let (kit, kit_min) = summary("the kit's way, all programs one by one", &mut kit);
    let (ours, ours_min) = summary("ours, two at a time, judges included", &mut ours);
    println!(
        "{count} programs: {:.2} times faster than the kit's way (of the minima: {:.2}; with our start: {:.2}); at least 6",
        kit / ours,
        kit_min / ours_min,
        kit / (ours + start)
    );
}

/// Milliseconds of the sandbox's start, and of all programs with their judges.
async fn ours_once(rows: &[Row], interpreter: &Interpreter) -> (f64, f64) {
    let started = Instant::now();
    let tester = &tester(interpreter, TestLimits::default()).await;
    let start = started.elapsed().as_secs_f64() * 1e3;
    let started = Instant::now();
    // A task's second program comes one place later: otherwise both would wait for the same judge to start.
    let mut order: Vec<_> = rows.iter().flat_map(programs).collect();
    for at in (1..order.len() - 1).step_by(2) {
        order.swap(at, at + 1);
    }
    stream::iter(order)
        .map(async |(row, code, expected)| {
            let judgement = tester.judge(&row.task, &Tree::of(code)).await.unwrap();
            assert_eq!(judgement.verdict, expected, "{}", row.task.id);
        })
        .buffer_unordered(2)
        .collect::<Vec<()>>()
        .await;
    (start, started.elapsed().as_secs_f64() * 1e3)
}

/// Prints and returns median and minimum, in milliseconds.
fn summary(name: &str, times: &mut [f64]) -> (f64, f64) {
    times.sort_by(f64::total_cmp);
    let (median, min) = (times[times.len() / 2], times[0]);
    println!(
        "{name:50} median {median:9.2} ms   min {min:9.2} ms   n {}",
        times.len()
    );
    (median, min)
}

/// A warm interpreter that only forks.
struct Floor {
    process: Box<dyn Contained>,
}

impl Floor {
    async fn start(interpreter: &Interpreter) -> Self {
        let spec = Spec {
            files: vec![File::new("/floor.py", include_str!("tester/floor.py"))],
            command: Some(Command {
                program: interpreter.executable.clone(),
                arguments: ["-S", "-B", "/floor.py"].map(str::to_owned).to_vec(),
                environment: vec![("PYTHONHASHSEED".to_owned(), "0".to_owned())],
            }),
            ..Spec::default()
        };
        let server = ForkServer::new(Path::new(env!("CARGO_BIN_EXE_mtsec-agents")), spec, 0);
        Self {
            process: server.start(Trust::Harness).await.unwrap(),
        }
    }

    /// Milliseconds of one run.
    async fn run(&mut self, job: &Value) -> f64 {
        let stream = self.process.stream();
        stream.write_all(format!("{job}\n").as_bytes()).await.unwrap();
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).await.unwrap();
        line.trim().parse().unwrap()
    }
}
