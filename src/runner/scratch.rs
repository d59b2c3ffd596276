//! The folder of all that lives only while a run does: workspaces, private homes, temporary folders.
//!
//! It lies outside the run folder, so that no agent finds the run's tests beside its workspace.

use std::io;
use std::path::{Path, PathBuf};

use crate::event::Event;
use crate::plan::TrialKey;
use crate::store::read_journal;

/// Names start with this, so that a leftover is known for what it is.
const PREFIX: &str = "mtsec-agents-";

/// The scratch folder of this process; removed when dropped.
#[derive(Debug)]
pub struct Scratch {
    folder: tempfile::TempDir,
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
    /// A fresh folder below the system's temporary folder, readable by this user only.
    ///
    /// # Errors
    /// The temporary folder cannot be written.
    pub fn new() -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix(PREFIX).tempdir()?;
        Ok(Self { folder })
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Fresh, empty places for one try of a trial.
    ///
    /// # Errors
    /// They cannot be made.
    pub fn places(&self, key: &TrialKey) -> io::Result<Places> {
        // Short and without the task's name: an agent sees the path of its workspace.
        let name = tempfile::Builder::new()
            .prefix(&format!("{}-", key.cell))
            .tempdir_in(self.folder.path())?;
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
            logs: place("logs")?,
            root,
        })
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

/// Removes a tree even where its owner took the right to write in folders away. Links are removed, never followed.
fn remove_all(root: &Path) -> io::Result<()> {
    if std::fs::remove_dir_all(root).is_ok() {
        return Ok(());
    }
    for entry in walkdir::WalkDir::new(root).follow_links(false).into_iter().flatten() {
        if entry.file_type().is_dir() {
            use std::os::unix::fs::PermissionsExt;
            let _ = std::fs::set_permissions(entry.path(), std::fs::Permissions::from_mode(0o700));
        }
    }
    match std::fs::remove_dir_all(root) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Removes the scratch folders that dead processes of this run left, as its journal names them.
///
/// The caller holds the run's lock, so none of them is in use.
///
/// # Errors
/// The journal cannot be read.
pub fn remove_leftovers(journal: &Path) -> io::Result<()> {
    for line in read_journal(journal)? {
        let Event::RunStarted { scratch, .. } = line.event else {
            continue;
        };
        let is_ours = scratch
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with(PREFIX));
        if is_ours && scratch.is_absolute() {
            let _ = remove_all(&scratch);
        }
    }
    Ok(())
}
