//! What stands behind a route: something that answers calls, scripted or real.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::dialect::Dialect;
use super::failure::Failure;
use super::secret::Secret;
use crate::trial::Divergence;

/// Answers the calls of an agent.
#[async_trait]
pub trait Model: Send + Sync {
    /// Answers one call. Whatever goes wrong is a reply too, with its failure told.
    async fn complete(&self, call: &Call) -> Reply;

    /// Texts that must never reach a record or the agent.
    fn secrets(&self) -> Vec<Secret> {
        Vec::new()
    }

    /// Tokens that the model may write beyond what the request allows, because it is told to think first.
    fn adds_output(&self, _dialect: Dialect, _body: &Map<String, Value>) -> u64 {
        0
    }

    /// Whether the calls of a turn are answered from a record: then they use nothing, and no budget bounds them.
    fn is_recorded(&self, _turn: usize) -> bool {
        false
    }

    /// Where a replay has left its record, if it has; `ended` is a turn that is over, so that calls of it which the agent
    /// did not make are known to be missing.
    fn divergence(&self, _ended: usize) -> Option<Divergence> {
        None
    }
}

/// One call of an agent, cleaned of the route's guard.
#[derive(Debug, Clone)]
pub struct Call {
    /// The turn that it belongs to, from 1.
    pub turn: usize,
    /// From 1, over the whole route.
    pub number: u64,
    pub dialect: Dialect,
    /// As the agent sent it.
    pub body: Arc<Map<String, Value>>,
    /// Whether the agent asked for server-sent events.
    pub stream: bool,
    /// The model's name at its provider.
    pub wire_model: String,
    /// The most tokens that the answer may have, where a budget leaves less than the request asks for.
    pub max_output: Option<u64>,
    /// Whether faults are retried. Not after a call of the same turn has used up its retries: agents retry as well,
    /// and the two would multiply.
    pub retry: bool,
    /// How often the provider was asked so far.
    pub asks: Arc<AtomicU32>,
}

impl Call {
    /// The provider is asked from now on: should nobody wait for the answer in the end, the call is paid for all the same.
    /// A model that answers at once need not tell.
    pub fn asked(&self) {
        self.asks.fetch_add(1, Ordering::Relaxed);
    }
}

/// What a model says to a call.
pub struct Reply {
    pub content: Content,
    /// What went wrong, when something did.
    pub failure: Option<Failure>,
    /// Members of the request that were set or removed (`null`) before it was forwarded.
    pub applied: Map<String, Value>,
    /// How often the provider was asked; 0: the answer is a recorded one, and used nothing.
    pub attempts: u32,
}

/// The forms of a reply.
pub enum Content {
    /// A text for the dialect to render.
    Answer(Answer),
    /// An error for the dialect to render.
    Error {
        status: u16,
        headers: Vec<(String, String)>,
        message: String,
    },
    /// A whole body, sent as it is.
    Body {
        status: u16,
        headers: Vec<(String, String)>,
        body: Bytes,
    },
    /// Whole server-sent events, sent as they are.
    Events(BoxStream<'static, Result<Bytes, Failure>>),
}

/// A call of one of the agent's tools. Its id is made by the dialect, from the numbers of turn and call.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolCall {
    pub name: String,
    /// An object.
    pub arguments: Value,
}

/// An answer: a text, and calls of tools after it.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    pub text: String,
    pub calls: Vec<ToolCall>,
    /// `stop`, or `tool_calls` where there are any, unless something else is to be shown.
    pub finish_reason: String,
    pub tokens: Tokens,
    /// Break the connection after so many characters of the text.
    pub cut_after: Option<usize>,
}

impl Answer {
    /// A complete answer with estimated tokens.
    pub fn new(call: &Call, text: String) -> Self {
        let tokens = Tokens {
            input: estimate(call),
            cached: 0,
            output: tokens_of(&text),
        };
        Self {
            text,
            calls: Vec::new(),
            finish_reason: "stop".to_owned(),
            tokens,
            cut_after: None,
        }
    }

    /// The answer with calls of tools, whose tokens are counted as well.
    pub fn with_calls(mut self, calls: Vec<ToolCall>) -> Self {
        let tokens = |call: &ToolCall| tokens_of(&call.name) + tokens_of(&call.arguments.to_string());
        self.tokens.output += calls.iter().map(tokens).sum::<u64>();
        if !calls.is_empty() && self.finish_reason == "stop" {
            self.finish_reason = "tool_calls".to_owned();
        }
        self.calls = calls;
        self
    }
}

impl Answer {
    /// The answer as a model breaks it off at a limit: calls of tools, which come last, are lost.
    pub fn limited(mut self, most: u64) -> Self {
        if self.tokens.output > most {
            self.text = self.text.chars().take((most as usize).saturating_mul(4)).collect();
            self.calls.clear();
            self.tokens.output = most;
            self.finish_reason = "length".to_owned();
        }
        self
    }
}

impl Reply {
    /// A text answer that went well.
    pub fn answer(answer: Answer) -> Self {
        Self {
            content: Content::Answer(answer),
            failure: None,
            applied: Map::new(),
            attempts: 1,
        }
    }

    /// An error that the dialect renders, recorded as this failure.
    pub fn failed(failure: Failure) -> Self {
        let content = Content::Error {
            status: failure.status.unwrap_or(502),
            headers: vec![("x-should-retry".to_owned(), "false".to_owned())],
            message: failure.message.clone(),
        };
        Self {
            content,
            failure: Some(failure),
            applied: Map::new(),
            attempts: 1,
        }
    }
}

/// Tokens of one call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tokens {
    pub input: u64,
    /// The part of `input` that the provider had in its cache.
    pub cached: u64,
    pub output: u64,
}

/// Deterministic stand-in for a tokenizer: a token for every four characters, the last one rounded up.
pub fn tokens_of(text: &str) -> u64 {
    text.chars().count().div_ceil(4) as u64
}

/// Estimated tokens of everything that the call says.
fn estimate(call: &Call) -> u64 {
    call.dialect.prompt_texts(&call.body).map(tokens_of).sum()
}

/// US dollars per million tokens; `None`: not known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pricing {
    pub input: Option<f64>,
    /// Of input tokens from the provider's cache; the full input price where it is not known.
    #[serde(default)]
    pub cached_input: Option<f64>,
    pub output: Option<f64>,
}

impl Pricing {
    /// What scripted models cost.
    pub const FREE: Pricing = Pricing {
        input: Some(0.0),
        cached_input: None,
        output: Some(0.0),
    };

    /// The price of one call, in US dollars.
    pub fn cost(&self, tokens: &Tokens) -> Option<f64> {
        let (input, output) = self.input.zip(self.output)?;
        let cached = tokens.cached.min(tokens.input);
        let fresh = tokens.input - cached;
        let sum = fresh as f64 * input + cached as f64 * self.cached_input.unwrap_or(input);
        Some((sum + tokens.output as f64 * output) / 1e6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cached_tokens_cost_less_and_unknown_prices_stay_unknown() {
        let pricing = Pricing {
            input: Some(2.0),
            cached_input: Some(0.5),
            output: Some(8.0),
        };
        let tokens = Tokens {
            input: 1_000_000,
            cached: 400_000,
            output: 500_000,
        };
        assert_eq!(pricing.cost(&tokens), Some(1.2 + 0.2 + 4.0));
        assert_eq!(
            Pricing {
                output: None,
                ..pricing
            }
            .cost(&tokens),
            None
        );
        assert_eq!(Pricing::FREE.cost(&tokens), Some(0.0));
    }
}
