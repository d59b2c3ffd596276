//! What goes wrong between gateway and model, told from statuses and codes.

use serde::{Deserialize, Serialize};

use super::policy;
use crate::trial;

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
    /// The provider's content policy does not let the request, or its answer, pass: the same request fares no better.
    Policy,
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
    /// The trial's budget has no room for the call.
    TrialBudget,
    /// The run's budget has no room for the call.
    RunBudget,
    /// The call is not the one that the replayed record holds.
    Diverged,
}

/// How providers say that a request is too long for the model.
const TOO_LONG: [&str; 5] = [
    "context_length_exceeded",
    "maximum context length",
    "context window",
    "prompt is too long",
    "exceed context limit",
];

impl FailureKind {
    /// The failure of the turn that this one amounts to.
    pub fn as_trial(self) -> trial::Failure {
        match self {
            Self::Authentication => trial::Failure::Authentication,
            Self::RateLimit | Self::Quota => trial::Failure::RateLimit,
            Self::TokenLimit => trial::Failure::TokenLimit,
            Self::TrialBudget | Self::RunBudget => trial::Failure::Budget,
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
            402 => Self::Quota,
            408 => Self::TimedOut,
            429 if has(&["insufficient_quota"]) => Self::Quota,
            429 => Self::RateLimit,
            // Streams tell of it without a status.
            400 | 403 | 422 | 500..=599 if policy::refuses(body) => Self::Policy,
            401 | 403 => Self::Authentication,
            400 if has(&["credit balance is too low"]) => Self::Quota,
            400 | 413 | 422 if has(&TOO_LONG) => Self::TokenLimit,
            500..=599 => Self::Provider,
            _ => Self::Rejected,
        }
    }

    /// Whether the call was refused here, because a budget has no room for it.
    pub fn is_budget(self) -> bool {
        matches!(self, Self::TrialBudget | Self::RunBudget)
    }

    /// Whether asking again may help.
    pub fn is_passing(self) -> bool {
        matches!(self, Self::RateLimit | Self::Provider | Self::Unreachable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let anthropic = [
            "prompt is too long: 210000 tokens > 200000 maximum",
            "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000",
        ];
        assert!(anthropic.iter().all(|said| kind(400, said) == FailureKind::TokenLimit));
        assert_eq!(
            kind(400, "Your credit balance is too low to access the Anthropic API."),
            FailureKind::Quota
        );
        let policy = r#"{"error":{"code":"content_policy_violation"}}"#;
        assert!(
            [400, 403, 502]
                .iter()
                .all(|status| kind(*status, policy) == FailureKind::Policy)
        );
        assert!(!FailureKind::Policy.is_passing());
        assert_eq!(kind(404, ""), FailureKind::Rejected);
        assert_eq!(kind(503, ""), FailureKind::Provider);
        assert!(!FailureKind::TokenLimit.is_infrastructure() && FailureKind::Cut.is_infrastructure());
    }
}
