//! What an agent runs in.
//!
//! The seam between those who drive an agent and those who hold it: a [`Containment`] turns the agent's command line
//! into one that the shepherd can start at the agent's terminal, and leaves a [`Trace`] by which the driver finds the
//! agent's processes, wherever they are. Terminal, prompts and signals stay the driver's, and are the same in each.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::shepherd::Report;
use super::tree::Process;

/// Something of the host that an agent must see, read-only: where it lies, and where the agent looks for it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Shown {
    /// Absolute, without symbolic links.
    pub source: PathBuf,
    pub target: PathBuf,
}

/// The places of a session.
#[derive(Debug, Clone, Copy)]
pub struct Room<'a> {
    /// The agent may write here.
    pub workspace: &'a Path,
    pub home: &'a Path,
    pub tmp: &'a Path,
    /// Its own histories, no one else's.
    pub logs: &'a Path,
    /// The agent's installation and its interpreter.
    pub shown: &'a [Shown],
    /// The gateway's Unix socket: all of the network that there is.
    pub gateway: &'a Path,
    /// A folder of the driver's that no agent sees.
    pub private: &'a Path,
    /// The trial's name, for labels.
    pub trial: &'a str,
}

/// An agent's command line, wrapped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrapped {
    /// What the shepherd starts.
    pub argv: Vec<String>,
    /// Where the [`Trace`] appears; `None`: the agent is the shepherd's own child.
    pub trace: Option<PathBuf>,
}

/// What a process must take on that enters a containment from outside, so that it has no more rights there than the agents
/// that are started within.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The system-call filter: instructions of 8 bytes each, in the byte order of the machine.
    pub filter: Vec<u8>,
    /// Most processes and threads of one session.
    pub processes: u64,
}

/// Keeps an agent in its room.
pub trait Containment: Send + Sync {
    /// Wraps an agent's command line. The wrapped command runs under the shepherd, at the agent's terminal, and has the
    /// agent's environment. When it is killed, everything inside must end with it.
    ///
    /// # Errors
    /// The room cannot be prepared.
    fn wrap(&self, argv: Vec<String>, room: Room<'_>) -> io::Result<Wrapped>;

    /// What the agent must be told as its API base when the gateway's own is `api_base`.
    fn api_base(&self, api_base: &str) -> String {
        api_base.to_owned()
    }

    /// How to enter through the namespaces of an agent that runs inside; `None`: nobody can.
    fn entry(&self) -> Option<Entry> {
        None
    }
}

/// No containment: the agent is an ordinary process of the user, with a private home and a clean environment.
#[derive(Debug, Clone, Copy, Default)]
pub struct Bare;

impl Containment for Bare {
    fn wrap(&self, argv: Vec<String>, _room: Room<'_>) -> io::Result<Wrapped> {
        Ok(Wrapped { argv, trace: None })
    }
}

/// The name of a session's [`Trace`] in the driver's own folder.
pub const TRACE: &str = "trace.json";

/// What a containment tells the driver, in a file that no agent sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trace {
    /// The process that everything inside descends from, the agent as its first child.
    pub root: Process,
    /// How the agent ended, and how many processes it left behind; written when nothing of it runs any more.
    pub ended: Option<Report>,
    /// Everything inside was killed from outside, as by a Docker daemon that was restarted: it says nothing about the
    /// agent.
    #[serde(default)]
    pub lost: bool,
}

impl Trace {
    /// What is known so far; `None` before the root runs.
    pub fn read(path: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(path).ok()?).ok()
    }

    /// Leaves the trace, whole or not at all.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn leave(&self, path: &Path) -> io::Result<()> {
        let new = path.with_extension("new");
        std::fs::write(&new, serde_json::to_vec(self)?)?;
        std::fs::rename(new, path)
    }
}
