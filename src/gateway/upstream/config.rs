//! How providers are reached, and what is set in every request.

use std::time::Duration;

use reqwest::Client;
use serde_json::{Map, Value};

use super::answer;
use crate::gateway::limiter::RetryPolicy;

/// Limits of the way to a provider.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct UpstreamConfig {
    pub connect_timeout: Duration,
    /// The longest silence: before the answer begins, and within it.
    pub read_timeout: Duration,
    pub retry: RetryPolicy,
    /// Calls to one provider at the same time, over all trials.
    pub at_once: usize,
    /// Longest answer, in bytes.
    pub max_reply: usize,
}

impl Default for UpstreamConfig {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(15),
            read_timeout: Duration::from_secs(540),
            retry: RetryPolicy::default(),
            at_once: 64,
            max_reply: 32 << 20,
        }
    }
}

/// What is done about a request's temperature.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Temperature {
    Set(f64),
    /// The model takes none: removed.
    Omit,
}

/// What is set in every request, because agents cannot or do not. What an agent names itself stays, but for the
/// temperature.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    pub temperature: Temperature,
    /// Chat and responses only: messages have no word for it.
    pub reasoning_effort: Option<String>,
    /// A budget for thinking, in tokens, where it is said in Anthropic's words; 0 is none.
    pub thinking_tokens: Option<u32>,
    /// The same in Google's words, in chat completions.
    pub gemini_thinking_tokens: Option<u32>,
    /// The most tokens that the model writes, for dialects that want to be told.
    pub max_output: u32,
    /// The member that limits an answer's tokens in chat completions, where the agent names none.
    pub output_limit: &'static str,
    /// The member of that kind that the provider is known not to heed: an agent's is renamed.
    pub unheeded_limit: Option<&'static str>,
    /// Further members.
    pub extra: Map<String, Value>,
}

/// The way to a provider cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("cannot set up the connection to the model's provider: {0}")]
pub struct UpstreamError(String);

/// A client for [`UpstreamModel`]; `direct` ignores the proxies of the environment.
pub fn client(config: &UpstreamConfig, direct: bool) -> Result<Client, UpstreamError> {
    // An error means that a provider is installed already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = Client::builder()
        .user_agent(concat!("mtsec-agents/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(config.connect_timeout)
        .read_timeout(config.read_timeout);
    let builder = if direct { builder.no_proxy() } else { builder };
    builder.build().map_err(|error| UpstreamError(answer::chain(&error)))
}
