//! One run's folder, and the folders of its trials.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::atomic::write_atomic;
use super::calls;
use super::journal::Journal;
use super::lock::{lock_within, take_lock};
use super::trial_folder::{PLAYED, TrialFolder};
use crate::blob::ASIDE;
use crate::blob::BlobStore;
use crate::budget::Charge;
use crate::plan::TrialKey;

/// What can be wrong with a run folder.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("cannot write {path}: {source}")]
    Write { path: PathBuf, source: io::Error },
    #[error("cannot read {path}: {source}")]
    Read { path: PathBuf, source: io::Error },
    #[error("{path}: {message}")]
    Damaged { path: PathBuf, message: String },
    #[error(
        "{0} exists already: choose another --job-name, or, if it is not finished, go on with `mtsec-agents resume {0}`"
    )]
    Exists(PathBuf),
    #[error(
        "{0} is not a run folder: it has no lock.json (a run that was cut short before it began is started again under its name)"
    )]
    NotARun(PathBuf),
    #[error("{0} is in use by another process: wait for it, or end it first")]
    InUse(PathBuf),
}

/// A run folder; held exclusively while it is open for writing.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    /// The kernel drops the lock when the process ends, however it ends.
    _lock: Option<File>,
}

impl RunFolder {
    /// Creates `jobs/name`, locked for this process.
    ///
    /// # Errors
    /// It exists, or cannot be written.
    pub fn create(jobs: &Path, name: &str) -> Result<Self, StoreError> {
        let path = jobs.join(name);
        fs::create_dir_all(jobs).map_err(|source| StoreError::Write {
            path: jobs.into(),
            source,
        })?;
        match fs::create_dir(&path) {
            Ok(()) => {}
            // A run whose making was cut short has no lock.json yet, and nothing in it is worth keeping.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if path.join("lock.json").exists() || !is_half_made(&path) {
                    return Err(StoreError::Exists(path));
                }
            }
            Err(source) => return Err(StoreError::Write { path, source }),
        }
        let folder = Self {
            _lock: Some(take_lock(&path)?),
            path,
        };
        let trials = folder.path.join("trials");
        fs::create_dir_all(&trials).map_err(|source| StoreError::Write { path: trials, source })?;
        Ok(folder)
    }

    /// Opens an existing run to go on with it, locked for this process.
    ///
    /// # Errors
    /// It is no run folder, or another process holds it.
    pub fn open_exclusive(path: &Path) -> Result<Self, StoreError> {
        let mut folder = Self::open(path)?;
        folder._lock = Some(take_lock(path)?);
        Ok(folder)
    }

    /// Opens an existing run to read it.
    ///
    /// # Errors
    /// It is no run folder.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        if !path.join("lock.json").is_file() {
            return Err(StoreError::NotARun(path.into()));
        }
        Ok(Self {
            path: path.into(),
            _lock: None,
        })
    }

    /// The folders of runs that were cut short before they began, and that nobody is about to begin.
    pub fn half_made(jobs: &Path) -> Vec<PathBuf> {
        let folders = fs::read_dir(jobs).into_iter().flatten().flatten();
        let mut found: Vec<PathBuf> = folders
            .map(|entry| entry.path())
            .filter(|path| path.join(".lock").is_file() && !path.join("lock.json").exists())
            .filter(|path| is_half_made(path) && lock_within(path, Duration::ZERO).is_ok())
            .collect();
        found.sort();
        found
    }

    /// Removes a run that was cut short before it began.
    ///
    /// # Errors
    /// It has begun meanwhile, or cannot be removed.
    pub fn remove_half_made(path: &Path) -> Result<(), StoreError> {
        let _lock = lock_within(path, Duration::ZERO)?;
        if path.join("lock.json").exists() || !is_half_made(path) {
            return Err(StoreError::InUse(path.into()));
        }
        fs::remove_dir_all(path).map_err(|source| StoreError::Write {
            path: path.into(),
            source,
        })
    }

    /// Removes the files that a dead process was writing aside. Only for the process that holds the run.
    pub fn tidy(&self) {
        let shallow = [self.path.clone(), self.path.join("blobs")].map(|folder| (folder, 1));
        // A trial that was played goes on in its folder; any other that has not ended is moved away and begun anew.
        let trials = fs::read_dir(self.path.join("trials")).into_iter().flatten().flatten();
        let played = trials
            .map(|entry| entry.path())
            .filter(|trial| trial.join(PLAYED).exists());
        for (folder, depth) in shallow.into_iter().chain(played.map(|trial| (trial, usize::MAX))) {
            for entry in walkdir::WalkDir::new(folder).max_depth(depth).into_iter().flatten() {
                if entry.file_name().to_string_lossy().starts_with(ASIDE) {
                    // What stays is of no harm.
                    let _ = fs::remove_file(entry.path());
                }
            }
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn blobs(&self) -> BlobStore {
        BlobStore::new(self.path.join("blobs"))
    }

    /// What the trials of the run have taken from its budget, by the records of their calls: also those that the lock no
    /// longer names.
    pub fn charge(&self) -> Charge {
        let mut sum = Charge::default();
        for entry in fs::read_dir(self.path.join("trials")).into_iter().flatten().flatten() {
            sum.add(&calls::charge(&entry.path()));
        }
        sum
    }

    /// Gives a file of the run the place of another, which is gone then.
    ///
    /// # Errors
    /// It cannot be done.
    pub fn replace(&self, name: &str, by: &str) -> Result<(), StoreError> {
        let path = self.path.join(name);
        fs::rename(self.path.join(by), &path).map_err(|source| StoreError::Write { path, source })
    }

    /// Opens the journal for appending.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn journal(&self) -> Result<Journal, StoreError> {
        let path = self.path.join("journal.jsonl");
        Journal::open(&path).map_err(|source| StoreError::Write { path, source })
    }

    /// Writes a file of the run, whole or not at all.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, name: &str, content: &[u8]) -> Result<(), StoreError> {
        let path = self.path.join(name);
        write_atomic(&path, content).map_err(|source| StoreError::Write { path, source })
    }

    /// Reads a JSON file of the run.
    ///
    /// # Errors
    /// It is missing or damaged.
    pub fn read_json<T: DeserializeOwned>(&self, name: &str) -> Result<T, StoreError> {
        read_json(&self.path.join(name))
    }

    pub fn trial(&self, key: &TrialKey) -> TrialFolder {
        TrialFolder::at(self.path.join("trials").join(key.to_string()))
    }
}

/// Whether a folder holds no more than what a run begins with.
fn is_half_made(path: &Path) -> bool {
    let known = [".lock", "trials", "tasks.jsonl", "run.yaml", "experiment.yaml"];
    let is_recipe = |name: &str| name.starts_with("recipe.") && name.ends_with(".yaml");
    let ours = |entry: io::Result<fs::DirEntry>| {
        entry.is_ok_and(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            known.contains(&&*name) || is_recipe(&name) || name.starts_with(ASIDE)
        })
    };
    let no_trials = fs::read_dir(path.join("trials")).map_or(true, |mut trials| trials.next().is_none());
    no_trials && fs::read_dir(path).is_ok_and(|mut entries| entries.all(ours))
}

pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, StoreError> {
    let text = fs::read(path).map_err(|source| StoreError::Read {
        path: path.into(),
        source,
    })?;
    serde_json::from_slice(&text).map_err(|error| StoreError::Damaged {
        path: path.into(),
        message: error.to_string(),
    })
}
