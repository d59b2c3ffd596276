//! What the launcher is asked for: a file in the session's private folder.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::docker::ContainerSpec;
use crate::process::Wrapped;
use crate::process::containment::TRACE;
use crate::sandbox::Spec as View;

/// Where the forwarder listens inside. Each session has a loopback interface of its own, so the number is the same in all.
pub(super) const PORT: u16 = 4000;
/// Where the gateway's socket lies inside.
pub(super) const SOCKET: &str = "/run/gateway.sock";

/// What is executed inside.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Agent {
    /// The working directory.
    pub folder: PathBuf,
    pub argv: Vec<String>,
}

/// One contained agent.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Spec {
    /// What is seen of the host.
    pub view: View,
    #[serde(flatten)]
    pub agent: Agent,
    /// Where the launcher leaves its trace.
    pub trace: PathBuf,
}

/// One agent in a container.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct InContainer {
    /// The daemon, in the form of `DOCKER_HOST`: the environment here is the agent's.
    pub host: String,
    pub container: ContainerSpec,
    pub agent: Agent,
    /// Where the attendant leaves its trace.
    pub trace: PathBuf,
}

/// What the attendant tells the first process of a container; the terminal comes with it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Arrival {
    pub agent: Agent,
    /// All of the agent's environment.
    pub environment: Vec<(String, String)>,
}

/// What the init tells the launcher: one line of JSON, the last thing that it does.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Said {
    /// The agent has ended, and everything that it left.
    Ended { status: i32, strays: u32 },
    /// A step of the construction failed.
    Failed { step: String, errno: i32 },
}

/// Leaves a request for one of our roles beside the session's trace, and names the role's command line.
pub(super) fn wrapped<R: Serialize>(
    program: &Path,
    role: &str,
    private: &Path,
    request: impl FnOnce(PathBuf) -> io::Result<R>,
) -> io::Result<Wrapped> {
    let trace = private.join(TRACE);
    let path = private.join("containment.json");
    std::fs::write(&path, serde_json::to_vec(&request(trace.clone())?)?)?;
    let text = |path: &Path| path.display().to_string();
    Ok(Wrapped {
        argv: vec![text(program), role.to_owned(), text(&path)],
        trace: Some(trace),
    })
}
