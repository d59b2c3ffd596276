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

    /// What is added to a request of the agent's before it is forwarded.
    fn adds(&self, _dialect: Dialect, _body: &Map<String, Value>) -> Added {
        Added::default()
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

/// Tokens that a call may use beyond what its agent knows of, because the model is told to think first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Added {
    /// Estimated: earlier thoughts that are sent along.
    pub input: u64,
    /// What the model may write beyond the limit that the request names.
    pub output: u64,
}

/// One call of an agent, cleaned of the route's guard.
#[derive(Debug, Clone)]
pub struct Call {
    /// The turn that it belongs to, from 1.
    pub turn: usize,
    /// From 1, over the whole route.
    pub number: u64,
    pub dialect: Dialect,
    /// What the model is asked: [`Self::sent`], and what the route adds to the system prompt.
    pub body: Arc<Map<String, Value>>,
    /// As the agent sent it.
    pub sent: Arc<Map<String, Value>>,
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
    /// What the provider counted, where its answer is not passed on: what is passed on tells its own count.
    pub tokens: Option<Tokens>,
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
            output: tokens_of(&text),
            ..Tokens::default()
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
        let more = calls.iter().map(tokens).sum();
        self.tokens.output = self.tokens.output.saturating_add(more);
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
            tokens: None,
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
            tokens: None,
        }
    }
}

/// Tokens of one call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tokens {
    pub input: u64,
    /// The part of `input` that the provider had in its cache.
    pub cached: u64,
    /// The part of `input` that the provider put into its cache, for minutes; told by Anthropic only.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub stored: u64,
    /// The same for an hour.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub stored_1h: u64,
    pub output: u64,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
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
    /// What a token costs that is put into the cache for minutes, in prices of input (Anthropic's price list).
    pub const STORED: f64 = 1.25;
    /// The same for an hour.
    pub const STORED_1H: f64 = 2.0;

    /// What scripted models cost.
    pub const FREE: Pricing = Pricing {
        input: Some(0.0),
        cached_input: None,
        output: Some(0.0),
    };

    /// The price of one call, in US dollars.
    pub fn cost(&self, tokens: &Tokens) -> Option<f64> {
        let (input, output) = self.input.zip(self.output)?;
        // What a provider tells may be anything: no part is more than the whole.
        let mut fresh = tokens.input;
        let mut part = |told: u64| {
            let part = told.min(fresh);
            fresh -= part;
            part as f64
        };
        let (cached, stored_1h, stored) = (part(tokens.cached), part(tokens.stored_1h), part(tokens.stored));
        let whole = fresh as f64 + stored * Self::STORED + stored_1h * Self::STORED_1H;
        let sum = whole * input + cached * self.cached_input.unwrap_or(input);
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
            ..Tokens::default()
        };
        assert_eq!(pricing.cost(&tokens), Some(1.2 + 0.2 + 4.0));
        let stored = Tokens {
            stored: 200_000,
            stored_1h: 100_000,
            ..tokens
        };
        assert_eq!(pricing.cost(&stored), Some(0.6 + 0.5 + 0.4 + 0.2 + 4.0));
        let lies = Tokens {
            cached: u64::MAX,
            stored: u64::MAX,
            stored_1h: 1,
            ..tokens
        };
        assert_eq!(pricing.cost(&lies), Some(0.5 + 4.0));
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
