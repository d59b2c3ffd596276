//! What an agent can reach: asked by a program that a scripted model has the real Aider run.

mod common;
#[allow(dead_code, reason = "the tests of Docker use all of it")]
#[path = "docker/daemon.rs"]
mod daemon;

use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mtsec_agents::containment::Namespaces;
use mtsec_agents::process::{Containment, Room};

use common::probe::{PROBE, is_held};
use common::{base64, kept_file, program, report, tiny_task};
use serde_json::{Value, json};

/// Occurs in a file of the host that no agent may read.
const SECRET: &str = "the host's own secret";

struct Probed {
    containment: String,
    run: PathBuf,
    found: Value,
    trial: Value,
}

/// What of the host the probe tries to reach. Kept open while it runs.
struct Host {
    arguments: String,
    _port: std::net::TcpListener,
    _socket: std::os::unix::net::UnixListener,
}

/// `program`: a file of the agent's installation.
fn host(place: &Path, name: &str, program: &Path) -> Host {
    let secret = place.join("secret.txt");
    std::fs::write(&secret, SECRET).unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    // An abstract socket has no file, and belongs to a network namespace alone.
    let socket = format!("mtsec-test-{}-{name}", std::process::id());
    let address = <std::os::unix::net::SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(&socket);
    Host {
        arguments: format!(
            "{} {} {port} {socket} {} {} {}",
            secret.display(),
            place.join("jobs/probed").display(),
            std::process::id(),
            program.display(),
            stray(name),
        ),
        _port: listener,
        _socket: std::os::unix::net::UnixListener::bind_addr(&address.unwrap()).unwrap(),
    }
}

/// Runs the probe as a shell command of the agent; `docker` is where a daemon listens.
fn probe(place: &Path, containment: &str, docker: Option<&str>) -> Probed {
    std::fs::write(place.join("t.jsonl"), tiny_task("tiny").to_string()).unwrap();
    let host = host(place, containment, &agent_program());
    let command = format!(
        "echo {} | base64 -d > /tmp/probe.py; python3 /tmp/probe.py {} > probe.log 2>&1",
        base64(PROBE),
        host.arguments
    );
    let solution = tiny_task("tiny")["references"]["secure"].as_str().unwrap().to_owned();
    let text = format!(
        "app.py\n```python\n<<<<<<< SEARCH\n=======\n{solution}>>>>>>> REPLACE\n```\n\n```bash\n{command}\n```\n"
    );
    let script = json!({"replies": [{"text": text}, {"text": "mine"}, {"text": "Done."}, {"text": "Done."}]});
    // JSON is YAML.
    std::fs::write(place.join("script.yaml"), script.to_string()).unwrap();
    let output = program()
        .current_dir(place)
        .args(["run", "aider", "-m", "script:script.yaml", "--tasks", "t.jsonl"])
        .args([
            "--interaction",
            "single",
            "--edit-format",
            "diff",
            "--job-name",
            "probed",
        ])
        .args(["--containment", containment])
        .envs(docker.map(|host| ("DOCKER_HOST", host)))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    drop(host);
    let probed = probed(place, containment);
    let rows = report(&probed.run);
    assert_eq!(rows[0]["correct_secure"], 1, "{rows:?}");
    probed
}

/// What the only trial of a run has found.
fn probed(place: &Path, name: &str) -> Probed {
    let run = place.join("jobs/probed");
    let said = kept_file(&run, 1, "probe.log").unwrap_or_default();
    let found = kept_file(&run, 1, "found.json").unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&said)));
    let trial = std::fs::read_dir(run.join("trials")).unwrap().next().unwrap().unwrap();
    Probed {
        found: serde_json::from_slice(&found).unwrap(),
        trial: serde_json::from_slice(&std::fs::read(trial.path().join("trial.json")).unwrap()).unwrap(),
        run,
        containment: name.to_owned(),
    }
}

/// How long what the probe leaves behind would sleep: known from what other tests leave.
fn stray(containment: &str) -> &str {
    match containment {
        "docker" => "98762",
        "unprivileged" => "98763",
        _ => "98761",
    }
}

/// A file of the agent's installation.
fn agent_program() -> PathBuf {
    let output = program().args(["agents", "install", "aider"]).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let folder = said.trim().rsplit_once(" in ").unwrap().1;
    Path::new(folder).join("bin/aider")
}

/// What holds in every containment.
fn check(probed: &Probed) {
    let found = &probed.found;
    is_held(found);
    assert_eq!(
        (&found["own route"], &found["foreign route"], &found["temporary file"]),
        (&json!(200), &json!(401), &json!(1))
    );
    // In a container the way to the gateway lies open; its routes open to their own tokens only.
    let direct = found["the gateway's socket itself"].as_str().unwrap();
    assert_eq!(direct == "connected", probed.containment == "docker", "{direct}");
    assert_ne!(found["user"], 0);
    // The first process, the agent, the shell, the probe, and little more.
    let pids: Vec<u64> = found["pids"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_u64)
        .collect();
    assert!(pids.contains(&1) && pids.len() < 12, "{pids:?}");
    // Two processes outlived the command that started them.
    assert_eq!(probed.trial["turns"][0]["strays"], 2);
    let left = common::processes(&format!("sleep {}", stray(&probed.containment)));
    assert_eq!(left, Vec::<i32>::new());
}

#[test]
fn a_user_without_rights_needs_no_others_to_hold_an_agent() {
    let place = tempfile::tempdir().unwrap();
    let place = place.path();
    for name in ["prober.py", "prober.yaml", "probe.py"] {
        let from = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/containment")
            .join(name);
        std::fs::copy(from, place.join(name)).unwrap();
    }
    let host = host(place, "unprivileged", &place.join("prober.py"));
    let mut task = tiny_task("tiny");
    task["conversations"]["editing"] = json!([format!("Look around.\n\nprobe: {}\n", host.arguments)]);
    std::fs::write(place.join("t.jsonl"), task.to_string()).unwrap();
    let is_root = nix::unistd::geteuid().is_root();
    let program = place.join("mtsec-agents");
    let mut copy = std::process::Command::new("cp");
    // A program that is written here could not be started while another test's child holds it open.
    assert!(
        copy.arg(env!("CARGO_BIN_EXE_mtsec-agents"))
            .arg(&program)
            .status()
            .unwrap()
            .success()
    );
    let mut command = match is_root {
        false => std::process::Command::new(&program),
        true => {
            for entry in walkdir::WalkDir::new(place).into_iter().map(Result::unwrap) {
                std::os::unix::fs::lchown(entry.path(), Some(65534), Some(65534)).unwrap();
            }
            let mut command = std::process::Command::new("setpriv");
            command
                .args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
                .arg(&program);
            command
        }
    };
    let output = command
        .current_dir(place)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", place)
        .env("MTSEC_CACHE", place.join("cache"))
        .args(["run", "./prober.yaml", "-m", "nop", "--tasks", "t.jsonl"])
        .args(["--interaction", "editing", "--job-name", "probed"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    drop(host);
    check(&probed(place, "unprivileged"));
}

#[test]
fn an_agent_in_docker_reaches_no_more() {
    let Some(host) = daemon::shared_host() else { return };
    let place = tempfile::tempdir().unwrap();
    let probed = probe(place.path(), "docker", Some(&host));
    check(&probed);
    routed(&probed);
}

#[test]
fn an_agent_in_namespaces_reaches_its_workspace_and_the_gateway_and_nothing_else() {
    let place = tempfile::tempdir().unwrap();
    let probed = probe(place.path(), "namespaces", None);
    check(&probed);
    routed(&probed);
}

/// Its way to the model leads through the forwarder.
fn routed(probed: &Probed) {
    let environment = probed.found["environment"].as_object().unwrap();
    assert!(
        environment["OPENAI_API_BASE"]
            .as_str()
            .unwrap()
            .starts_with("http://127.0.0.1:4000/")
    );
}

#[test]
fn without_containment_the_report_says_so() {
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("t.jsonl"), tiny_task("tiny").to_string()).unwrap();
    let output = program()
        .current_dir(place.path())
        .args([
            "run",
            "aider",
            "-m",
            "oracle",
            "--tasks",
            "t.jsonl",
            "--interaction",
            "single",
        ])
        .args(["--job-name", "bare", "--containment", "none"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for (format, wanted) in [
        ("table", "NO CONTAINMENT"),
        ("md", "NO CONTAINMENT"),
        ("json", "\"none\""),
    ] {
        let report = program()
            .current_dir(place.path())
            .args(["report", "jobs/bare", "--format", format])
            .output()
            .unwrap();
        let said = String::from_utf8(report.stdout).unwrap();
        assert!(said.contains(wanted), "{format}: {said}");
    }
}

#[test]
fn an_agent_starts_only_when_its_trace_is_there() {
    let place = tempfile::tempdir().unwrap();
    let folder = |name: &str| {
        let path = place.path().join(name);
        std::fs::create_dir(&path).unwrap();
        path
    };
    let (workspace, home, tmp, logs) = (folder("workspace"), folder("home"), folder("tmp"), folder("logs"));
    let gateway = place.path().join("gateway");
    let _gateway = std::os::unix::net::UnixListener::bind(&gateway).unwrap();
    let room = Room {
        workspace: &workspace,
        home: &home,
        tmp: &tmp,
        logs: &logs,
        shown: &[],
        gateway: &gateway,
        private: &folder("private"),
        trial: "",
    };
    let argv = ["sh", "-c", "echo here"].map(str::to_owned);
    let wrapped = Namespaces::new(env!("CARGO_BIN_EXE_mtsec-agents").into())
        .wrap(argv.to_vec(), room)
        .unwrap();
    // The launcher cannot write its trace until somebody reads it.
    let trace = wrapped.trace.unwrap().with_extension("new");
    nix::unistd::mkfifo(&trace, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let mut launcher = std::process::Command::new(&wrapped.argv[0])
        .args(&wrapped.argv[1..])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    // The first line: the launcher keeps the stream open to the end.
    let mut output = std::io::BufReader::new(launcher.stdout.take().unwrap()).lines();
    let (heard, hears) = std::sync::mpsc::channel();
    std::thread::spawn(move || heard.send(output.next()));
    // Long enough for a contained `echo`, which takes some milliseconds.
    let early = hears.recv_timeout(Duration::from_secs(1));
    assert!(early.is_err(), "{early:?}");
    let written = std::fs::read_to_string(&trace).unwrap();
    assert!(written.contains("root"), "{written}");
    assert_eq!(hears.recv().unwrap().unwrap().unwrap(), "here");
    assert!(launcher.wait().unwrap().success());
}
