//! The scripted models `oracle` and `oracle:insecure`: they know the file after every turn, and write the edits to it, in
//! the way of the agent that asks (see [`Voice`]).
//!
//! For plumbing, tests and demos: a number that comes from one says nothing about any model.

mod editor;
mod fenced;
mod outcome;
mod patch;
mod shell;
mod voice;

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use sha2::{Digest, Sha256};

use super::edit::EditError;
use super::failure::{Failure, FailureKind};
use super::model::{Answer, Call, Model, Reply, ToolCall};

use outcome::Outcome;
pub use voice::Voice;
use voice::Way;

/// What it says when nothing is left to do.
pub const NOTHING: &str = "No further change is needed.";

/// What it says when its calls have done what they should.
pub const DONE: &str = "The file is where this step asks it to be.";

/// What it says when they have not.
pub const FAILED: &str = "The file could not be brought to where this step asks it to be.";

/// What an oracle is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OracleScript {
    /// The file as the agent names it, such as `app.py`. Empty before the first turn.
    pub file: String,
    /// Its content after each turn; the last is the reference solution. See [`Voice::normalize`] for what is made of it.
    pub states: Vec<String>,
    /// Its content after every turn that follows, in which it is told what the tests have shown; `None`: it says that nothing
    /// is to be done.
    pub afterwards: Option<String>,
    pub voice: Voice,
    /// So many of the turns were answered by somebody else; their states are what is in the file after each, as it is.
    pub answered: usize,
}

impl OracleScript {
    /// What the file is to hold after a turn, from 1.
    fn state(&self, turn: usize) -> Option<&String> {
        let own = self.states.get(turn.checked_sub(1)?);
        own.or(self.afterwards.as_ref())
    }
}

/// A state that the oracle's voice cannot bring about.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the oracle cannot write {file} as it is after turn {turn}: {source}")]
pub struct OracleError {
    pub file: String,
    /// From 1.
    pub turn: usize,
    pub source: EditError,
}

/// One trial's oracle.
#[derive(Debug)]
pub struct Oracle {
    script: OracleScript,
    progress: Mutex<Progress>,
}

#[derive(Debug, Default)]
struct Progress {
    /// The file as the answers so far have left it.
    content: String,
    turns: HashMap<usize, Turn>,
}

/// One turn so far.
#[derive(Debug, Default)]
struct Turn {
    /// Digest of a request → what was said to it, so that the same request gets the same answer.
    said: HashMap<Vec<u8>, Said>,
    /// Calls were made whose results have not come yet.
    waits: bool,
    /// The calls to make should they fail.
    fallback: Vec<ToolCall>,
}

/// What is said to one request.
#[derive(Debug, Clone, PartialEq)]
struct Said {
    text: String,
    calls: Vec<ToolCall>,
}

impl Said {
    fn text(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            calls: Vec::new(),
        }
    }
}

impl Oracle {
    /// Checks that every state can be written in the oracle's voice, each from the one before.
    pub fn new(mut script: OracleScript) -> Result<Self, OracleError> {
        for state in script.states.iter_mut().skip(script.answered) {
            *state = script.voice.normalize(state);
        }
        script.afterwards = script.afterwards.map(|state| script.voice.normalize(&state));
        let mut before = "";
        for (index, after) in script.states.iter().chain(&script.afterwards).enumerate() {
            if before != after && index >= script.answered {
                let edit = voice::Edit {
                    file: &script.file,
                    before,
                    after,
                    turn: index + 1,
                };
                script.voice.way(&edit, &[]).map_err(|source| OracleError {
                    file: script.file.clone(),
                    turn: index + 1,
                    source,
                })?;
            }
            before = after;
        }
        let content = script.answered.checked_sub(1).and_then(|last| script.states.get(last));
        let progress = Mutex::new(Progress {
            content: content.cloned().unwrap_or_default(),
            ..Progress::default()
        });
        Ok(Self { script, progress })
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is said to a call: the turn's edit to its first request, the end of the turn to the one that tells that the
    /// edit's calls are done, and nothing new to others.
    fn say(&self, call: &Call) -> Result<Said, OracleError> {
        let request = Sha256::digest(serde_json::to_vec(&*call.body).unwrap_or_default()).to_vec();
        let mut progress = self.progress();
        let progress = &mut *progress;
        let said = match progress.turns.get_mut(&call.turn) {
            Some(turn) => match turn.said.get(&request) {
                Some(said) => return Ok(said.clone()),
                None => match self.script.voice.follow(turn, call) {
                    Some(said) => said,
                    None => return Ok(Said::text(NOTHING)),
                },
            },
            None => {
                let way = self.way(call, &progress.content)?;
                if let Some(after) = self.script.state(call.turn) {
                    progress.content.clone_from(after);
                }
                let turn = progress.turns.entry(call.turn).or_default();
                turn.waits = !way.said.calls.is_empty();
                turn.fallback = way.fallback;
                way.said
            }
        };
        let turn = progress.turns.entry(call.turn).or_default();
        turn.said.insert(request, said.clone());
        Ok(said)
    }

    /// How the turn's state is brought about.
    fn way(&self, call: &Call, before: &str) -> Result<Way, OracleError> {
        let OracleScript { file, voice, .. } = &self.script;
        let state = self.script.state(call.turn);
        // A model without an agent gives the program in every answer, changed or not.
        let repeats = matches!(voice, Voice::Fenced { diffs: false });
        let Some(after) = state.filter(|state| (repeats && !state.is_empty()) || *state != before) else {
            return Ok(Way::text(NOTHING.to_owned()));
        };
        let texts: Vec<&str> = call.dialect.prompt_texts(&call.body).collect();
        let edit = voice::Edit {
            file,
            before,
            after,
            turn: call.turn,
        };
        voice.way(&edit, &texts).map_err(|source| OracleError {
            file: file.clone(),
            turn: call.turn,
            source,
        })
    }
}

impl Voice {
    /// What is said to a further request of a turn; `None`: nothing new.
    fn follow(&self, turn: &mut Turn, call: &Call) -> Option<Said> {
        if !turn.waits {
            return None;
        }
        let outcome = outcome::of(call.dialect, &call.body)?;
        let calls = std::mem::take(&mut turn.fallback);
        Some(match outcome {
            Outcome::Failed if !calls.is_empty() => Said {
                text: "That did not work; I write the file in another way.".to_owned(),
                calls,
            },
            Outcome::Failed => {
                turn.waits = false;
                Said::text(FAILED)
            }
            Outcome::Done => {
                turn.waits = false;
                Said::text(DONE)
            }
        })
    }
}

#[async_trait]
impl Model for Oracle {
    async fn complete(&self, call: &Call) -> Reply {
        match self.say(call) {
            Ok(Said { text, calls }) => Reply::answer(Answer::new(call, text).with_calls(calls)),
            Err(error) => Reply::failed(Failure {
                kind: FailureKind::Script,
                status: Some(500),
                message: error.to_string(),
            }),
        }
    }
}

#[cfg(test)]
mod tests;
