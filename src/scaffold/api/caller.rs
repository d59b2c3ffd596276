//! Calls of a model through a trial's route of the gateway, one after the other.

use reqwest::{Client, StatusCode};
use serde_json::Value;

use super::wire::{self, Message};
use crate::scaffold::AgentModel;
use crate::trial::Failure;

/// Longest answer that is read, in bytes.
const MOST: usize = 64 << 20;

/// A route, and the model behind it.
#[derive(Debug, Clone)]
pub struct Caller {
    client: Client,
    /// Such as `http://127.0.0.1:4000/t/TOKEN/v1`.
    api_base: String,
    api_key: String,
    model: AgentModel,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unanswered {
    pub failure: Failure,
    pub detail: String,
}

/// What the model has said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    pub text: String,
    /// It was broken off at a limit of tokens.
    pub cut: bool,
}

impl Caller {
    /// # Errors
    /// The client of HTTP cannot be set up.
    pub fn new(api_base: &str, api_key: &str, model: &AgentModel) -> std::io::Result<Self> {
        // An error means that a provider is installed already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        // The gateway is on this machine, where no proxy leads.
        let client = Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(std::io::Error::other)?;
        Ok(Self {
            client,
            api_base: api_base.trim_end_matches('/').to_owned(),
            api_key: api_key.to_owned(),
            model: model.clone(),
        })
    }

    /// Asks one question under an instruction.
    ///
    /// # Errors
    /// The model did not answer, or not in its dialect.
    pub async fn ask(&self, instruction: &str, question: String) -> Result<Said, Unanswered> {
        let question = Message {
            role: "user",
            text: question,
        };
        self.call(Some(instruction), &[question]).await
    }

    /// Asks for the next message of a conversation.
    pub(super) async fn call(&self, instruction: Option<&str>, said: &[Message]) -> Result<Said, Unanswered> {
        let lost = |error: reqwest::Error| Unanswered {
            failure: Failure::ProviderError,
            detail: error.without_url().to_string(),
        };
        let model = &self.model;
        let url = format!("{}/{}", self.api_base, wire::path(model.dialect));
        let request = wire::request(model.dialect, &model.name, model.max_output_tokens, instruction, said);
        let request = self.client.post(url).bearer_auth(&self.api_key).json(&request);
        let mut response = request.send().await.map_err(lost)?;
        let status = response.status();
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(lost)? {
            body.extend_from_slice(&piece);
            if body.len() > MOST {
                return Err(unreadable(&format!("the answer has more than {MOST} bytes")));
            }
        }
        if !status.is_success() {
            let detail = format!("status {}: {}", status.as_u16(), wire::complaint(&body));
            return Err(Unanswered {
                failure: failure_of(status),
                detail,
            });
        }
        let body: Value = serde_json::from_slice(&body).map_err(|error| unreadable(&error.to_string()))?;
        wire::answer(model.dialect, &body).ok_or_else(|| unreadable("the answer has no message"))
    }
}

fn unreadable(why: &str) -> Unanswered {
    Unanswered {
        failure: Failure::EmptyAnswer,
        detail: format!("the answer cannot be read: {why}"),
    }
}

fn failure_of(status: StatusCode) -> Failure {
    match status.as_u16() {
        401 | 403 => Failure::Authentication,
        429 => Failure::RateLimit,
        _ => Failure::ProviderError,
    }
}
