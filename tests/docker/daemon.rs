//! A Docker daemon for tests: the machine's own, or one that is started for them.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use mtsec_agents::docker::{DockerError, Engine};

/// Tells a hang from an end.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Runs a daemon as long as its standard input is open, whatever becomes of the test: ends it by its id, and removes
/// its folder. `kill` kills it as a crash would; `start` starts it again.
const SUPERVISOR: &str = r#"
cd "$1" || exit
remove() {
    cd /
    # What a daemon that was killed had mounted.
    grep -o " $1/[^ ]*" /proc/mounts | sort -r | while read -r mount; do umount -l "$mount"; done
    rm -rf "$1"
    exit
}
while :; do
    dockerd --data-root "$1/data" --exec-root "$1/exec" --pidfile "$1/pid" -H "unix://$1/socket" \
        --iptables=false --ip6tables=false --bridge=none >>"$1/log" 2>&1 </dev/null &
    daemon=$!
    read -r order || { kill $daemon; wait $daemon; remove "$1"; }
    # Its containerd goes with it, and what is left of that must not pass for a living one.
    containerd=$(cat "$1/exec/containerd/containerd.pid")
    kill -9 $daemon; wait $daemon; kill -9 $containerd 2>/dev/null
    rm -f "$1/pid" "$1/exec/containerd/containerd.pid"; echo killed
    read -r order || remove "$1"
done
"#;

/// A daemon of our own.
pub struct Daemon {
    folder: PathBuf,
    orders: ChildStdin,
    replies: BufReader<ChildStdout>,
    _supervisor: Child,
}

impl Daemon {
    /// Starts a daemon; `None`, said aloud, where none can be (an error with `MTSEC_TEST_DOCKER=1`).
    pub fn start() -> Option<Self> {
        let refused = match () {
            () if !nix::unistd::geteuid().is_root() => Some("only root can start a daemon".to_owned()),
            () if !on_path("dockerd") => Some("there is no dockerd".to_owned()),
            () => None,
        };
        let started = refused.map_or_else(Self::started, Err);
        started.map_err(|why| skipped(&why)).ok()
    }

    fn started() -> Result<Self, String> {
        // Short: the sockets in it have short paths only.
        let folder = tempfile::Builder::new()
            .prefix("mtsec-dockerd-")
            .tempdir()
            .unwrap()
            .keep();
        let mut supervisor = Command::new("sh")
            .args(["-c", SUPERVISOR, "sh"])
            .arg(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let daemon = Self {
            folder,
            orders: supervisor.stdin.take().unwrap(),
            replies: BufReader::new(supervisor.stdout.take().unwrap()),
            _supervisor: supervisor,
        };
        match daemon.wait_for() {
            Ok(()) => Ok(daemon),
            Err(error) => {
                let log = std::fs::read_to_string(daemon.folder.join("log")).unwrap_or_default();
                let lines: Vec<&str> = log.lines().rev().take(5).collect();
                Err(format!("dockerd does not start: {error}\n{}", lines.join("\n")))
            }
        }
    }

    /// In the form of `DOCKER_HOST`.
    pub fn host(&self) -> String {
        format!("unix://{}/socket", self.folder.display())
    }

    /// Kills it as a crash would: what runs in containers goes on.
    pub fn kill(&mut self) {
        writeln!(self.orders, "kill").unwrap();
        let mut reply = String::new();
        self.replies.read_line(&mut reply).unwrap();
        assert_eq!(reply, "killed\n");
    }

    /// Starts it again, and waits until it answers.
    pub fn start_again(&mut self) {
        writeln!(self.orders, "start").unwrap();
        self.wait_for().unwrap();
    }

    fn wait_for(&self) -> Result<(), DockerError> {
        let host = self.host();
        apart(async move { answering(&host).await })
    }
}

/// Waits for a future on a thread and a runtime of its own: a test's own runtime may be around.
fn apart<T: Send>(work: impl Future<Output = T> + Send) -> T {
    let run = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.unwrap().block_on(work)
    };
    std::thread::scope(|scope| scope.spawn(run).join().unwrap())
}

async fn answering(host: &str) -> Result<(), DockerError> {
    let end = Instant::now() + PATIENCE;
    loop {
        match Engine::connect_to(host).await {
            Err(_) if Instant::now() < end => tokio::time::sleep(Duration::from_millis(50)).await,
            other => return other.map(drop),
        }
    }
}

/// The host of a daemon that tests share: the machine's, or one of our own, which ends with the tests.
pub fn shared_host() -> Option<String> {
    static OWN: OnceLock<Option<Daemon>> = OnceLock::new();
    static MACHINES: OnceLock<Option<String>> = OnceLock::new();
    let machines = MACHINES.get_or_init(|| {
        let engine = apart(Engine::connect());
        engine.ok().map(|engine| engine.host().to_owned())
    });
    machines
        .clone()
        .or_else(|| OWN.get_or_init(Daemon::start).as_ref().map(Daemon::host))
}

/// The daemon that tests share, for this test's runtime.
pub async fn shared_engine() -> Option<Engine> {
    let host = shared_host()?;
    Some(Engine::connect_to(&host).await.unwrap())
}

fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| Path::new(&folder).join(program).exists())
}

fn skipped(why: &str) {
    assert!(
        std::env::var_os("MTSEC_TEST_DOCKER").is_none_or(|value| value != "1"),
        "MTSEC_TEST_DOCKER=1 and no Docker daemon: {why}"
    );
    eprintln!("SKIPPED: no Docker daemon answers, and {why}");
}
