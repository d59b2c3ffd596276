//! Reads the record of a turn's calls, in the order in which they began.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::dialect::{answered, said, tools};
use super::known::Known;
use super::{CallError, Exchange, Part};
use crate::gateway::dialect::Dialect;
use crate::gateway::model::Tokens;
use crate::gateway::record::SYSTEM_ADDED;

/// One line of `model.jsonl`, as far as it is read.
#[derive(Deserialize)]
struct Line {
    call: u64,
    latency_ms: f64,
    dialect: Dialect,
    status: u16,
    request: Value,
    #[serde(default)]
    applied: Map<String, Value>,
    response: Value,
    tokens: Option<Tokens>,
    cost: Option<f64>,
    #[serde(default)]
    error: Option<CallError>,
}

/// Who says what the gateway has added to the agent's system prompt.
const ADDED: &str = "system, added by the gateway";

fn is_systems(part: &Part) -> bool {
    matches!(part, Part::Text { speaker, .. } if ["system", "developer", "instructions"].contains(&speaker.as_str()))
}

/// What orders the lines.
#[derive(Deserialize)]
struct Head {
    call: u64,
}

/// Reads the turns of a trial, from the first one on: what is new in one depends on those before.
#[derive(Debug, Default)]
pub struct Reader {
    known: Known,
    tools: Vec<String>,
    /// Call → tool: results name their call only.
    called: HashMap<String, String>,
}

impl Reader {
    /// Hands out the exchanges of one turn's record; how many lines could not be read, such as one that a crash has torn.
    /// One line at a time is held in memory. A turn without a record made no call.
    ///
    /// # Errors
    /// The record cannot be read, or `each` failed.
    pub fn turn(&mut self, path: &Path, mut each: impl FnMut(&Exchange) -> io::Result<()>) -> io::Result<usize> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            Err(error) => return Err(error),
        };
        let mut reader = BufReader::new(file);
        let (mut places, mut unread) = (Vec::new(), 0);
        let (mut line, mut offset) = (Vec::new(), 0);
        loop {
            line.clear();
            let length = reader.read_until(b'\n', &mut line)? as u64;
            if length == 0 {
                break;
            }
            match serde_json::from_slice::<Head>(&line) {
                Ok(head) => places.push((head.call, offset, length)),
                Err(_) => unread += 1,
            }
            offset += length;
        }
        // Lines stand in the order in which the calls ended.
        places.sort_unstable();
        for (index, (_, offset, length)) in places.into_iter().enumerate() {
            reader.seek(SeekFrom::Start(offset))?;
            line.clear();
            reader.by_ref().take(length).read_to_end(&mut line)?;
            match serde_json::from_slice::<Line>(&line) {
                Ok(record) => each(&self.exchange(record, index == 0))?,
                Err(_) => unread += 1,
            }
        }
        Ok(unread)
    }

    fn exchange(&mut self, line: Line, first: bool) -> Exchange {
        let answer = answered(line.dialect, &line.response);
        let mut parts = said(line.dialect, &line.request);
        if let Some(text) = line.applied.get(SYSTEM_ADDED).and_then(Value::as_str) {
            let part = Part::Text {
                speaker: ADDED.to_owned(),
                text: text.to_owned(),
            };
            parts.insert(parts.iter().take_while(|part| is_systems(part)).count(), part);
        }
        for part in parts.iter().chain(&answer.parts) {
            if let Part::Call { id, tool, .. } = part
                && !id.is_empty()
                && !self.called.contains_key(id)
            {
                self.called.insert(id.clone(), tool.clone());
            }
        }
        for part in &mut parts {
            if let Part::Result { id, tool, .. } = part
                && tool.is_empty()
                && let Some(called) = self.called.get(id)
            {
                tool.clone_from(called);
            }
        }
        let offered = tools(&line.request);
        let tools = (offered != self.tools).then(|| {
            self.tools.clone_from(&offered);
            offered
        });
        Exchange {
            call: line.call,
            dialect: line.dialect,
            model: line
                .request
                .get("model")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned(),
            status: line.status,
            seconds: line.latency_ms / 1e3,
            tokens: line.tokens,
            cost: line.cost,
            tools,
            new: self.known.new_parts(parts, &answer.parts, first),
            answer: answer.parts,
            finish: answer.finish,
            failure: line.error,
        }
    }
}

#[cfg(test)]
mod tests;
