//! The readable transcript: the record of a turn's calls, `model.jsonl`, as people read it. One shape for all agents and
//! wire dialects: what was new in each request, and what the model made of it.
//!
//! Modules: `record` reads the lines, in the order of the calls and one at a time; `dialect` takes requests and answers
//! apart; `known` tells what is new; `markdown` renders.

mod dialect;
mod known;
pub mod markdown;
mod record;

use serde::Deserialize;

use crate::gateway::dialect::Dialect;
use crate::gateway::model::Tokens;

pub use record::Reader;

/// A piece of what was said, whatever the dialect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// `speaker`: the wire's role, such as `system`, `user` or `assistant`.
    Text {
        speaker: String,
        text: String,
    },
    Reasoning {
        text: String,
    },
    /// The model declined, said in the dialect's own way.
    Refusal {
        text: String,
    },
    /// A tool call of the model; `arguments` as they came, usually JSON.
    Call {
        id: String,
        tool: String,
        arguments: String,
    },
    /// What a call came to. `tool` is empty where the call is not known.
    Result {
        id: String,
        tool: String,
        text: String,
        /// The dialect itself says that the call failed.
        is_error: bool,
    },
    /// What has no text, such as an image.
    Other {
        speaker: String,
        kind: String,
    },
}

/// One call of the model.
#[derive(Debug, Clone, PartialEq)]
pub struct Exchange {
    /// From 1, over the whole trial.
    pub call: u64,
    pub dialect: Dialect,
    /// As the agent named it.
    pub model: String,
    pub status: u16,
    pub seconds: f64,
    pub tokens: Option<Tokens>,
    /// US dollars.
    pub cost: Option<f64>,
    /// Names of the tools that the model was offered, where they are not those of the call before.
    pub tools: Option<Vec<String>>,
    /// What no earlier request and no earlier answer held.
    pub new: Vec<Part>,
    pub answer: Vec<Part>,
    /// Why the answer ended, as the dialect tells it.
    pub finish: Option<String>,
    /// What went wrong with the call.
    pub failure: Option<CallError>,
}

/// What went wrong with a call.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct CallError {
    pub kind: String,
    pub message: String,
}

impl CallError {
    /// Whether the provider's content policy stopped the call, told by the gateway
    /// ([`FailureKind::Policy`](crate::gateway::FailureKind::Policy)).
    pub fn is_by_policy(&self) -> bool {
        self.kind == "policy"
    }
}

impl Exchange {
    /// Whether the model answered, whole.
    pub fn was_answered(&self) -> bool {
        self.failure.is_none() && self.status < 300
    }

    /// What the model said in words.
    pub fn answer_text(&self) -> String {
        let texts = self.answer.iter().filter_map(|part| match part {
            Part::Text { text, .. } => Some(text.as_str()),
            _ => None,
        });
        texts.collect::<Vec<_>>().join("\n\n")
    }
}
