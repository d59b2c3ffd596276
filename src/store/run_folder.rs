//! One run's folder, and the folders of its trials.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::atomic::write_atomic;
use super::calls::{self, each_call};
use super::journal::Journal;
use super::lock::{lock_within, take_lock};
use crate::blob::ASIDE;
use crate::blob::BlobStore;
use crate::budget::Charge;
use crate::plan::TrialKey;
use crate::trial::{TrialRecord, Usage};

/// The record of a trial whose conversation came to its end and that is being judged; gone when the trial is complete.
pub const PLAYED: &str = "played.json";

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
        TrialFolder {
            path: self.path.join("trials").join(key.to_string()),
        }
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

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, StoreError> {
    let text = fs::read(path).map_err(|source| StoreError::Read {
        path: path.into(),
        source,
    })?;
    serde_json::from_slice(&text).map_err(|error| StoreError::Damaged {
        path: path.into(),
        message: error.to_string(),
    })
}

/// The folder of one trial. It is complete when `trial.json` is there: that is written last.
#[derive(Debug, Clone)]
pub struct TrialFolder {
    path: PathBuf,
}

impl TrialFolder {
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The trial's record, when it has its outcome.
    ///
    /// # Errors
    /// The record is there but damaged.
    pub fn record(&self) -> Result<Option<TrialRecord>, StoreError> {
        match read_json(&self.path.join("trial.json")) {
            Ok(record) => Ok(Some(record)),
            Err(StoreError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads a JSON file of the trial.
    ///
    /// # Errors
    /// It is missing or damaged.
    pub fn read_json<T: DeserializeOwned>(&self, name: &str) -> Result<T, StoreError> {
        read_json(&self.path.join(name))
    }

    /// Keeps a copy of `trial.json`, when there is one, beside it before it is written anew; returns its name.
    ///
    /// # Errors
    /// It cannot be read, or the copy not written.
    pub fn keep_record(&self) -> Result<Option<String>, StoreError> {
        let path = self.path.join("trial.json");
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(StoreError::Read { path, source }),
        };
        let mut number = 1;
        while self.path.join(format!("trial.json.{number}")).exists() {
            number += 1;
        }
        let kept = format!("trial.json.{number}");
        let path = self.path.join(&kept);
        write_atomic(&path, &text).map_err(|source| StoreError::Write { path, source })?;
        Ok(Some(kept))
    }

    /// The record of a trial that was played to its end and has none of its outcome: a process died while it was judged.
    pub fn played_record(&self) -> Option<TrialRecord> {
        self.read_json(PLAYED).ok()
    }

    /// [`Self::record`] where a damaged record is no reason to stop: the trial counts as unfinished, and is run again.
    ///
    /// # Errors
    /// The record cannot be read for reasons of the machine.
    pub fn whole_record(&self) -> Result<Option<TrialRecord>, StoreError> {
        match self.record() {
            Err(StoreError::Damaged { .. }) => Ok(None),
            other => other,
        }
    }

    /// A fresh, empty folder. What an unfinished or failed attempt left is kept beside it: its new name is returned.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn begin(&self) -> Result<Option<String>, StoreError> {
        let kept = self.set_aside()?;
        fs::create_dir_all(&self.path).map_err(|source| StoreError::Write {
            path: self.path.clone(),
            source,
        })?;
        Ok(kept)
    }

    fn set_aside(&self) -> Result<Option<String>, StoreError> {
        if !self.path.exists() {
            return Ok(None);
        }
        let name = self.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        for number in 1.. {
            let kept = format!("{name}.try-{number}");
            let target = self.path.with_file_name(&kept);
            if !target.exists() {
                fs::rename(&self.path, &target).map_err(|source| StoreError::Write { path: target, source })?;
                return Ok(Some(kept));
            }
        }
        Ok(None)
    }

    /// The folders of the tries that are kept beside the trial.
    fn kept(&self) -> impl Iterator<Item = PathBuf> {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let kept = (1..).map(move |number| self.path.with_file_name(format!("{name}.try-{number}")));
        kept.take_while(|kept| kept.exists())
    }

    /// What the tries that are kept beside the trial used, by the records of their calls.
    pub fn usage_of_kept(&self) -> Usage {
        let mut sum = Usage::default();
        for kept in self.kept() {
            each_call(&kept, |call| sum.add(&call.usage()));
        }
        sum
    }

    /// The folder of one turn (0 is the agent's start), created when missing.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn turn(&self, turn: usize) -> Result<PathBuf, StoreError> {
        let path = self.path.join("turns").join(turn.to_string());
        fs::create_dir_all(&path).map_err(|source| StoreError::Write {
            path: path.clone(),
            source,
        })?;
        Ok(path)
    }

    /// Completes the trial: writes `trial.json`, whole or not at all, and onto the disk.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn complete(&self, record: &TrialRecord) -> Result<(), StoreError> {
        let path = self.path.join("trial.json");
        write_atomic(&path, &pretty(&path, record)?).map_err(|source| StoreError::Write { path, source })?;
        // If it stays, `trial.json` counts.
        let _ = fs::remove_file(self.path.join(PLAYED));
        Ok(())
    }

    /// Writes a file of an unfinished trial; its folder is created when missing. Until the trial is complete nobody
    /// reads it, so it need not be atomic.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write_json(&self, name: &str, value: &impl Serialize) -> Result<(), StoreError> {
        let text = pretty(&self.path.join(name), value)?;
        self.write(name, &text)
    }

    /// The same for any content.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, name: &str, content: &[u8]) -> Result<(), StoreError> {
        let path = self.path.join(name);
        let folder = path.parent().unwrap_or(&self.path);
        fs::create_dir_all(folder)
            .and_then(|()| fs::write(&path, content))
            .map_err(|source| StoreError::Write { path, source })
    }
}

fn pretty(path: &Path, value: &impl Serialize) -> Result<Vec<u8>, StoreError> {
    let mut text = serde_json::to_vec_pretty(value).map_err(|error| StoreError::Damaged {
        path: path.into(),
        message: error.to_string(),
    })?;
    text.push(b'\n');
    Ok(text)
}
