//! The scripted model `script:FILE`: a list of replies given in order, faults included.
//!
//! The file is YAML with a list `replies`, or JSON lines (`.jsonl`) with one reply per line. Members of a reply, all
//! optional:
//!
//! ```yaml
//! replies:
//!   - turn: 2                 # only for calls of this turn; otherwise for any
//!     text: |                 # what the model says
//!       Done.
//!     calls:                  # tools of the agent that it calls, after the text
//!       - {name: shell, arguments: {command: [ls]}}
//!     finish_reason: length   # default: stop, or tool_calls
//!     usage: {input: 10, output: 5}   # tokens; default: estimated
//!     delay_seconds: 0.5      # before answering
//!     cut_after: 20           # break the connection after so many characters (of a stream: of its text)
//!   - status: 429             # an error; `text` is its message
//!     headers: {retry-after: "1"}
//!   - body: "<html>"          # sent as it is, with `status` and `headers`
//! ```
//!
//! Each call gets the first reply that is not used yet and fits its turn. When there is none, the call fails with
//! status 500.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::Map;

use super::failure::{Failure, FailureKind};
use super::model::{Answer, Call, Content, Model, Reply, Tokens, ToolCall};
use crate::yaml;

/// Longest delay, in seconds.
const LONGEST_DELAY: f64 = 3600.0;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Replies {
    replies: Vec<Entry>,
}

/// One reply of a script.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    #[serde(default)]
    turn: Option<usize>,
    #[serde(default)]
    text: String,
    #[serde(default)]
    calls: Vec<ToolCall>,
    #[serde(default)]
    finish_reason: Option<String>,
    #[serde(default)]
    usage: Option<EntryUsage>,
    #[serde(default)]
    delay_seconds: f64,
    #[serde(default)]
    cut_after: Option<usize>,
    #[serde(default)]
    status: Option<u16>,
    #[serde(default)]
    headers: std::collections::BTreeMap<String, String>,
    #[serde(default)]
    body: Option<String>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct EntryUsage {
    input: u64,
    output: u64,
}

/// A script that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    #[error("cannot read the script {path}: {source}")]
    Read { path: PathBuf, source: std::io::Error },
    /// The message shows the place as well.
    #[error("{path}:{line}:{column}: {message}")]
    Malformed {
        path: PathBuf,
        line: u64,
        column: u64,
        message: String,
    },
    #[error("{path}: reply {number}: {message}")]
    Reply {
        path: PathBuf,
        number: usize,
        message: String,
    },
}

/// A checked script; shared by trials, each of which starts at its beginning.
#[derive(Debug)]
pub struct Script {
    replies: Vec<Entry>,
    path: PathBuf,
}

impl Script {
    /// Reads and checks a file.
    pub fn load(path: &Path) -> Result<Arc<Self>, ScriptError> {
        let text = std::fs::read_to_string(path).map_err(|source| ScriptError::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(path, &text)
    }

    /// Checks a text; `path` is for messages, and tells JSON lines by its ending.
    pub fn parse(path: &Path, text: &str) -> Result<Arc<Self>, ScriptError> {
        let replies = match path.extension().is_some_and(|ending| ending == "jsonl") {
            true => json_lines(path, text)?,
            false => {
                let replies = yaml::read::<Replies>(&path.display().to_string(), text).map_err(|error| {
                    ScriptError::Malformed {
                        path: path.to_owned(),
                        line: error.line,
                        column: error.column,
                        message: error.message,
                    }
                })?;
                replies.replies
            }
        };
        let path = path.to_owned();
        for (index, entry) in replies.iter().enumerate() {
            if let Some(message) = entry.fault() {
                return Err(ScriptError::Reply {
                    path,
                    number: index + 1,
                    message: message.to_owned(),
                });
            }
        }
        Ok(Arc::new(Self { replies, path }))
    }
}

fn json_lines(path: &Path, text: &str) -> Result<Vec<Entry>, ScriptError> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let entry = |(index, line): (usize, &str)| {
        serde_json::from_str(line).map_err(|error| ScriptError::Malformed {
            path: path.to_owned(),
            line: index as u64 + 1,
            column: error.column() as u64,
            message: error.to_string(),
        })
    };
    lines.map(entry).collect()
}

impl Entry {
    fn fault(&self) -> Option<&'static str> {
        if !(0.0..=LONGEST_DELAY).contains(&self.delay_seconds) {
            return Some("`delay_seconds` must be between 0 and 3600");
        }
        if self.status.is_some_and(|status| !(200..=599).contains(&status)) {
            return Some("`status` must be between 200 and 599");
        }
        if self.turn == Some(0) {
            return Some("turns are counted from 1");
        }
        if !self.calls.iter().all(|call| call.arguments.is_object()) {
            return Some("the `arguments` of a call must be a mapping");
        }
        None
    }

    fn reply(&self, call: &Call) -> Reply {
        let status = self.status.unwrap_or(200);
        let headers: Vec<(String, String)> = self.headers.clone().into_iter().collect();
        let (content, said) = match &self.body {
            Some(body) => (
                Content::Body {
                    status,
                    headers,
                    body: body.clone().into(),
                },
                body,
            ),
            None if status >= 300 => (
                Content::Error {
                    status,
                    headers,
                    message: self.text.clone(),
                },
                &self.text,
            ),
            None => return Reply::answer(self.answer(call)),
        };
        let failure = (status >= 300).then(|| Failure {
            kind: FailureKind::of_status(status, said),
            status: Some(status),
            message: format!("the script answered with status {status}: {said}"),
        });
        Reply {
            content,
            failure,
            applied: Map::new(),
            attempts: 1,
            tokens: None,
        }
    }

    fn answer(&self, call: &Call) -> Answer {
        let mut answer = Answer::new(call, self.text.clone()).with_calls(self.calls.clone());
        if let Some(EntryUsage { input, output }) = self.usage {
            answer.tokens = Tokens {
                input,
                output,
                ..Tokens::default()
            };
        }
        if let Some(reason) = &self.finish_reason {
            answer.finish_reason.clone_from(reason);
        }
        answer.cut_after = self.cut_after;
        answer
    }
}

/// One trial's walk through a script.
#[derive(Debug)]
pub struct ScriptedModel {
    script: Arc<Script>,
    used: Mutex<Vec<bool>>,
}

impl ScriptedModel {
    pub fn new(script: Arc<Script>) -> Self {
        let used = Mutex::new(vec![false; script.replies.len()]);
        Self { script, used }
    }

    fn next(&self, turn: usize) -> Option<&Entry> {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = |entry: &Entry| entry.turn.is_none_or(|wanted| wanted == turn);
        let (used, entry) = used
            .iter_mut()
            .zip(&self.script.replies)
            .find(|(used, entry)| !**used && fits(entry))?;
        *used = true;
        Some(entry)
    }
}

#[async_trait]
impl Model for ScriptedModel {
    async fn complete(&self, call: &Call) -> Reply {
        match self.next(call.turn) {
            Some(entry) => {
                call.asked();
                // Checked when the script was read.
                tokio::time::sleep(Duration::try_from_secs_f64(entry.delay_seconds).unwrap_or_default()).await;
                entry.reply(call)
            }
            None => {
                let message = format!(
                    "the script {} has no reply left for turn {}",
                    self.script.path.display(),
                    call.turn
                );
                Reply::failed(Failure {
                    kind: FailureKind::Script,
                    status: Some(500),
                    message,
                })
            }
        }
    }
}
