//! Where a replay comes from: a recorded run, whose trials' calls are answered again.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use regex::Regex;
use sha2::{Digest, Sha256};

use super::resolve::scripts;
use super::scratch::PLACES;
use crate::gateway::oracle::OracleScript;
use crate::gateway::recording::Recording;
use crate::gateway::replay::{ReplayModel, Then};
use crate::gateway::{Model, Varying};
use crate::plan::{Cell, Lock, Replay, TrialKey};
use crate::recipe::Recipes;
use crate::store::{RunFolder, StoreError};
use crate::trial::{Outcome, TrialRecord};
use crate::workspace::Manifest;

/// Where a turn's calls of the agent are recorded.
pub const AGENT: &str = "model.jsonl";
/// Where those of the critic are.
pub const CRITIC: &str = "critic.jsonl";

/// Why a run cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    #[error("the run that is to be replayed cannot be read: {0}")]
    Store(#[from] StoreError),
    #[error("{path} is not the run that was replayed here: its lock.json is another one")]
    Another { path: PathBuf },
    #[error("the run's folder {0} has no name, or one that is not UTF-8")]
    Name(PathBuf),
}

/// A recorded run.
#[derive(Debug)]
pub struct Source {
    run: RunFolder,
    pub path: PathBuf,
    pub name: String,
    pub lock: Lock,
    pub lock_digest: String,
    /// What may differ in the requests of each scaffold.
    varying: HashMap<String, Varying>,
}

/// The places of a session always vary; what else does, the recipe tells.
fn varying(texts: Vec<Regex>) -> Varying {
    Varying {
        places: Regex::new(PLACES).ok(),
        texts,
    }
}

impl Source {
    /// Opens a recorded run to answer from it.
    ///
    /// # Errors
    /// It is no run folder, or is damaged.
    pub fn open(path: &Path, recipes: &Recipes) -> Result<Self, SourceError> {
        let run = RunFolder::open(path)?;
        let lock_path = path.join("lock.json");
        let text = std::fs::read(&lock_path).map_err(|source| StoreError::Read {
            path: lock_path,
            source,
        })?;
        let absolute = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let whole = absolute.to_str().is_some();
        let name = absolute.file_name().and_then(|name| name.to_str()).filter(|_| whole);
        let name = name.ok_or_else(|| SourceError::Name(path.to_owned()))?.to_owned();
        Ok(Self {
            lock: run.read_json("lock.json")?,
            lock_digest: hex::encode(Sha256::digest(&text)),
            run,
            path: absolute,
            name,
            varying: recipes
                .iter()
                .map(|recipe| (recipe.source.name.clone(), varying(recipe.varies.clone())))
                .collect(),
        })
    }

    /// Refuses a run that has taken the place of the one that these cells replay.
    ///
    /// # Errors
    /// It is another run.
    pub fn check(&self, cells: &[Cell]) -> Result<(), SourceError> {
        let same = |cell: &Cell| {
            cell.replay
                .as_ref()
                .is_none_or(|replay| replay.lock_digest == self.lock_digest)
        };
        match cells.iter().all(same) {
            true => Ok(()),
            false => Err(SourceError::Another {
                path: self.path.clone(),
            }),
        }
    }

    /// The cell that replays a recorded one; with a model and a turn, one that goes on with that model after the turn.
    pub fn cell(&self, recorded: &Cell, then: Option<(&str, usize)>) -> Cell {
        Cell {
            model: then.map_or_else(|| recorded.model.clone(), |(model, _)| model.to_owned()),
            scripts: match then {
                Some((model, _)) => scripts(model, &recorded.options),
                None => recorded.scripts.clone(),
            },
            replay: Some(Replay {
                run: self.name.clone(),
                lock_digest: self.lock_digest.clone(),
                cell: recorded.id(),
                model: recorded.answered_by(),
                until: then.map(|(_, until)| until),
            }),
            ..recorded.clone()
        }
    }

    /// The recorded trial that a trial of the replay repeats.
    pub fn trial(&self, replay: &Replay, key: &TrialKey) -> TrialKey {
        TrialKey {
            cell: replay.cell.clone(),
            ..key.clone()
        }
    }

    /// Whether a recorded trial can be replayed: it has a verdict; or, with a last turn to replay, the conversation went on
    /// after that turn or could have.
    ///
    /// # Errors
    /// Its record cannot be read.
    pub fn can_replay(&self, key: &TrialKey, until: Option<usize>) -> Result<bool, StoreError> {
        let Some(record) = self.run.trial(key).whole_record()? else {
            return Ok(false);
        };
        Ok(match until {
            None => matches!(record.outcome, Outcome::Judged { .. }),
            Some(until) => goes_on_after(&record, until),
        })
    }

    /// The model that answers a trial from the record of another: [`AGENT`]'s calls, or [`CRITIC`]'s.
    ///
    /// # Errors
    /// The record cannot be read.
    pub fn model(
        &self,
        replay: &Replay,
        recorded: &TrialKey,
        record: &str,
        then: Option<Arc<dyn Model>>,
    ) -> Result<Arc<dyn Model>, String> {
        let turns = self.run.trial(recorded).path().join("turns");
        let trial = self.run.trial(recorded).record().map_err(|error| error.to_string())?;
        // A critic without words has ended the conversation before the turn that it was asked for.
        let last = trial.map_or(0, |trial| trial.turns.len() + usize::from(record == CRITIC));
        let last = replay.until.unwrap_or(last);
        let files: Vec<(usize, PathBuf)> = (1..=last)
            .map(|turn| (turn, turns.join(turn.to_string()).join(record)))
            .collect();
        let recording = Recording::load(&files).map_err(|error| error.to_string())?;
        let cell = self.lock.cells.iter().find(|cell| cell.id() == replay.cell);
        let known = cell.and_then(|cell| self.varying.get(&cell.scaffold)).cloned();
        let varying = known.unwrap_or_else(|| varying(Vec::new()));
        let then = then.zip(replay.until).map(|(model, until)| Then { until, model });
        Ok(Arc::new(ReplayModel::new(recording, varying, then)))
    }

    /// Tells an oracle what its file holds after the turns that are answered from the record.
    ///
    /// # Errors
    /// A snapshot cannot be read.
    pub fn bring_to(&self, script: &mut OracleScript, recorded: &TrialKey, until: usize) -> Result<(), String> {
        let folder = self.run.trial(recorded);
        for turn in 1..=until {
            let manifest: Manifest = folder
                .read_json(&format!("turns/{turn}/snapshot.json"))
                .map_err(|error| error.to_string())?;
            let digest = manifest.files().find(|(path, ..)| *path == script.file);
            let content = match digest {
                Some((_, digest, _)) => self.run.blobs().get(digest).map_err(|error| error.to_string())?,
                None => Vec::new(),
            };
            let content = String::from_utf8_lossy(&content).into_owned();
            match script.states.get_mut(turn - 1) {
                Some(state) => *state = content,
                // Turns of feedback follow those of the conversation.
                None => script.states.push(content),
            }
        }
        script.answered = until.min(script.states.len());
        Ok(())
    }
}

/// Whether the conversation has a turn after `until` that the ending of that turn allows.
fn goes_on_after(record: &TrialRecord, until: usize) -> bool {
    let allowed = |index: usize| {
        record
            .turns
            .get(index)
            .is_some_and(|turn| turn.ending.allows_next_turn())
    };
    // A turn that was not reached is recorded as such, unless the trial failed in the infrastructure before.
    let has_more = match &record.outcome {
        Outcome::InfrastructureFailure { .. } if !record.played => true,
        _ => record.turns.len() > until,
    };
    (0..until).all(allowed) && has_more
}
