//! Where untrusted code runs.
//!
//! [`Sandbox`] is the seam: a place that starts contained processes which speak over a byte stream. The [`ForkServer`]
//! is: Linux namespaces built by a hidden re-execution of our own program ([`init_main`]), and inside them a warm
//! interpreter that forks one contained child per job. The [`Launcher`] decides what is around: nothing but the host, or
//! a Docker container. Whatever is missing on a host is an error that says what to do about it; nothing ever falls back
//! to the bare host.

mod error;
mod fork_server;
pub(crate) mod init;
mod launcher;
mod outer;
pub(crate) mod probe;
pub(crate) mod root;
pub mod seccomp;
mod spec;

use async_trait::async_trait;
use tokio::net::UnixStream;

pub use error::SandboxError;
pub use fork_server::ForkServer;
pub use init::{INIT_ARGUMENT, init_main};
pub use launcher::{InDocker, Launcher};
pub use probe::{SandboxReport, probe, probe_with};
pub use spec::{Bind, Command, File, Spec};

/// How much a job is trusted, and so how tightly it is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// Our own code and the data set's: own namespaces, but without an init of its own.
    Harness,
    /// Code under test: own init, which reports the exit status and takes every descendant with it.
    Hostile,
}

/// Starts contained processes, each isolated from the host, from the network and from each other.
#[async_trait]
pub trait Sandbox: Send + Sync {
    /// A fresh process that waits for its job on [`Contained::stream`].
    ///
    /// # Errors
    /// Infrastructure only: what the process does later is never an error.
    async fn start(&self, trust: Trust) -> Result<Box<dyn Contained>, SandboxError>;
}

/// One contained process. Dropping it kills it with all its descendants.
#[async_trait]
pub trait Contained: Send {
    /// Both directions of the process's only channel. The bytes that arrive are hostile.
    fn stream(&mut self) -> &mut UnixStream;

    /// Waits for the end of the process ([`Trust::Hostile`] only; others are seen ending by their stream's end).
    async fn exit(&mut self) -> Exit;

    /// Kills the process and all its descendants; returns at once.
    fn kill(&self);
}

/// How a contained process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Status(i32),
    Signal(i32),
    /// Killed together with everything around it: by [`Contained::kill`], or by the kernel for want of memory.
    Lost,
    /// The sandbox itself has ended.
    SandboxDied,
}

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Status(status) => write!(f, "status {status}"),
            Self::Signal(signal) => write!(f, "signal {signal}"),
            Self::Lost => f.write_str("no status (killed)"),
            Self::SandboxDied => f.write_str("its whole sandbox"),
        }
    }
}
