//! One agent's process, below its shepherd and in its containment: found, ended, buried, and what it left behind counted.

use std::path::PathBuf;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open};
use tokio::io::unix::AsyncFd;

use super::{Exit, Killed};
use crate::process::shepherd::Report;
use crate::process::tree::{self, Process};
use crate::process::{Trace, children};
use crate::trial::{Ending, Failure};

/// How long what is to end is waited for.
const PATIENCE: Duration = Duration::from_secs(12);

/// How long what is stopped may go on.
const STOPPED: Duration = Duration::from_secs(10);

/// Where an agent's processes are to be found.
#[derive(Debug)]
pub(super) struct Lineage {
    shepherd: i32,
    /// Where a containment tells which process the agent is the first child of; `None`: of the shepherd.
    trace: Option<PathBuf>,
    root: Option<Process>,
    agent: Option<Process>,
}

impl Lineage {
    pub fn new(shepherd: i32, trace: Option<PathBuf>) -> Self {
        Self {
            shepherd,
            trace,
            root: None,
            agent: None,
        }
    }

    /// Whether nobody watches the agent any more.
    pub fn is_lost(&self) -> bool {
        Process::of(self.shepherd).is_none()
    }

    /// The process that the agent and all that it starts descend from; `None` as long as there is none.
    pub fn root(&mut self) -> Option<Process> {
        if self.root.is_none() {
            self.root = match &self.trace {
                None => Process::of(self.shepherd),
                Some(trace) => Trace::read(trace).map(|trace| trace.root),
            };
        }
        self.root
    }

    /// The agent's process. What it orphans has the same parent, but came later.
    pub fn agent(&mut self) -> Option<Process> {
        if self.agent.is_none()
            && let Some(root) = self.root()
        {
            self.agent = tree::children_of(root.pid)
                .into_iter()
                .min_by_key(|process| (process.started, process.pid));
        }
        self.agent
    }
}

/// One agent's process tree, from its start until nothing of it runs.
pub(super) struct Ward {
    child: Option<Box<dyn portable_pty::Child + Send + Sync>>,
    shepherd: i32,
    /// When the shepherd was started, in clock ticks: what it may leave to us is younger.
    since: u64,
    report: PathBuf,
    /// What a containment leaves.
    trace: Option<PathBuf>,
    /// How everything ended, once nothing runs any more.
    over: Option<Exit>,
    /// Whether it was the containment that ended, and not the agent.
    lost: bool,
    /// What was killed, or could not be, and was not yet told of.
    killed: Killed,
}

impl Ward {
    /// `child` is the shepherd, `report` the file in which it tells how its agent ended.
    pub fn new(
        child: Box<dyn portable_pty::Child + Send + Sync>,
        shepherd: i32,
        report: PathBuf,
        trace: Option<PathBuf>,
    ) -> Self {
        Self {
            child: Some(child),
            shepherd,
            since: Process::existing(shepherd).map_or(u64::MAX, |shepherd| shepherd.started),
            report,
            trace,
            over: None,
            lost: false,
            killed: Killed::default(),
        }
    }

    /// How everything ended, once nothing runs any more.
    pub fn over(&self) -> Option<Exit> {
        self.over
    }

    /// What had to be told to leave was killed, whatever status it left with.
    pub fn had_to_be_killed(&mut self) -> Exit {
        self.over = Some(Exit::Killed);
        Exit::Killed
    }

    /// The ending of a session whose containment was killed, when it was.
    pub fn lost(&self) -> Option<Ending> {
        self.lost.then(|| Ending::Failed {
            failure: Failure::ContainmentLost,
            detail: "what held the agent was killed, and the agent with it".to_owned(),
        })
    }

    /// Whether nobody watches the agent any more: it cannot go on.
    pub fn is_unwatched(&self) -> bool {
        Process::of(self.shepherd).is_none()
    }

    /// Waits for the shepherd, which kills what is left; makes it when it does not. `ended`: the agent has left already.
    pub async fn bury(&mut self, ended: bool) -> Exit {
        if let Some(exit) = self.over {
            return exit;
        }
        if let Some(shepherd) = Process::of(self.shepherd) {
            if !ended {
                shepherd.signal(Signal::TERM);
            }
            if !gone(self.shepherd, PATIENCE).await {
                let root = self.shepherd;
                let _ = tokio::task::spawn_blocking(move || tree::kill_descendants(root, &[], PATIENCE)).await;
                shepherd.signal(Signal::KILL);
                gone(self.shepherd, PATIENCE).await;
            }
        }
        if let Some(mut child) = self.child.take() {
            // It has ended, so this does not wait.
            let status = child.try_wait();
            // What was left by a shepherd that was killed came to us, and nothing else can end it. One that left by
            // itself left nothing: what came to us meanwhile is another session's to end and to count.
            if !matches!(status, Ok(Some(status)) if status.signal().is_none()) {
                let since = self.since;
                let orphans = tokio::task::spawn_blocking(move || children::kill_adopted(since, PATIENCE)).await;
                self.account(orphans.unwrap_or_default());
            }
        }
        let report: Option<Report> = std::fs::read(&self.report)
            .ok()
            .and_then(|text| serde_json::from_slice(&text).ok());
        let report = match self.trace.as_deref().map(Trace::read) {
            None => {
                self.killed.count += report.map_or(0, |report| report.strays);
                report
            }
            // The shepherd knows of the containment only: what it ended there was no stray.
            Some(trace) => {
                let ended = trace.and_then(|trace| trace.ended);
                self.lost = trace.is_some_and(|trace| trace.lost);
                self.killed.count += ended.map_or(0, |ended| ended.strays);
                if let Some(Trace { root, .. }) = trace {
                    let outlived = move || {
                        tree::kill_all(
                            || Process::of(root.pid).filter(|now| *now == root).into_iter().collect(),
                            PATIENCE,
                        )
                    };
                    let left = tokio::task::spawn_blocking(outlived).await;
                    self.killed.left += left.unwrap_or_default().left;
                }
                ended
            }
        };
        let exit = report.map_or(Exit::Killed, |report| Exit::Code(report.status));
        self.over = Some(exit);
        exit
    }

    /// Kills everything below `root` except `keep`, and counts it.
    pub async fn kill_strays(&mut self, root: Process, keep: Vec<Process>) {
        let patience = Duration::from_secs(10);
        let kill = move || tree::kill_descendants(root.pid, &keep, patience);
        let killed = tokio::task::spawn_blocking(kill).await;
        self.account(killed.unwrap_or_default());
    }

    /// Stops `waiting`, kills everything else below `root`, and counts that. What cannot be stopped cannot be ended either.
    pub async fn freeze(&mut self, root: Process, waiting: Vec<Process>) {
        let freeze = move || {
            // First, so that they start nothing behind our back; and again, for what a stray may have continued.
            tree::stop_all(&waiting, STOPPED);
            let mut killed = tree::kill_descendants(root.pid, &waiting, Duration::from_secs(10));
            killed.left += tree::stop_all(&waiting, STOPPED);
            killed
        };
        let killed = tokio::task::spawn_blocking(freeze).await;
        self.account(killed.unwrap_or_default());
    }

    /// Adds what was killed elsewhere to the count.
    pub fn account(&mut self, killed: Killed) {
        self.killed.count += killed.count;
        self.killed.left += killed.left;
    }

    /// What was killed since it was last asked for.
    pub fn take_killed(&mut self) -> Killed {
        std::mem::take(&mut self.killed)
    }
}

impl Drop for Ward {
    /// Whoever started the agent has let go of it, and then the shepherd ends everything; only its own end is left to
    /// wait for.
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let since = self.since;
            if let Some(shepherd) = Process::of(self.shepherd) {
                shepherd.signal(Signal::TERM);
            }
            std::thread::spawn(move || {
                if !matches!(child.wait(), Ok(status) if status.signal().is_none()) {
                    children::kill_adopted(since, Duration::from_secs(10));
                }
            });
        }
    }
}

/// Waits until a child of ours has ended.
pub(super) async fn gone(pid: i32, patience: Duration) -> bool {
    let Some(fd) = Pid::from_raw(pid).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()) else {
        return true;
    };
    // SAFETY: an `OwnedFd` always gives the same, open descriptor.
    let Ok(fd) = (unsafe { AsyncFd::register_with_interest(fd, tokio::io::Interest::READABLE) }) else {
        return false;
    };
    let ended = tokio::time::timeout(patience, fd.readable()).await;
    matches!(ended, Ok(Ok(_)))
}
