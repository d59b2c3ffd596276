//! Why no contained process could be started, with what to do about it.

use std::io;

use crate::docker::DockerError;

/// The sandbox cannot be used. Always infrastructure, never the fault of the code under test.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The kernel, or what guards it, refuses a namespace or a mount.
    #[error("the sandbox cannot be built: {step} failed ({error})\n{remedy}")]
    Refused {
        step: String,
        #[source]
        error: io::Error,
        /// What to enable or to use instead.
        remedy: String,
    },
    /// The launcher could not be started at all.
    #[error("cannot start the sandbox launcher `{launcher}`")]
    Launcher {
        launcher: String,
        #[source]
        error: io::Error,
    },
    /// The sandbox ended by itself.
    #[error("the sandbox died{}", said(detail))]
    Died {
        /// The end of what it wrote to standard error.
        detail: String,
    },
    /// A contained process could not be set up.
    #[error("the sandbox could not start a process: {0}")]
    Spawn(String),
    /// The sandbox did not answer in time.
    #[error("the sandbox did not answer within {0} s")]
    Silent(u64),
    #[error(transparent)]
    Docker(#[from] DockerError),
    #[error("the sandbox's control socket failed")]
    Control(#[from] io::Error),
}

fn said(detail: &str) -> String {
    match detail.trim() {
        "" => String::new(),
        detail => format!("; it said: {detail}"),
    }
}
