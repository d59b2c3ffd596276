//! The folder of one trial: its record, its turns, and the tries that are kept beside it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::atomic::write_atomic;
use super::calls::each_call;
use super::run_folder::{StoreError, read_json};
use crate::trial::{TrialRecord, Usage};

/// The record of a trial whose conversation came to its end and that is being judged; gone when the trial is complete.
pub const PLAYED: &str = "played.json";

/// The folder of one trial. It is complete when `trial.json` is there: that is written last.
#[derive(Debug, Clone)]
pub struct TrialFolder {
    path: PathBuf,
}

impl TrialFolder {
    pub(super) fn at(path: PathBuf) -> Self {
        Self { path }
    }

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
