//! What dead processes of ours left: containers and folders.

use std::collections::HashMap;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use bollard::query_parameters::{ListContainersOptions, RemoveContainerOptions};

use super::owner::{OURS, Owner};
use super::{DockerError, Engine};

/// A container whose owner is dead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftover {
    pub id: String,
    /// Such as `mtsec-agents-agent-0a1b2c3d4e5f`.
    pub name: String,
    pub labels: HashMap<String, String>,
}

impl Engine {
    /// Every container of ours whose owner is dead.
    ///
    /// # Errors
    /// The daemon does not list them.
    pub async fn leftovers(&self) -> Result<Vec<Leftover>, DockerError> {
        let options = ListContainersOptions {
            all: true,
            filters: Some(HashMap::from([("label".to_owned(), vec![format!("{OURS}=1")])])),
            ..ListContainersOptions::default()
        };
        let listed = self.client.list_containers(Some(options)).await;
        let mut leftovers = Vec::new();
        for container in listed.map_err(|error| DockerError::of("list containers", error))? {
            let (Some(id), Some(labels)) = (container.id, container.labels) else {
                continue;
            };
            // Without an owner that we can read it is not for us to judge.
            if Owner::of(&labels).map_or(Ok(false), |owner| owner.is_dead())? {
                let name = container.names.unwrap_or_default().concat();
                let name = name.trim_start_matches('/').to_owned();
                leftovers.push(Leftover { id, name, labels });
            }
        }
        Ok(leftovers)
    }

    /// Removes all leftovers, with everything that runs in them; returns those that were there.
    ///
    /// # Errors
    /// The daemon does not list them, or keeps one: the others are gone nevertheless.
    pub async fn reap(&self) -> Result<Vec<Leftover>, DockerError> {
        let mut reaped = Vec::new();
        let mut kept = None;
        for leftover in self.leftovers().await? {
            match self.remove(&leftover.id).await {
                Ok(true) => reaped.push(leftover),
                Ok(false) => {}
                Err(error) => kept = Some(error),
            }
        }
        kept.map_or(Ok(reaped), Err)
    }

    /// Kills and removes a container; false when it was gone.
    pub(super) async fn remove(&self, id: &str) -> Result<bool, DockerError> {
        let options = RemoveContainerOptions {
            force: true,
            v: true,
            ..RemoveContainerOptions::default()
        };
        match self.client.remove_container(id, Some(options)).await {
            Ok(()) => Ok(true),
            Err(error) => match DockerError::of("remove a container", error) {
                // It ended by itself, and the daemon is at it.
                DockerError::Refused { status: 404 | 409, .. } => Ok(false),
                error => Err(error),
            },
        }
    }
}

/// The private folders of dead processes of ours, to be removed. Needs no daemon.
///
/// # Errors
/// The folder of temporary files cannot be read.
pub fn leftover_folders() -> io::Result<Vec<PathBuf>> {
    let us = rustix::process::geteuid().as_raw();
    let mut folders = Vec::new();
    for entry in std::fs::read_dir(std::env::temp_dir())?.flatten() {
        let Some(owner) = entry.file_name().to_str().and_then(Owner::of_folder) else {
            continue;
        };
        let ours = entry
            .metadata()
            .is_ok_and(|metadata| metadata.is_dir() && metadata.uid() == us);
        if ours && owner.is_dead()? {
            folders.push(entry.path());
        }
    }
    Ok(folders)
}
