//! Containers whose first process comes to us.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use super::{ContainerSpec, DockerError, Engine, Rendezvous};

/// How long a container may take from its start to the arrival of its first process.
const ARRIVAL: Duration = Duration::from_secs(60);
/// How long a daemon that is being restarted is waited for.
const AWAY: Duration = Duration::from_secs(60);
/// How many containers may end before their first process has come: a daemon that is restarted ends what it finds.
const LOST: u32 = 2;

impl Engine {
    /// Starts a container whose first process must connect to the socket that its last argument names; returns the
    /// connection. A daemon that goes away meanwhile is waited for.
    ///
    /// # Errors
    /// The daemon refuses, stays away, or nobody comes.
    pub async fn summon(&self, spec: &ContainerSpec) -> Result<OwnedFd, DockerError> {
        let end = Instant::now() + AWAY;
        let mut engine = self.clone();
        let mut lost = 0;
        loop {
            match engine.summon_once(spec).await {
                Err(DockerError::Ended) if lost < LOST => lost += 1,
                Err(error) if error.is_away() && Instant::now() < end => {
                    tracing::warn!(%error, "waiting for the Docker daemon");
                    engine = Self::wait_for(&self.host, end.saturating_duration_since(Instant::now())).await?;
                }
                other => return other,
            }
        }
    }

    async fn summon_once(&self, spec: &ContainerSpec) -> Result<OwnedFd, DockerError> {
        let rendezvous = Rendezvous::new()?;
        let mut spec = spec.clone();
        spec.mounts.push(rendezvous.mount()?);
        spec.command.push(Rendezvous::path_inside().display().to_string());
        let container = self.create(&spec).await?;
        let arrived = async {
            container.start().await?;
            tokio::select! {
                socket = rendezvous.accept() => Ok(socket?),
                end = container.wait() => {
                    end?;
                    Err(DockerError::Ended)
                }
                () = tokio::time::sleep(ARRIVAL) => Err(DockerError::Silent(ARRIVAL.as_secs())),
            }
        };
        match arrived.await {
            Ok(socket) => Ok(socket),
            Err(error) => {
                // What cannot be removed now is reaped later.
                let _ = container.remove().await;
                Err(error)
            }
        }
    }
}
