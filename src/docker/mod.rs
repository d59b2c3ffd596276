//! Docker: a small client of its Engine API, for sandboxes and for the containment of agents.
//!
//! Nothing is ever pulled: the one image ([`base`]) is made from what this machine has, and everything else comes into a
//! container by read-only bind mounts. Every container carries labels that say whose it is ([`owner`]), from the moment
//! that it exists, so that [`Engine::reap`] finds what a dead process left.

mod base;
mod container;
mod error;
mod owner;
mod reap;
mod rendezvous;
mod summon;

use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use bollard::API_DEFAULT_VERSION;

pub use base::system_mounts;
pub use container::{Container, ContainerSpec, End, Mount, user};
pub use error::DockerError;
pub use owner::{Owner, private_folder};
pub use reap::{Leftover, leftover_folders};
pub use rendezvous::{Rendezvous, meet};

/// Where the daemon listens unless `DOCKER_HOST` says otherwise.
const DEFAULT_HOST: &str = "unix:///var/run/docker.sock";
/// How long a request may take, in seconds: a daemon under load is slow to start containers.
const PATIENCE: u64 = 120;
/// The oldest API that has what we ask for (Docker 19.03).
const OLDEST: (usize, usize) = (1, 40);
/// How often a daemon that is away is looked for.
const LOOK: Duration = Duration::from_millis(200);

/// A Docker daemon that answers. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Engine {
    client: bollard::Docker,
    host: String,
    engine: String,
    api: String,
}

impl Engine {
    /// The daemon that `DOCKER_HOST` names, or the system's.
    ///
    /// # Errors
    /// What keeps us from it, with the remedy.
    pub async fn connect() -> Result<Self, DockerError> {
        let chosen = std::env::var("DOCKER_HOST").ok().filter(|host| !host.is_empty());
        Self::connect_to(chosen.as_deref().unwrap_or(DEFAULT_HOST)).await
    }

    /// The daemon at `unix:///…` or `tcp://…`.
    ///
    /// # Errors
    /// As [`Engine::connect`].
    pub async fn connect_to(host: &str) -> Result<Self, DockerError> {
        let no_daemon = |why: String| DockerError::NoDaemon {
            host: host.to_owned(),
            why,
        };
        let client = if let Some(path) = host.strip_prefix("unix://") {
            // Asked first: the client does not tell these apart.
            UnixStream::connect(path).map_err(|error| match error.kind() {
                std::io::ErrorKind::PermissionDenied => DockerError::Denied { host: host.to_owned() },
                _ => no_daemon(error.to_string()),
            })?;
            bollard::Docker::connect_with_unix(host, PATIENCE, API_DEFAULT_VERSION)
        } else if host.starts_with("tcp://") {
            bollard::Docker::connect_with_http(host, PATIENCE, API_DEFAULT_VERSION)
        } else {
            return Err(DockerError::Host(host.to_owned()));
        };
        let client = client.map_err(|error| no_daemon(error.to_string()))?;
        let client = client
            .negotiate_version()
            .await
            .map_err(|error| no_daemon(error.to_string()))?;
        let version = client.version().await.map_err(|error| no_daemon(error.to_string()))?;
        let spoken = client.client_version();
        let api = format!("{}.{}", spoken.major_version, spoken.minor_version);
        let engine = version.version.unwrap_or_else(|| "of unknown version".to_owned());
        if (spoken.major_version, spoken.minor_version) < OLDEST {
            return Err(DockerError::TooOld { engine, api });
        }
        Ok(Self {
            client,
            host: host.to_owned(),
            engine,
            api,
        })
    }

    /// What answers, such as `Docker Engine 20.10.24 (API 1.41)`.
    pub fn describe(&self) -> String {
        format!("Docker Engine {} (API {})", self.engine, self.api)
    }

    /// Where it listens, in the form of `DOCKER_HOST`.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The daemon at `host`, which may be on its way up.
    ///
    /// # Errors
    /// It does not answer within the time, or something other than time is needed.
    pub async fn wait_for(host: &str, within: Duration) -> Result<Self, DockerError> {
        let end = Instant::now() + within;
        loop {
            match Self::connect_to(host).await {
                Err(error) if error.is_away() && Instant::now() < end => tokio::time::sleep(LOOK).await,
                other => return other,
            }
        }
    }
}
