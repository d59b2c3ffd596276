//! Why Docker did not do what was asked, with what to do about it.

/// Always infrastructure: nothing that runs in a container makes one of these.
#[derive(Debug, thiserror::Error)]
pub enum DockerError {
    #[error(
        "no Docker daemon answers at {host} ({why})\nStart one (`sudo systemctl start docker`; on Debian and Ubuntu \
         `sudo apt-get install docker.io` installs it), or set DOCKER_HOST to where one listens."
    )]
    NoDaemon { host: String, why: String },
    #[error(
        "no permission to use the Docker daemon at {host}\nJoin its group (`sudo usermod -aG docker $USER`, then log in \
         again), or run a rootless daemon and set DOCKER_HOST to its socket."
    )]
    Denied { host: String },
    #[error(
        "DOCKER_HOST is `{0}`, which is not supported\nSet it to `unix://` and the path of a socket, or `tcp://` and an \
         address; the daemon must run on this machine, since containers get its folders."
    )]
    Host(String),
    #[error("Docker Engine {engine} (API {api}) is too old\nInstall 19.03 or later (API 1.40).")]
    TooOld { engine: String, api: String },
    /// The daemon answered, and said no.
    #[error("Docker could not {step}: {message}{}", hint(message))]
    Refused {
        step: &'static str,
        status: u16,
        message: String,
    },
    /// The daemon went away, or does not answer in time.
    #[error("the Docker daemon did not answer when asked to {step}: {why}")]
    Lost { step: &'static str, why: String },
    #[error("the container ended before its first process could come to its work")]
    Ended,
    #[error("the container did not come to its work within {0} s")]
    Silent(u64),
    #[error("cannot prepare what a container needs of this machine")]
    Local(#[from] std::io::Error),
}

impl DockerError {
    /// Whether the daemon is not there (any more): it may come back.
    pub fn is_away(&self) -> bool {
        matches!(self, Self::NoDaemon { .. } | Self::Lost { .. })
    }

    /// Whether what was asked for does not exist.
    pub(super) fn is_missing(&self) -> bool {
        matches!(self, Self::Refused { status: 404, .. })
    }

    /// The error of a step.
    pub(super) fn of(step: &'static str, error: bollard::errors::Error) -> Self {
        use bollard::errors::Error;
        match error {
            Error::DockerResponseServerError { status_code, message } => Self::Refused {
                step,
                status: status_code,
                message,
            },
            Error::DockerStreamError { error } => Self::Refused {
                step,
                status: 0,
                message: error,
            },
            other => Self::Lost {
                step,
                why: other.to_string(),
            },
        }
    }
}

/// The one refusal whose message does not tell what is wrong.
fn hint(message: &str) -> &'static str {
    if message.contains("bind source path does not exist") {
        "\nThe daemon must see the same files as this program: use one that runs on this very machine, not in another \
         container or virtual machine."
    } else {
        ""
    }
}
