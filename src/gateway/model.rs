//! What stands behind a route: something that answers calls, scripted or real.

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::dialect::Dialect;
use super::secret::Secret;
use crate::trial;

/// Answers the calls of an agent.
#[async_trait]
pub trait Model: Send + Sync {
    /// Answers one call. Whatever goes wrong is a reply too, with its failure told.
    async fn complete(&self, call: &Call) -> Reply;

    /// Texts that must never reach a record or the agent.
    fn secrets(&self) -> Vec<Secret> {
        Vec::new()
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
    pub body: Map<String, Value>,
    /// Whether the agent asked for server-sent events.
    pub stream: bool,
    /// The model's name at its provider.
    pub wire_model: String,
    /// Whether faults are retried. Not after a call of the same turn has used up its retries: agents retry as well,
    /// and the two would multiply.
    pub retry: bool,
}

/// What a model says to a call.
pub struct Reply {
    pub content: Content,
    /// What went wrong, when something did.
    pub failure: Option<Failure>,
    /// Members of the request that were set or removed (`null`) before it was forwarded.
    pub applied: Map<String, Value>,
    /// How often the provider was asked.
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

/// A text answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    pub text: String,
    /// `stop` unless something else is to be shown.
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
            finish_reason: "stop".to_owned(),
            tokens,
            cut_after: None,
        }
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

/// What went wrong with a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    pub kind: FailureKind,
    /// HTTP status, where there was one.
    pub status: Option<u16>,
    /// For people; holds no secret.
    pub message: String,
}

/// The kinds of failure between gateway and model, told from statuses and error codes, never from an agent's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The provider does not take the key (401, 403).
    Authentication,
    /// 429, after retries.
    RateLimit,
    /// The account is out of money (402, or 429 with `insufficient_quota`): retrying is no use.
    Quota,
    /// The request is longer than the model's context.
    TokenLimit,
    /// Another refusal (4xx, redirects).
    Rejected,
    /// 5xx, after retries.
    Provider,
    /// No connection, after retries.
    Unreachable,
    /// No answer, or a pause within one, for too long.
    TimedOut,
    /// The answer broke off.
    Cut,
    /// The answer is not what the dialect allows.
    Malformed,
    /// A scripted model has no answer for the call.
    Script,
    /// The call could not be recorded.
    Record,
}

impl FailureKind {
    /// The failure of the turn that this one amounts to.
    pub fn as_trial(self) -> trial::Failure {
        match self {
            Self::Authentication => trial::Failure::Authentication,
            Self::RateLimit | Self::Quota => trial::Failure::RateLimit,
            Self::TokenLimit => trial::Failure::TokenLimit,
            _ => trial::Failure::ProviderError,
        }
    }

    /// Whether it says nothing about the agent or the model.
    pub fn is_infrastructure(self) -> bool {
        self.as_trial().is_infrastructure()
    }

    /// The kind of an error answer. `body` is the answer's text.
    pub fn of_status(status: u16, body: &str) -> Self {
        let has = |words: &[&str]| words.iter().any(|word| body.contains(word));
        match status {
            401 | 403 => Self::Authentication,
            402 => Self::Quota,
            408 => Self::TimedOut,
            429 if has(&["insufficient_quota"]) => Self::Quota,
            429 => Self::RateLimit,
            400 | 413 | 422 if has(&["context_length_exceeded", "maximum context length", "context window"]) => {
                Self::TokenLimit
            }
            500..=599 => Self::Provider,
            _ => Self::Rejected,
        }
    }

    /// Whether asking again may help.
    pub fn is_passing(self) -> bool {
        matches!(self, Self::RateLimit | Self::Provider | Self::Unreachable)
    }
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

    #[test]
    fn kinds_follow_statuses_and_codes() {
        let kind = FailureKind::of_status;
        assert_eq!(kind(401, ""), FailureKind::Authentication);
        assert_eq!(kind(429, ""), FailureKind::RateLimit);
        assert_eq!(
            kind(429, r#"{"error":{"code":"insufficient_quota"}}"#),
            FailureKind::Quota
        );
        assert_eq!(
            kind(400, r#"{"error":{"code":"context_length_exceeded"}}"#),
            FailureKind::TokenLimit
        );
        assert_eq!(kind(404, ""), FailureKind::Rejected);
        assert_eq!(kind(503, ""), FailureKind::Provider);
        assert!(!FailureKind::TokenLimit.is_infrastructure() && FailureKind::Cut.is_infrastructure());
    }
}
