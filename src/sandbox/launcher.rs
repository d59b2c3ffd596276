//! How launchers are started: as a child of ours, or as the first process of a container.
//!
//! Either way it is the same program that builds the same sandbox around itself, and what is judged in it cannot tell:
//! a container adds walls and a limit on the memory of all together.

use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use rustix::net::{AddressFamily, SocketFlags, SocketType};

use super::error::SandboxError;
use super::init::INIT_ARGUMENT;
use super::spec::Spec;
use crate::docker::{self, ContainerSpec, Engine, Mount};
use crate::process::children;

/// Where our program lies in a container.
const PROGRAM: &str = "/mtsec-agents";

/// Starts launchers. Cheap to clone.
#[derive(Debug, Clone)]
pub enum Launcher {
    /// As a child: an executable whose `main` calls [`super::init_main`].
    Child(PathBuf),
    Container(Arc<InDocker>),
}

impl From<PathBuf> for Launcher {
    fn from(executable: PathBuf) -> Self {
        Self::Child(executable)
    }
}

impl From<&Path> for Launcher {
    fn from(executable: &Path) -> Self {
        Self::Child(executable.to_owned())
    }
}

impl std::fmt::Display for Launcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Child(_) => f.write_str("namespaces"),
            Self::Container(docker) => write!(f, "docker, {}", docker.engine.describe()),
        }
    }
}

/// A launcher that waits for its request.
pub(super) struct Started {
    pub control: OwnedFd,
    /// The other end of `stderr`, for a launcher that did not inherit it: to be sent with the request.
    pub their_stderr: Option<OwnedFd>,
    pub stderr: Option<Box<dyn Read + Send>>,
    pub child: Option<Child>,
}

impl Launcher {
    pub(super) async fn start(&self, spec: &Spec) -> Result<Started, SandboxError> {
        match self {
            Self::Child(executable) => start_child(executable),
            Self::Container(docker) => docker.start(spec).await,
        }
    }
}

fn start_child(executable: &Path) -> Result<Started, SandboxError> {
    let (ours, theirs) =
        rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
            .map_err(io::Error::from)?;
    let mut command = Command::new(executable);
    command
        .arg(INIT_ARGUMENT)
        .env_clear()
        .stdin(Stdio::from(theirs))
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let started = children::spawn(&mut command);
    // It holds the other side's end of the socket.
    drop(command);
    let mut child = started.map_err(|error| SandboxError::Launcher {
        launcher: executable.display().to_string(),
        error,
    })?;
    let stderr = child.stderr.take();
    Ok(Started {
        control: ours,
        their_stderr: None,
        stderr: stderr.map(|pipe| Box::new(pipe) as Box<dyn Read + Send>),
        child: Some(child),
    })
}

/// Starts launchers in containers of a Docker daemon.
#[derive(Debug)]
pub struct InDocker {
    engine: Engine,
    executable: PathBuf,
    /// Memory of a whole sandbox, in bytes.
    memory: u64,
    /// Processes and threads of a whole sandbox.
    processes: u32,
}

impl InDocker {
    /// Containers of `engine` with our own program `executable`, for at most `concurrent` hostile runs at once.
    ///
    /// # Errors
    /// The executable cannot be shown to others.
    pub fn new(engine: Engine, executable: &Path, concurrent: usize) -> io::Result<Self> {
        let concurrent = u32::try_from(concurrent.max(1)).unwrap_or(u32::MAX);
        Ok(Self {
            engine,
            executable: executable.canonicalize()?,
            // For the warm interpreter and the judges, and for the runs at once, of which one process may take 1 GiB.
            memory: (4 << 30) + u64::from(concurrent) * (1 << 30),
            processes: concurrent.saturating_mul(128).saturating_add(1024),
        })
    }

    /// The same with another limit on the memory of a whole sandbox.
    pub fn limited_to(self, memory: u64) -> Self {
        Self { memory, ..self }
    }

    async fn start(&self, spec: &Spec) -> Result<Started, SandboxError> {
        let (stderr, their_stderr) = io::pipe()?;
        Ok(Started {
            control: self.engine.summon(&self.container(spec)).await?,
            their_stderr: Some(their_stderr.into()),
            stderr: Some(Box::new(stderr)),
            child: None,
        })
    }

    fn container(&self, spec: &Spec) -> ContainerSpec {
        let mut mounts = docker::system_mounts();
        mounts.push(Mount::read_only(&self.executable, PROGRAM));
        for bind in &spec.binds {
            // At its own path: the launcher finds it where it is on this machine.
            mounts.push(Mount::read_only(&bind.source, &bind.source));
        }
        ContainerSpec {
            purpose: "tester".to_owned(),
            command: vec![PROGRAM.to_owned(), INIT_ARGUMENT.to_owned()],
            user: docker::user(),
            mounts,
            memory: self.memory,
            processes: self.processes,
            nests: true,
            auto_remove: true,
            ..ContainerSpec::default()
        }
    }
}
