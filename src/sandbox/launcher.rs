//! How launchers are started: as a child of ours, or as the first process of a container.
//!
//! Either way it is the same program that builds the same sandbox around itself, and what is judged in it cannot tell:
//! a container adds walls and a limit on the memory of all together.

use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketFlags, SocketType};

use super::error::SandboxError;
use super::init::INIT_ARGUMENT;
use super::spec::Spec;
use crate::docker::{self, ContainerSpec, DockerError, Engine, Mount, Rendezvous};
use crate::process::children;

/// Where our program lies in a container.
const PROGRAM: &str = "/mtsec-agents";
/// How long a container may take from its start to its launcher's first word.
const ARRIVAL: Duration = Duration::from_secs(60);
/// How long a daemon that was there is waited for.
const AWAY: Duration = Duration::from_secs(60);

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
        let end = Instant::now() + AWAY;
        let mut engine = self.engine.clone();
        loop {
            match self.start_with(&engine, spec).await {
                // It answered once: it is being restarted, perhaps.
                Err(SandboxError::Docker(error)) if error.is_away() && Instant::now() < end => {
                    tracing::warn!(%error, "waiting for the Docker daemon");
                    engine = engine.again(end.saturating_duration_since(Instant::now())).await?;
                }
                other => return other,
            }
        }
    }

    async fn start_with(&self, engine: &Engine, spec: &Spec) -> Result<Started, SandboxError> {
        let rendezvous = Rendezvous::new()?;
        let (stderr, their_stderr) = io::pipe()?;
        let container = engine.create(&self.container(&rendezvous, spec)?).await?;
        let control = async {
            container.start().await?;
            tokio::select! {
                control = rendezvous.accept() => Ok(control?),
                end = container.wait() => Err(SandboxError::Died {
                    detail: format!("the container ended before it was ready ({:?})", end?),
                }),
                () = tokio::time::sleep(ARRIVAL) => Err(SandboxError::Silent(ARRIVAL.as_secs())),
            }
        };
        match control.await {
            Ok(control) => Ok(Started {
                control,
                their_stderr: Some(their_stderr.into()),
                stderr: Some(Box::new(stderr)),
                child: None,
            }),
            Err(error) => {
                // What cannot be removed now is reaped later.
                let _ = container.remove().await;
                Err(error)
            }
        }
    }

    fn container(&self, rendezvous: &Rendezvous, spec: &Spec) -> Result<ContainerSpec, DockerError> {
        let mut mounts = docker::system_mounts();
        mounts.push(Mount::read_only(&self.executable, PROGRAM));
        mounts.push(rendezvous.mount()?);
        for bind in &spec.binds {
            // At its own path: the launcher finds it where it is on this machine.
            mounts.push(Mount::read_only(&bind.source, &bind.source));
        }
        let command = [PROGRAM.into(), INIT_ARGUMENT.into(), Rendezvous::path_inside()];
        Ok(ContainerSpec {
            purpose: "tester".to_owned(),
            command: command
                .iter()
                .map(|part: &PathBuf| part.display().to_string())
                .collect(),
            user: docker::user(),
            mounts,
            memory: self.memory,
            processes: self.processes,
            nests: true,
            auto_remove: true,
            ..ContainerSpec::default()
        })
    }
}
