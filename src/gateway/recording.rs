//! What is recorded of a trial's calls, read again to answer them.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures_util::stream::StreamExt;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::failure::{Failure, FailureKind};
use super::model::{Content, Reply};
use super::record::RecordedError;
use super::secret::edit_texts;

/// A record of calls that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    #[error("cannot read {path}: {source}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{path}:{line}: not a recorded call: {message}")]
    Malformed {
        path: PathBuf,
        line: usize,
        message: String,
    },
}

/// One line of `model.jsonl`, as far as it is needed.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct RecordedCall {
    pub call: u64,
    stream: bool,
    status: u16,
    pub request: Value,
    response: Value,
    #[serde(default)]
    error: Option<RecordedError>,
}

/// The calls of one recorded trial.
#[derive(Debug, Default)]
pub struct Recording {
    turns: BTreeMap<usize, Vec<RecordedCall>>,
}

impl Recording {
    /// Reads the records of turns; a turn without a file made no call.
    pub fn load(files: &[(usize, PathBuf)]) -> Result<Self, RecordingError> {
        let mut turns = BTreeMap::new();
        for (turn, path) in files {
            let text = match std::fs::read_to_string(path) {
                Ok(text) => text,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(source) => {
                    return Err(RecordingError::Read {
                        path: path.clone(),
                        source,
                    });
                }
            };
            turns.insert(*turn, calls(path, &text)?);
        }
        Ok(Self { turns })
    }

    pub(super) fn of_turn(&self, turn: usize) -> &[RecordedCall] {
        self.turns.get(&turn).map_or(&[], Vec::as_slice)
    }

    /// The number that a call after all those of a turn would have had.
    pub(super) fn after(&self, turn: usize) -> u64 {
        let calls = self.turns.range(..=turn).flat_map(|(_, calls)| calls);
        calls.map(|call| call.call).max().unwrap_or(0) + 1
    }
}

fn calls(path: &Path, text: &str) -> Result<Vec<RecordedCall>, RecordingError> {
    let mut calls = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let call: RecordedCall = serde_json::from_str(line).map_err(|error| RecordingError::Malformed {
            path: path.to_owned(),
            line: index + 1,
            message: error.to_string(),
        })?;
        // What the gateway itself refused never came to the model, and does not this time either.
        if call.error.as_ref().is_none_or(|error| error.kind != "bad_request") {
            calls.push(call);
        }
    }
    // Lines stand in the order in which the calls ended.
    calls.sort_by_key(|call| call.call);
    Ok(calls)
}

impl RecordedCall {
    /// The answer as it was given; the places that it names are those of this session.
    pub fn reply(&self, places: &HashMap<String, String>) -> Result<Reply, String> {
        let failure = match &self.error {
            None => None,
            Some(error) => {
                let kind = serde_json::from_value(Value::String(error.kind.clone()));
                let kind: FailureKind = kind.map_err(|_| {
                    let RecordedError { kind, message } = error;
                    format!("the record holds no answer to this call ({kind}: {message})")
                })?;
                let status = (self.status >= 300).then_some(self.status);
                Some(Failure {
                    kind,
                    status,
                    message: error.message.clone(),
                })
            }
        };
        let moved = |text: &str| {
            let mut moved = None;
            for (old, new) in places {
                let text = moved.as_deref().unwrap_or(text);
                moved = text.contains(old.as_str()).then(|| text.replace(old, new)).or(moved);
            }
            moved
        };
        let content = if let Some(events) = self.response.get("events").filter(|_| self.stream) {
            let raw = events.as_str().unwrap_or_default();
            let raw = moved(raw).unwrap_or_else(|| raw.to_owned());
            let mut events: Vec<Result<Bytes, Failure>> = whole_events(&raw).map(Ok).collect();
            events.extend(failure.clone().map(Err));
            // The stream's own reader finds the failure again.
            let events = futures_util::stream::iter(events).boxed();
            return Ok(Reply {
                content: Content::Events(events),
                failure: None,
                applied: Map::new(),
                attempts: 0,
                tokens: None,
            });
        } else if failure.is_some() && self.status < 300 {
            return Err("the recorded answer to this call broke off, and cannot be given again".to_owned());
        } else {
            let mut response = self.response.clone();
            edit_texts(&mut response, &moved);
            let (body, kind) = match response {
                Value::String(text) => (text, "text/plain; charset=utf-8"),
                value => (value.to_string(), "application/json"),
            };
            let mut headers = vec![("content-type".to_owned(), kind.to_owned())];
            if failure.is_some() {
                headers.push(("x-should-retry".to_owned(), "false".to_owned()));
            }
            Content::Body {
                status: self.status,
                headers,
                body: body.into(),
            }
        };
        Ok(Reply {
            content,
            failure,
            applied: Map::new(),
            attempts: 0,
            tokens: None,
        })
    }
}

/// Server-sent events, each with the blank line that ends it.
fn whole_events(raw: &str) -> impl Iterator<Item = Bytes> {
    let mut rest = raw;
    std::iter::from_fn(move || {
        let ends = ["\n\n", "\r\n\r\n"];
        let end = ends
            .iter()
            .filter_map(|end| rest.find(end).map(|at| at + end.len()))
            .min();
        let (event, left) = rest.split_at(end.unwrap_or(rest.len()));
        rest = left;
        (!event.is_empty()).then(|| Bytes::copy_from_slice(event.as_bytes()))
    })
}
