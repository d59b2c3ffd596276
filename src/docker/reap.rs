//! What dead processes of ours left: containers and folders.

use std::collections::HashMap;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use bollard::query_parameters::{ListContainersOptions, RemoveContainerOptions};

use super::owner::{OURS, Owner};
use super::{DockerError, Engine};

/// A container that was removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reaped {
    pub id: String,
    pub labels: HashMap<String, String>,
}

impl Engine {
    /// Removes every container of ours whose owner is dead, with all that runs in it.
    ///
    /// # Errors
    /// The daemon does not list or does not remove them.
    pub async fn reap(&self) -> Result<Vec<Reaped>, DockerError> {
        let step = "list containers";
        let options = ListContainersOptions {
            all: true,
            filters: Some(HashMap::from([("label".to_owned(), vec![format!("{OURS}=1")])])),
            ..ListContainersOptions::default()
        };
        let listed = self.client.list_containers(Some(options)).await;
        let mut reaped = Vec::new();
        for container in listed.map_err(|error| DockerError::of(step, error))? {
            let (Some(id), Some(labels)) = (container.id, container.labels) else {
                continue;
            };
            // Without an owner that we can read it is not for us to judge.
            if !Owner::of(&labels).map_or(Ok(false), |owner| owner.is_dead())? {
                continue;
            }
            if self.remove(&id).await? {
                reaped.push(Reaped { id, labels });
            }
        }
        Ok(reaped)
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

/// Removes the private folders of dead processes of ours; returns what it removed. Needs no daemon.
///
/// # Errors
/// The folder of temporary files cannot be read.
pub fn remove_folders() -> io::Result<Vec<PathBuf>> {
    let us = rustix::process::geteuid().as_raw();
    let mut removed = Vec::new();
    for entry in std::fs::read_dir(std::env::temp_dir())?.flatten() {
        let Some(owner) = entry.file_name().to_str().and_then(Owner::of_folder) else {
            continue;
        };
        let ours = entry
            .metadata()
            .is_ok_and(|metadata| metadata.is_dir() && metadata.uid() == us);
        if ours && owner.is_dead()? && std::fs::remove_dir_all(entry.path()).is_ok() {
            removed.push(entry.path());
        }
    }
    Ok(removed)
}
