//! The folder of all that lives only while a run does: workspaces, private homes, temporary folders.
//!
//! It lies outside the run folder, so that no agent finds the run's tests beside its workspace.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock, statvfs};
use serde::{Deserialize, Serialize};

use super::disk::held;
use super::removal::remove_all;
use crate::plan::TrialKey;

/// Names start with this, so that a leftover is known for what it is.
pub(super) const PREFIX: &str = "mtsec-agents-";
/// How often a folder may be taken from us before it can be locked.
const TRIES: u32 = 20;
/// The gateway's socket in a scratch folder.
pub(super) const SOCKET: &str = "gateway.sock";
/// The file in a scratch folder that tells whose it is, and that it is one.
pub(super) const OWNER: &str = ".owner";
/// The folder of a trial's places that is ours: no agent sees it as a whole.
pub(super) const LOGS: &str = "logs";
/// A regular expression of the folder of one trial's places, as an agent may tell it to its model.
pub const PLACES: &str = r"(?:/[^\s/`'\x22:;,()<>|=]+)*/mtsec-agents-[A-Za-z0-9]{6}/[0-9a-f]{8}-[A-Za-z0-9]{6}";
/// A file system with less room than this, in bytes, is full: no agent works in it.
const FULL: u64 = 1 << 20;
/// A trial whose own files take less than this, in bytes, has not filled it.
const SMALL: u64 = 64 << 20;

/// The scratch folder of this process; removed when dropped.
#[derive(Debug)]
pub struct Scratch {
    folder: PathBuf,
    /// Locked as long as this process lives, however it ends.
    _lock: File,
}

/// Whose a scratch folder is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    pub run: PathBuf,
    pub pid: u32,
}

/// The places of one trial.
#[derive(Debug, Clone)]
pub struct Places {
    root: PathBuf,
    pub workspace: PathBuf,
    pub home: PathBuf,
    pub tmp: PathBuf,
    pub logs: PathBuf,
}

impl Scratch {
    /// A fresh folder below the system's temporary folder for a process that works on `run`, readable by this user only.
    ///
    /// # Errors
    /// The temporary folder cannot be written.
    pub fn new(run: &Path) -> io::Result<Self> {
        let owner = Owner {
            run: std::path::absolute(run)?,
            pid: std::process::id(),
        };
        let scratch = Self::unmarked()?;
        std::fs::write(scratch.folder.join(OWNER), serde_json::to_vec(&owner)?)?;
        Ok(scratch)
    }

    /// A scratch folder of no run, for what is tried before one begins. What is left of it when this process is killed is found
    /// like that of a run.
    ///
    /// # Errors
    /// As [`Scratch::new`].
    pub fn passing() -> io::Result<Self> {
        Self::new(&std::env::temp_dir())
    }

    /// Locked, and without a word of whose it is.
    fn unmarked() -> io::Result<Self> {
        for _ in 0..TRIES {
            let folder = tempfile::Builder::new().prefix(PREFIX).tempdir()?;
            // Between its making and its locking another process may have taken it for a leftover.
            if let Some(lock) = claim(folder.path()) {
                return Ok(Self {
                    folder: folder.keep(),
                    _lock: lock,
                });
            }
        }
        Err(io::Error::other("its file system does not lock folders"))
    }

    /// Whether there can be a scratch folder with the gateway's socket in it, so that this is known before a run begins.
    ///
    /// # Errors
    /// What is wrong with the temporary folder.
    pub fn try_out() -> io::Result<()> {
        let scratch = Self::unmarked()?;
        UnixListener::bind(scratch.socket()).map_err(|error| {
            let message = format!("it cannot hold a socket, whose path has at most 107 bytes ({error})");
            io::Error::new(error.kind(), message)
        })?;
        Ok(())
    }

    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// The gateway's socket for agents without a network.
    pub fn socket(&self) -> PathBuf {
        self.folder.join(SOCKET)
    }

    /// Fresh, empty places for one try of a trial.
    ///
    /// # Errors
    /// They cannot be made.
    pub fn places(&self, key: &TrialKey) -> io::Result<Places> {
        // Short and without the task's name: an agent sees the path of its workspace.
        let name = tempfile::Builder::new()
            .prefix(&format!("{}-", key.cell))
            .tempdir_in(&self.folder)?;
        let root = name.keep();
        let place = |name: &str| -> io::Result<PathBuf> {
            let path = root.join(name);
            std::fs::create_dir(&path)?;
            path.canonicalize()
        };
        Ok(Places {
            workspace: place("workspace")?,
            home: place("home")?,
            tmp: place("tmp")?,
            logs: place(LOGS)?,
            root,
        })
    }
}

impl Drop for Scratch {
    /// What cannot be removed is found by `gc`.
    fn drop(&mut self) {
        if let Err(error) = remove_scratch(&self.folder) {
            tracing::warn!("{} cannot be removed: {error}", self.folder.display());
        }
    }
}

impl Places {
    /// Removes everything of the trial; what an agent made unremovable is reported.
    ///
    /// # Errors
    /// Something is left.
    pub fn remove(&self) -> io::Result<()> {
        remove_all(&self.root)
    }
}

impl Places {
    /// The folder of all of them.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Whether there is no room left on the file system, and not because of this trial's own files: the agent could not
    /// work, and what it left says nothing about it. The text says where.
    pub fn full_by_others(&self) -> Option<String> {
        let system = statvfs(&self.root).ok()?;
        if system.f_bavail.saturating_mul(system.f_frsize) >= FULL {
            return None;
        }
        // Whoever hides files from us may well have filled it.
        let own = held(&self.root)?;
        let folder = self.root.parent().unwrap_or(&self.root).display();
        // A small disk may be full of one trial's files.
        let used = system
            .f_blocks
            .saturating_sub(system.f_bfree)
            .saturating_mul(system.f_frsize);
        (own < SMALL && own < used / 2)
            .then(|| format!("the file system of {folder} is full: free some space, or set TMPDIR"))
    }
}

/// Removes a scratch folder, and what tells whose it is last of all: where this process is killed meanwhile, the next one still
/// knows the rest for a leftover.
///
/// # Errors
/// Something is left.
pub(super) fn remove_scratch(scratch: &Path) -> io::Result<()> {
    let entries = match std::fs::read_dir(scratch) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?.collect::<io::Result<Vec<_>>>()?,
    };
    let rest = entries.into_iter().filter(|entry| entry.file_name() != OWNER);
    // What can be removed goes, whatever stays.
    let removed: Vec<io::Result<()>> = rest.map(|entry| remove_all(&entry.path())).collect();
    removed.into_iter().collect::<io::Result<()>>()?;
    remove_all(scratch)
}

/// Locks a scratch folder; `None` when a living process works in it, or it is not there any more.
pub(super) fn claim(scratch: &Path) -> Option<File> {
    let folder = File::open(scratch).ok()?;
    flock(&folder, FlockOperation::NonBlockingLockExclusive).ok()?;
    let (opened, named) = (folder.metadata().ok()?, std::fs::symlink_metadata(scratch).ok()?);
    (named.is_dir() && (opened.dev(), opened.ino()) == (named.dev(), named.ino())).then_some(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_places_of_a_trial_are_found_in_a_text() {
        let scratch = Scratch::new(Path::new("/run")).unwrap();
        let key = TrialKey {
            task: "t".into(),
            interaction: crate::conversation::Interaction::Single,
            cell: "0123abcd".into(),
            attempt: 1,
        };
        let places = scratch.places(&key).unwrap();
        let text = format!("File \"{}/app.py\", line 1", places.workspace.display());
        let pattern = regex::Regex::new(PLACES).unwrap();
        assert_eq!(
            pattern.replace(&text, "<place>"),
            "File \"<place>/workspace/app.py\", line 1"
        );
    }
}
