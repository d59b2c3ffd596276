//! The record of the model's calls: one JSON line per call, in the file of its turn.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::dialect::Dialect;
use super::model::Tokens;
use super::secret::Redactor;
use crate::budget::Charge;

/// Status of a call whose client went away, as web servers log it.
pub const CLIENT_GONE: u16 = 499;

/// The member of `applied` that tells what was added to the system prompt.
pub const SYSTEM_ADDED: &str = "system_added";

/// Bytes that are recorded of a request that is refused.
const REFUSED_HEAD: usize = 4096;

/// One line of `model.jsonl`.
#[derive(Debug, Serialize)]
pub struct CallRecord {
    pub turn: usize,
    /// From 1, over the whole trial.
    pub call: u64,
    pub started: Timestamp,
    /// From the request to the last byte of the answer, retries included.
    pub latency_ms: f64,
    pub dialect: Dialect,
    pub stream: bool,
    /// As the agent got it; 499 when it went away first.
    pub status: u16,
    /// How often the provider was asked; 0 also when the answer came from a record: it used nothing, whatever it says.
    pub attempts: u32,
    /// As the agent sent it, without the guard; a text when it was not JSON, and of a long one only its beginning.
    pub request: Value,
    /// Members that were set, or removed (`null`), before the request was forwarded; as `system_added` the text that was put
    /// behind the agent's own system prompt; and, as `thoughts_put_back`, where Claude's
    /// earlier thoughts were put before what a message says, which its agent had left out: a list of `{message, of_call}`,
    /// the place in `messages` (from 0), and the call whose recorded answer begins with them.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub applied: Map<String, Value>,
    /// The body; a text when it was not JSON. Of a stream an object: `events`, which are the raw events, and `message`,
    /// which is what they add up to in the dialect's own form: in chat completions the message (beside it its
    /// `finish_reason`), in responses the final `response` with its `output`, in messages the message with the blocks of its
    /// `content`. Of a stream that broke off it is what came.
    pub response: Value,
    pub tokens: Option<Tokens>,
    /// US dollars.
    pub cost: Option<f64>,
    /// What was taken from the budgets: what the call used, or may have used where no count came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub charge: Option<Charge>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<RecordedError>,
}

/// What went wrong with a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedError {
    /// A failure's kind, `client_gone` or `bad_request`.
    pub kind: String,
    pub message: String,
}

/// One line of `model.sent.jsonl`, beside the record: a call that is about to be sent, and what is set aside for it. Should
/// this program be killed before the call has its line in the record, that is what it may have cost.
#[derive(Serialize)]
struct SentCall<'a> {
    call: u64,
    charge: &'a Charge,
}

/// What is recorded of a request that never reaches the model: all of it, or where that is long its beginning, length and
/// digest. It costs its sender nothing, and must not cost the disk.
pub fn refused(body: &[u8]) -> Value {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    match body.get(..REFUSED_HEAD) {
        Some(head) => {
            let digest = hex::encode(Sha256::digest(body));
            Value::String(format!("{}… ({} bytes, SHA-256 {digest})", text(head), body.len()))
        }
        None => Value::String(text(body)),
    }
}

/// The file that one turn's calls are appended to. Calls that outlive their turn still end up in it.
#[derive(Debug)]
pub struct TurnFile {
    pub turn: usize,
    path: PathBuf,
    file: Mutex<File>,
}

impl TurnFile {
    /// Opens the file for appending, creating it when it is missing.
    pub fn open(turn: usize, path: &Path) -> std::io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self {
            turn,
            path: path.to_owned(),
            file: Mutex::new(file),
        })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Notes that a call is about to be sent.
    pub fn sent(&self, call: u64, charge: &Charge) -> std::io::Result<()> {
        let path = self.path.with_extension("sent.jsonl");
        let mut line = serde_json::to_vec(&SentCall { call, charge })?;
        line.push(b'\n');
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)?
            .write_all(&line)
    }

    /// Appends one call, without secrets, in a single write; how many bytes that were.
    pub fn append(&self, mut record: CallRecord, redactor: &Redactor) -> std::io::Result<u64> {
        redactor.value(&mut record.request);
        redactor.value(&mut record.response);
        for value in record.applied.values_mut() {
            redactor.value(value);
        }
        if let Some(error) = &mut record.error {
            redactor.string(&mut error.message);
        }
        let mut line = serde_json::to_vec(&record)?;
        line.push(b'\n');
        self.file
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .write_all(&line)?;
        Ok(line.len() as u64)
    }
}
