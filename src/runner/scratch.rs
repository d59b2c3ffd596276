//! The folder of all that lives only while a run does: workspaces, private homes, temporary folders.
//!
//! It lies outside the run folder, so that no agent finds the run's tests beside its workspace.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock, statvfs};

use crate::event::Event;
use crate::plan::TrialKey;
use crate::store::read_journal;

/// Names start with this, so that a leftover is known for what it is.
const PREFIX: &str = "mtsec-agents-";
/// A regular expression of the folder of one trial's places, as an agent may tell it to its model.
pub const PLACES: &str = r"(?:/[^\s/`'\x22:;,()<>|=]+)*/mtsec-agents-[A-Za-z0-9]{6}/[0-9a-f]{8}-[A-Za-z0-9]{6}";
/// A file system with less room than this, in bytes, is full: no agent works in it.
const FULL: u64 = 1 << 20;
/// A trial whose own files take less than this, in bytes, has not filled it.
const SMALL: u64 = 64 << 20;

/// The scratch folder of this process; removed when dropped.
#[derive(Debug)]
pub struct Scratch {
    folder: tempfile::TempDir,
    /// Locked as long as this process lives, however it ends: a copy of the run's journal names the folder as well.
    _lock: File,
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
        let lock = File::open(folder.path())?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Self { folder, _lock: lock })
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

impl Places {
    /// Whether there is no room left on the file system, and not because of this trial's own files: the agent could not
    /// work, and what it left says nothing about it. The text says where.
    pub fn full_by_others(&self) -> Option<String> {
        let system = statvfs(&self.root).ok()?;
        if system.f_bavail.saturating_mul(system.f_frsize) >= FULL {
            return None;
        }
        let entries = walkdir::WalkDir::new(&self.root).follow_links(false).into_iter();
        let sizes = entries.filter_map(|entry| Some(entry.ok()?.metadata().ok()?.blocks() * 512));
        let own: u64 = sizes.sum();
        let folder = self.root.parent().unwrap_or(&self.root).display();
        (own < SMALL).then(|| format!("the file system of {folder} is full: free some space, or set TMPDIR"))
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
        if is_ours && scratch.is_absolute() && !is_held(&scratch) {
            let _ = remove_all(&scratch);
        }
    }
    Ok(())
}

/// Whether a living process works in the folder: the run that this one is a copy of.
fn is_held(scratch: &Path) -> bool {
    File::open(scratch).is_ok_and(|folder| flock(&folder, FlockOperation::NonBlockingLockExclusive).is_err())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Journal;

    #[test]
    fn the_places_of_a_trial_are_found_in_a_text() {
        let scratch = Scratch::new().unwrap();
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

    #[test]
    fn only_what_nobody_works_in_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        let mut journal = Journal::open(&path).unwrap();
        let live = Scratch::new().unwrap();
        let dead = tempfile::Builder::new().prefix(PREFIX).tempdir().unwrap();
        let foreign = tempfile::tempdir().unwrap();
        for scratch in [live.path(), dead.path(), foreign.path()] {
            let started = Event::RunStarted {
                trials: 1,
                done: 0,
                scratch: scratch.to_owned(),
            };
            journal.append(&started).unwrap();
        }
        remove_leftovers(&path).unwrap();
        let left = [live.path(), dead.path(), foreign.path()].map(Path::exists);
        assert_eq!(left, [true, false, true]);
    }
}
