//! What this program adds: `cargo bench --bench trial`.
//!
//! - Three-turn trials with an agent that takes no time (a shell script behind a recipe of its own), from the plan to the
//!   recorded outcome: everything of a trial but agent and model. CPU time counts this process, the agent's shepherd, the
//!   script itself, and the tester's sandbox with all that ran in it.
//! - A snapshot of an unchanged tree of 1,000 files.
//! - `--help`.
//! - Peak memory of this program with eight real agents at once.

use std::collections::HashMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mtsec_agents::blob::BlobStore;
use mtsec_agents::containment::Namespaces;
use mtsec_agents::conversation::Interaction;
use mtsec_agents::gateway::backend::Backends;
use mtsec_agents::gateway::upstream::UpstreamConfig;
use mtsec_agents::gateway::{Gateway, GatewayConfig};
use mtsec_agents::plan::{ContainmentKind, Lock, Settings, TestTurns, trials};
use mtsec_agents::process::{Bare, Containment};
use mtsec_agents::recipe::{Recipe, Recipes};
use mtsec_agents::runner::{Conductor, Request, resolve};
use mtsec_agents::scaffold::{Installed, driver};
use mtsec_agents::store::RunFolder;
use mtsec_agents::task::Task;
use mtsec_agents::tester::{PYTHON, TestLimits, Tester, TesterConfig};
use mtsec_agents::workspace::Snapshotter;
use mtsec_agents::{dataset, python};

const PROGRAM: &str = env!("CARGO_BIN_EXE_mtsec-agents");

const RECIPE: &str = r#"
name: instant
version: "1"
install: {python: ">=3.8", requirements: [], distribution: instant, program: instant}
supports: {edit_formats: [whole], default_edit_format: whole}
argv: [{args: ["sh", "{{ agent.program }}"]}]
env: {LANG: C.UTF-8, SHELL: /bin/sh}
drive:
  pty:
    prompts:
      ready: '\r\nready> $'
      questions: ['(?:^|\n)(?P<question>[^\r\n]*) \[y/n\] $']
    answers: []
    default_answer: "n"
    message: {open: "{TAG\n", close: "TAG}\n"}
    enter: "\n"
    exit: "exit\n"
limits: {ready_seconds: 5, turn_seconds: 5, session_seconds: 60, quiet_seconds: 5, answers: 5}
exit_seconds: 1
grace_seconds: 1
"#;

/// Reads each message to its end and writes a file; starts no process.
const AGENT: &str = r#"
turn=0
while :; do
  printf '\nready> '
  read -r first || exit 1
  [ "$first" = exit ] && exit 0
  tag="${first#\{}"
  while read -r line; do [ "$line" = "$tag}" ] && break; done
  turn=$((turn + 1))
  printf 'def f():\n    return %s\n' "$turn" > app.py
done
"#;

fn main() {
    println!(
        "start-up       --help: {:.1} ms (median of 20)",
        median(20, || run_program(&["--help"]))
    );
    snapshot();
    let place = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let mut walls = Vec::new();
    for kind in [ContainmentKind::None, ContainmentKind::Namespaces] {
        // The difference of two runs leaves out what a run costs once.
        let (few, many) = (5, 45);
        let (first_wall, first_cpu) = runtime.block_on(conduct(place.path(), kind, few));
        let (second_wall, second_cpu) = runtime.block_on(conduct(place.path(), kind, many));
        let each = |first: f64, second: f64| (second - first) * 1e3 / f64::from(many - few);
        println!(
            "three turns    added to a trial: {:.1} ms wall, {:.1} ms CPU (mean of {}, one at a time; containment: {kind})",
            each(first_wall, second_wall),
            each(first_cpu, second_cpu),
            many - few
        );
        walls.push(each(first_wall, second_wall));
    }
    println!("containment    namespaces add {:.1} ms to a trial", walls[1] - walls[0]);
    memory(place.path());
}

/// Runs so many attempts at one built-in task; wall and CPU seconds.
async fn conduct(place: &Path, kind: ContainmentKind, attempts: u32) -> (f64, f64) {
    let recipes = Recipes::new(vec![Recipe::parse("instant.yaml", RECIPE).unwrap()]).unwrap();
    let recipe = recipes.of("instant").unwrap();
    let script = place.join("instant.sh");
    std::fs::write(&script, AGENT).unwrap();
    let (wall, cpu) = (Instant::now(), cpu_seconds());
    let task: Task = dataset::builtin().unwrap().tasks.remove(0);
    let request = Request {
        scaffolds: vec!["instant".into()],
        models: vec!["nop".into()],
        attempts,
        ..Request::default()
    };
    let cells = resolve::cells(&request, &recipes, &resolve::no_call).unwrap();
    let plain: Vec<_> = cells.iter().map(|cell| cell.cell.clone()).collect();
    let wanted = plain.iter().map(|cell| (cell, &[Interaction::Editing][..]));
    let trials = trials(std::slice::from_ref(&task), wanted, attempts);
    let installed = Installed {
        name: "instant".into(),
        version: "1".into(),
        folder: place.to_owned(),
        visible: vec![script.clone()],
        program: script,
        interpreter: "sh".into(),
        digest: None,
    };
    let backends = Arc::new(Backends::new(UpstreamConfig::default()));
    let mut runtimes = HashMap::new();
    for cell in cells {
        let containment: Arc<dyn Containment> = match kind {
            ContainmentKind::Namespaces => Arc::new(Namespaces::new(PROGRAM.into())),
            _ => Arc::new(Bare),
        };
        let scaffold = driver(recipe.clone(), installed.clone(), PROGRAM.into(), containment);
        let id = cell.cell.id();
        runtimes.insert(
            id,
            Arc::new(resolve::runtime(cell, recipe, scaffold, backends.clone(), None).unwrap()),
        );
    }
    let run = RunFolder::create(place, &format!("{kind}-{attempts}")).unwrap();
    let lock = Lock {
        version: String::new(),
        created: jiff::Timestamp::now(),
        cells: plain,
        trials,
        names: Default::default(),
        test_turns: TestTurns::Last,
        tasks_digest: String::new(),
        stay: 0,
        skipped_rows: 0,
        scripted: true,
        settings: Settings {
            containment: kind,
            ..Settings::default()
        },
        replays: None,
        agents: Vec::new(),
    };
    run.write("lock.json", &serde_json::to_vec(&lock).unwrap()).unwrap();
    let tester = Tester::start(TesterConfig {
        launcher: Path::new(PROGRAM).into(),
        interpreter: python::find(PYTHON).unwrap(),
        limits: TestLimits::default(),
        concurrent: 1,
        cache: place.join("cache"),
    });
    let conductor = Conductor {
        run,
        lock,
        tasks: HashMap::from([(task.id.clone(), Arc::new(task))]),
        cells: runtimes,
        gateway: Gateway::start(GatewayConfig::default()).await.unwrap(),
        tester: tester.await.unwrap(),
        concurrent: 1,
        retry_infrastructure: false,
        cancel: Default::default(),
        show: Box::new(|_| {}),
    };
    let tally = conductor.conduct().await.unwrap();
    assert_eq!(tally.judged, attempts as usize);
    // The sandbox is reaped shortly after the last tester is dropped; only then are its costs counted.
    let wall = wall.elapsed().as_secs_f64();
    while std::fs::read_dir("/proc/self/task")
        .unwrap()
        .flatten()
        .any(|task| has_children(&task.path()))
    {
        std::thread::sleep(Duration::from_millis(5));
    }
    (wall, cpu_seconds() - cpu)
}

fn has_children(task: &Path) -> bool {
    std::fs::read_to_string(task.join("children")).is_ok_and(|children| !children.trim().is_empty())
}

/// User and system time of this process and of all its children that have ended.
fn cpu_seconds() -> f64 {
    use nix::sys::resource::{UsageWho, getrusage};
    let seconds = |who| {
        let usage = getrusage(who).unwrap();
        let (user, system) = (usage.user_time(), usage.system_time());
        (user.tv_sec() + system.tv_sec()) as f64 + (user.tv_usec() + system.tv_usec()) as f64 / 1e6
    };
    seconds(UsageWho::RUSAGE_SELF) + seconds(UsageWho::RUSAGE_CHILDREN)
}

fn snapshot() {
    let place = tempfile::tempdir().unwrap();
    let workspace = place.path().join("workspace");
    for number in 0..1_000 {
        let folder = workspace.join(format!("folder-{}", number % 20));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(
            folder.join(format!("{number}.py")),
            format!("number = {number}\n").repeat(50),
        )
        .unwrap();
    }
    let mut snapshotter = Snapshotter::new(
        &workspace,
        BlobStore::new(place.path().join("blobs")),
        Vec::new(),
        Vec::new(),
    );
    // Files that have just been written are read again until their timestamps tell.
    std::thread::sleep(Duration::from_millis(100));
    let first = snapshotter.take().unwrap();
    assert_eq!(first.files().count(), 1_000);
    let time = median(20, || assert_eq!(snapshotter.take().unwrap(), first));
    println!("snapshot       1,000 unchanged files: {time:.1} ms (median of 20)");
}

/// The median time of a call, in milliseconds.
fn median(times: usize, mut call: impl FnMut()) -> f64 {
    let mut taken: Vec<f64> = (0..times)
        .map(|_| {
            let began = Instant::now();
            call();
            began.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    taken.sort_by(f64::total_cmp);
    taken[times / 2]
}

fn run_program(arguments: &[&str]) {
    let status = Command::new(PROGRAM)
        .args(arguments)
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
}

/// Peak resident memory of the program itself, not of its agents.
fn memory(place: &Path) {
    let arguments = [
        "run",
        "aider",
        "-m",
        "oracle",
        "--interaction",
        "editing",
        "-l",
        "8",
        "-n",
        "8",
        "--job-name",
        "eight",
    ];
    let mut child = Command::new(PROGRAM)
        .current_dir(place)
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0.0;
    while child.try_wait().unwrap().is_none() {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let kilobytes = text
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok());
        peak = f64::max(peak, kilobytes.unwrap_or(0.0));
        std::thread::sleep(Duration::from_millis(50));
    }
    println!("memory         peak with eight agents at once: {:.1} MB", peak / 1024.0);
}
