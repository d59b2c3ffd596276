//! A stream put together again: its raw events, the message that they add up to, and the tokens.

use serde_json::{Map, Value, json};

use super::Dialect;
use crate::gateway::failure::{Failure, FailureKind};
use crate::gateway::model::Tokens;

/// What a stream has told so far, in any dialect.
#[derive(Debug, Default)]
pub(in crate::gateway) struct Told {
    pub tokens: Option<Tokens>,
    /// There was a part of an answer, in a dialect that closes its streams with `[DONE]` only.
    pub began: bool,
    /// The answer has come to its own end.
    pub ended: bool,
    /// Nothing comes after this.
    pub done: bool,
    pub error: Option<(FailureKind, String)>,
}

impl Told {
    /// Keeps the first error. `status` is that which the error would have had as an answer of its own, `error` all of it.
    pub fn fail(&mut self, status: u16, error: &Value, message: Option<&str>) {
        let message = message.map_or_else(|| error.to_string(), str::to_owned);
        let kind = FailureKind::of_status(status, &error.to_string());
        self.error.get_or_insert((kind, message));
    }
}

/// The parts of a dialect's message.
pub(in crate::gateway) trait Parts: Send {
    /// Takes the data of one event; says whether it tells only the usage.
    fn take(&mut self, data: &Value, told: &mut Told) -> bool;

    /// For the record: `message`, in the dialect's own form, and what else there is to say.
    fn into_members(self: Box<Self>) -> Map<String, Value>;
}

/// Puts a stream together.
pub(in crate::gateway) struct Assembler {
    raw: String,
    told: Told,
    parts: Box<dyn Parts>,
}

impl Assembler {
    pub fn new(dialect: Dialect) -> Self {
        Self {
            raw: String::new(),
            told: Told::default(),
            parts: dialect.form().parts(),
        }
    }

    /// Takes one whole event; says whether it tells only the usage.
    pub fn push(&mut self, event: &[u8]) -> bool {
        let text = String::from_utf8_lossy(event);
        self.raw.push_str(&text);
        let mut only_usage = false;
        for data in text.lines().filter_map(|line| line.strip_prefix("data:")) {
            let data = data.trim();
            if data == "[DONE]" {
                self.told.done = true;
            } else if let Ok(data) = serde_json::from_str::<Value>(data) {
                only_usage = self.parts.take(&data, &mut self.told);
            }
        }
        only_usage
    }

    /// Whether the stream said that it is over.
    pub fn is_done(&self) -> bool {
        self.told.done
    }

    /// Whether the answer is whole, even if the closing event never came.
    pub fn is_whole(&self) -> bool {
        let Told {
            began,
            ended,
            done,
            ref error,
            ..
        } = self.told;
        error.is_none() && (ended || (done && began))
    }

    /// The error that came as an event.
    pub fn error(&self) -> Option<Failure> {
        let (kind, message) = self.told.error.clone()?;
        Some(Failure {
            kind,
            status: None,
            message,
        })
    }

    pub fn tokens(&self) -> Option<Tokens> {
        self.told.tokens
    }

    /// For the record: raw events and the message.
    pub fn into_value(self) -> Value {
        let mut value = json!({"events": self.raw});
        if let Some(members) = value.as_object_mut() {
            members.extend(self.parts.into_members());
        }
        value
    }
}
