//! Whose a container is: what its labels say, and whether the owner lives.

use std::collections::HashMap;
use std::fs::Permissions;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use tempfile::TempDir;

use crate::process::tree::Process;

/// Every container of ours has this label with the value `1`.
pub(super) const OURS: &str = "mtsec-agents";
const RUN: &str = "mtsec-agents.run";
const TRIAL: &str = "mtsec-agents.trial";
const PURPOSE: &str = "mtsec-agents.purpose";
const BOOT: &str = "mtsec-agents.boot";
const NAMESPACE: &str = "mtsec-agents.pid-namespace";
const PID: &str = "mtsec-agents.pid";
const STARTED: &str = "mtsec-agents.started";

/// Folders that a container and we share while it starts are named after this and their owner.
pub(super) const FOLDER: &str = "mtsec-docker-";

/// This process as the owner of containers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    boot: String,
    /// The inode of the namespace in which the process id means something.
    namespace: u64,
    process: Process,
}

impl Owner {
    /// Us.
    ///
    /// # Errors
    /// `/proc` cannot be read.
    pub fn this_process() -> io::Result<Self> {
        let pid = i32::try_from(std::process::id()).map_err(io::Error::other)?;
        Ok(Self {
            boot: boot()?,
            namespace: namespace()?,
            process: Process::of(pid).ok_or_else(|| io::Error::other("/proc does not show this process"))?,
        })
    }

    /// The labels of a container of this owner; `run` and `trial` may be empty.
    pub(super) fn labels(&self, purpose: &str, run: &str, trial: &str) -> HashMap<String, String> {
        let mut labels = HashMap::from([
            (OURS.to_owned(), "1".to_owned()),
            (PURPOSE.to_owned(), purpose.to_owned()),
            (BOOT.to_owned(), self.boot.clone()),
            (NAMESPACE.to_owned(), self.namespace.to_string()),
            (PID.to_owned(), self.process.pid.to_string()),
            (STARTED.to_owned(), self.process.started.to_string()),
        ]);
        for (label, value) in [(RUN, run), (TRIAL, trial)] {
            if !value.is_empty() {
                labels.insert(label.to_owned(), value.to_owned());
            }
        }
        labels
    }

    /// The owner that labels name; `None` where they do not name one as we write it.
    pub(super) fn of(labels: &HashMap<String, String>) -> Option<Self> {
        let number = |label: &str| labels.get(label)?.parse::<u64>().ok();
        Some(Self {
            boot: labels.get(BOOT)?.clone(),
            namespace: number(NAMESPACE)?,
            process: Process {
                pid: i32::try_from(number(PID)?).ok()?,
                started: number(STARTED)?,
            },
        })
    }

    /// Whether the owner is certainly dead: it belongs to an earlier boot, or its process is gone. A process of another
    /// namespace cannot be looked up, and passes for living.
    pub(super) fn is_dead(&self) -> io::Result<bool> {
        Ok(self.boot != boot()? || (self.namespace == namespace()? && !self.process.runs()))
    }

    /// The part of a private folder's name that names its owner.
    fn in_name(&self) -> String {
        let Process { pid, started } = self.process;
        format!("{}-{pid}-{started}-", self.namespace)
    }

    /// The owner of a private folder of this boot.
    pub(super) fn of_folder(name: &str) -> Option<Self> {
        let mut parts = name.strip_prefix(FOLDER)?.split('-');
        let (namespace, pid, started) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Self {
            boot: boot().ok()?,
            namespace: namespace.parse().ok()?,
            process: Process {
                pid: pid.parse().ok()?,
                started: started.parse().ok()?,
            },
        })
    }
}

/// A folder in which a container can meet us, closed to everyone else: what lies in its `shared` is for the container.
/// It is named after us, so that [`super::leftover_folders`] finds it when we die.
///
/// # Errors
/// It cannot be made.
pub fn private_folder() -> io::Result<TempDir> {
    let owner = Owner::this_process()?;
    let folder = tempfile::Builder::new()
        .prefix(&format!("{FOLDER}{}", owner.in_name()))
        .permissions(Permissions::from_mode(0o700))
        .tempdir()?;
    let shared = folder.path().join("shared");
    std::fs::create_dir(&shared)?;
    std::fs::set_permissions(&shared, Permissions::from_mode(0o755))?;
    Ok(folder)
}

fn boot() -> io::Result<String> {
    Ok(std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?
        .trim()
        .to_owned())
}

fn namespace() -> io::Result<u64> {
    Ok(std::fs::metadata("/proc/self/ns/pid")?.ino())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_read_back_and_known_to_live_or_to_be_dead() {
        let us = Owner::this_process().unwrap();
        let read = Owner::of(&us.labels("tester", "run", "")).unwrap();
        assert_eq!(read, us);
        assert!(!read.is_dead().unwrap());
        let (mut later, mut earlier, mut elsewhere) = (us.clone(), us.clone(), us.clone());
        later.process.started += 1;
        earlier.boot = "another".to_owned();
        elsewhere.process.started += 1;
        elsewhere.namespace += 1;
        let dead = [later, earlier, elsewhere].map(|owner| owner.is_dead().unwrap());
        assert_eq!(dead, [true, true, false]);
        assert_eq!(Owner::of(&HashMap::from([(OURS.to_owned(), "1".to_owned())])), None);
    }

    #[test]
    fn a_private_folder_is_ours_alone_and_names_us() {
        let folder = private_folder().unwrap();
        let mode = std::fs::metadata(folder.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        let name = folder.path().file_name().unwrap().to_str().unwrap();
        assert_eq!(Owner::of_folder(name), Some(Owner::this_process().unwrap()));
    }
}
