//! What a sandbox's outer shell is asked to build: sent to the launcher as its first packet.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// One sandbox.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Spec {
    /// Host folders to show read-only, besides the system's own (`/usr` and its aliases).
    pub binds: Vec<Bind>,
    /// Host folders to show writable.
    #[serde(default)]
    pub writable: Vec<Bind>,
    /// Files to create in the sandbox.
    pub files: Vec<File>,
    /// Terminals, and writable `/tmp` and `/dev/shm`: for programs that work inside as a user does.
    #[serde(default)]
    pub interactive: bool,
    /// What to execute inside; `None`: only try whether everything is allowed, then leave.
    pub command: Option<Command>,
}

/// A view of a host folder or file. Both paths are absolute; the source has no symbolic links left.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Bind {
    pub source: PathBuf,
    pub target: PathBuf,
}

/// A read-only file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct File {
    /// Absolute path inside.
    pub path: PathBuf,
    /// Hex digits.
    pub content: String,
}

impl File {
    /// A file of the given bytes.
    pub fn new(path: impl Into<PathBuf>, content: impl AsRef<[u8]>) -> Self {
        Self {
            path: path.into(),
            content: hex::encode(content),
        }
    }
}

/// A program inside: found by its absolute path, with exactly this environment, its control socket at descriptor 3.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Command {
    pub program: PathBuf,
    /// Without the program's own name.
    pub arguments: Vec<String>,
    pub environment: Vec<(String, String)>,
}

/// What the launcher says about its own failure.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct LaunchFailure {
    /// The step that failed.
    pub step: String,
    pub errno: i32,
}

/// What comes back on the control socket, from the launcher and from the fork server.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default)]
pub(super) struct Message {
    /// The command runs, or the probe has passed.
    pub ready: bool,
    pub launch_failure: Option<LaunchFailure>,
    /// The number of a child that could not be started.
    pub failed: Option<u64>,
    pub error: Option<String>,
    /// The number of a child that has ended.
    pub gone: Option<u64>,
}
