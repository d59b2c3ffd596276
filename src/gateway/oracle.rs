//! The scripted models `oracle` and `oracle:insecure`: they know the file after every turn, and write the edits to it.
//!
//! For plumbing, tests and demos: a number that comes from one says nothing about any model.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use sha2::{Digest, Sha256};

use super::edit::{self, EditError, Fence};
use super::failure::{Failure, FailureKind};
use super::model::{Answer, Call, Model, Reply};
use crate::plan::EditFormat;

/// What it says when nothing is left to do.
pub const NOTHING: &str = "No further change is needed.";

/// What an oracle is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OracleScript {
    /// The file as the agent names it, such as `app.py`. Empty before the first turn.
    pub file: String,
    /// Its content after each turn; the last is the reference solution. See [`edit::normalize`] for what is made of it.
    pub states: Vec<String>,
    pub edit_format: EditFormat,
    /// So many of the turns were answered by somebody else; their states are what is in the file after each, as it is.
    pub answered: usize,
}

/// A state that the edit format cannot bring about.
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
    /// Turn → digest of its first request, and the answer to it.
    answered: HashMap<usize, (Vec<u8>, String)>,
}

impl Oracle {
    /// Checks that every state can be written in the edit format, each from the one before.
    pub fn new(mut script: OracleScript) -> Result<Self, OracleError> {
        for state in script.states.iter_mut().skip(script.answered) {
            *state = edit::normalize(state, script.edit_format);
        }
        let mut before = "";
        for (index, after) in script.states.iter().enumerate() {
            if before != after && index >= script.answered {
                let fence = Fence::for_content(before);
                edit::write(script.edit_format, &script.file, before, after, &fence).map_err(|source| OracleError {
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

    /// The text for a call: the turn's edit for its first request and for the same request said again, else nothing.
    fn text(&self, call: &Call) -> Result<String, OracleError> {
        let request = Sha256::digest(serde_json::to_vec(&*call.body).unwrap_or_default()).to_vec();
        let mut progress = self.progress();
        if let Some((first, text)) = progress.answered.get(&call.turn) {
            return Ok(if *first == request {
                text.clone()
            } else {
                NOTHING.to_owned()
            });
        }
        let OracleScript {
            file,
            states,
            edit_format,
            ..
        } = &self.script;
        let text = match states
            .get(call.turn.wrapping_sub(1))
            .filter(|state| **state != progress.content)
        {
            None => NOTHING.to_owned(),
            Some(after) => {
                let told = call.dialect.prompt_texts(&call.body).filter_map(fence_told).last();
                let fence = told.unwrap_or_else(|| Fence::for_content(&progress.content));
                let edit = edit::write(*edit_format, file, &progress.content, after, &fence).map_err(|source| {
                    OracleError {
                        file: file.clone(),
                        turn: call.turn,
                        source,
                    }
                })?;
                progress.content.clone_from(after);
                format!("I bring `{file}` to where this step asks it to be.\n\n{edit}")
            }
        };
        progress.answered.insert(call.turn, (request, text.clone()));
        Ok(text)
    }
}

/// The fence that Aider's instructions name, in any of its formats.
fn fence_told(text: &str) -> Option<Fence> {
    let after = |mark: &str| text.rfind(mark).map(|at| &text[at + mark.len()..]);
    let rest = after("path/to/filename.js\n").or_else(|| after("The opening fence and code language, eg: "))?;
    // The longest opening that fits: four backticks start like three.
    let fences = Fence::all().into_iter().filter(|fence| rest.starts_with(&fence.open));
    fences.max_by_key(|fence| fence.open.len())
}

#[async_trait]
impl Model for Oracle {
    async fn complete(&self, call: &Call) -> Reply {
        match self.text(call) {
            Ok(text) => Reply::answer(Answer::new(call, text)),
            Err(error) => Reply::failed(Failure {
                kind: FailureKind::Script,
                status: Some(500),
                message: error.to_string(),
            }),
        }
    }
}
