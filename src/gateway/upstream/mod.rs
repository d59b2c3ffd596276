//! A real provider, or any server that speaks one of the dialects.
//!
//! The agent's request is forwarded in its own dialect, unchanged but for what [`Settings`] names, the model's name, and
//! what a stream must be asked for to tell its tokens. Faults that may pass are retried
//! here, in one place; what remains is given to the agent as the provider said it, and recorded as a failure.

mod answer;
mod apply;
mod config;
mod fault;
mod held;
mod thinking;
mod thoughts;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::StreamExt;
use reqwest::header;
use reqwest::{Client, RequestBuilder, Response, Url};
use serde_json::{Map, Value};
use tokio::time::Instant;

use super::ask::estimated;
use super::dialect::{Dialect, Said};
use super::failure::{Failure, FailureKind};
use super::limiter::Limiter;
use super::model::{Added, Call, Content, Model, Reply, Tokens};
use super::secret::{Redactor, Secret};
use thoughts::{Missing, Thoughts};

pub use config::{Settings, Temperature, UpstreamConfig, UpstreamError, client};
pub use thinking::LEAST_THINKING;

/// The version of Anthropic's interface whose forms the gateway knows.
const ANTHROPIC_VERSION: &str = "2023-06-01";

/// Where the record tells, among what was applied, that thoughts were put back: a list of the places in `messages`, and the
/// call whose recorded answer they are from.
const PUT_BACK: &str = "thoughts_put_back";

/// A provider's model, for one trial.
pub struct UpstreamModel {
    client: Client,
    api_base: Url,
    dialects: Vec<Dialect>,
    key: Option<Secret>,
    settings: Settings,
    limiter: Arc<Limiter>,
    config: UpstreamConfig,
    redactor: Redactor,
    thoughts: Arc<Thoughts>,
}

/// One attempt's result: an answer for the agent, or a fault that may pass.
enum Attempt {
    Done(Content, Option<Failure>),
    Fault {
        failure: Failure,
        content: Content,
        /// What the provider counted, where the content does not tell it.
        tokens: Option<Tokens>,
        retry_after: Option<Duration>,
        final_: bool,
    },
}

impl UpstreamModel {
    /// `api_base` is what comes before `/chat/completions` and the like; `dialects` are those that are spoken there.
    pub fn new(
        client: Client,
        api_base: &Url,
        dialects: Vec<Dialect>,
        key: Option<Secret>,
        settings: Settings,
        limiter: Arc<Limiter>,
        config: UpstreamConfig,
    ) -> Self {
        let redactor = Redactor::new(key.clone());
        Self {
            client,
            api_base: api_base.clone(),
            dialects,
            key,
            settings,
            limiter,
            config,
            redactor,
            thoughts: Arc::default(),
        }
    }

    /// Whether Claude is made to think in a request, and then the thoughts of earlier answers that its agent has left out.
    fn thinks_behind(&self, dialect: Dialect, body: &Map<String, Value>) -> Option<Vec<Missing>> {
        match self.settings.makes_claude_think(dialect, body) {
            true => self.thoughts.missing(body),
            false => None,
        }
    }

    /// A request without its body, in the ways of a dialect.
    fn request(&self, dialect: Dialect) -> RequestBuilder {
        let mut url = self.api_base.clone();
        url.set_path(&format!("{}/{}", url.path().trim_end_matches('/'), dialect.path()));
        let request = self.client.post(url).header(header::CONTENT_TYPE, "application/json");
        let key = self.key.as_ref().map(Secret::reveal);
        match (dialect, key) {
            (Dialect::AnthropicMessages, key) => key
                .into_iter()
                .fold(request, |request, key| request.header("x-api-key", key))
                .header("anthropic-version", ANTHROPIC_VERSION),
            (_, Some(key)) => request.bearer_auth(key),
            (_, None) => request,
        }
    }

    /// `thinks`: whether thoughts were asked for that the agent may not send back.
    async fn attempt(&self, body: &Bytes, call: &Call, thinks: bool) -> Attempt {
        let permit = self.limiter.enter().await;
        call.asked();
        let response = match self.request(call.dialect).body(body.clone()).send().await {
            Ok(response) => response,
            Err(error) => return self.fault(self.broken(&error.without_url())),
        };
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let is_events =
            answer::text(&headers, "content-type").is_some_and(|kind| kind.starts_with("text/event-stream"));
        if status == 200 && call.stream && is_events {
            let events = answer::events(response, permit, self.redactor.clone(), self.config.max_reply);
            let mut events = held::hold_back(events, call.dialect, self.redactor.clone());
            if thinks {
                events = thoughts::kept_on_the_way(events, self.thoughts.clone(), call.number);
            }
            return Attempt::Done(Content::Events(events), None);
        }
        let body = match self.read(response).await {
            Ok(body) => body,
            Err(failure) => return self.fault(failure),
        };
        match status {
            200..=299 => match self.said(call.dialect, &body) {
                Said::Answer => {
                    if let Some(answer) = thinks.then(|| serde_json::from_slice::<Value>(&body).ok()).flatten() {
                        self.thoughts.keep(call.number, &answer["content"]);
                    }
                    let headers = answer::passed_on(&headers, &self.redactor);
                    Attempt::Done(Content::Body { status, headers, body }, None)
                }
                Said::Error(status) => self.refused(status, &headers, body),
                Said::Nothing(why) => {
                    let answer = serde_json::from_slice::<Value>(&body).ok();
                    self.empty(why, answer.and_then(|answer| call.dialect.form().tokens(&answer)))
                }
            },
            // A redirect would carry the key to another host.
            300..=399 => self.malformed(format!(
                "the provider redirects (status {status}); redirects are not followed"
            )),
            _ => self.refused(status, &headers, body),
        }
    }

    /// Reads a body that came with a good status. What is no answer must not reach the agent as one: it would count as the
    /// model's.
    fn said(&self, dialect: Dialect, body: &[u8]) -> Said {
        match serde_json::from_slice(body) {
            Ok(answer) => dialect.form().said(&answer),
            Err(_) => Said::Nothing("the provider's answer is not JSON"),
        }
    }

    /// A whole body, up to the limit.
    async fn read(&self, response: Response) -> Result<Bytes, Failure> {
        let mut chunks = response.bytes_stream();
        let mut whole = Vec::new();
        while let Some(chunk) = chunks.next().await {
            whole.extend_from_slice(&chunk.map_err(|error| self.broken(&error.without_url()))?);
            if whole.len() > self.config.max_reply {
                return Err(answer::too_long(self.config.max_reply));
            }
        }
        Ok(whole.into())
    }
}

#[async_trait]
impl Model for UpstreamModel {
    async fn complete(&self, call: &Call) -> Reply {
        if !self.dialects.contains(&call.dialect) {
            return self.not_spoken(call.dialect);
        }
        let came = Instant::now();
        let policy = self.config.retry;
        let mut body = (*call.body).clone();
        let missing = self.thinks_behind(call.dialect, &body);
        let mut applied = self.settings.apply(&mut body, call, missing.is_some());
        // A budget may have left no room for thinking.
        let missing = missing.filter(|_| thinking::thinks(&body));
        let thinks = missing.is_some();
        if let Some(missing) = missing.filter(|missing| !missing.is_empty()) {
            applied.insert(PUT_BACK.to_owned(), thoughts::put_back(missing, &mut body));
        }
        let Ok(body) = serde_json::to_vec(&body).map(Bytes::from) else {
            let message = "the request cannot be written as JSON".to_owned();
            return Reply::failed(Failure {
                kind: FailureKind::Rejected,
                status: Some(400),
                message,
            });
        };
        let allowed = if call.retry { policy.attempts.max(1) } else { 1 };
        let mut attempts = 0;
        loop {
            attempts += 1;
            match self.attempt(&body, call, thinks).await {
                Attempt::Done(content, failure) => {
                    return Reply {
                        content,
                        failure,
                        applied,
                        attempts,
                        tokens: None,
                    };
                }
                Attempt::Fault {
                    failure,
                    content,
                    tokens,
                    retry_after,
                    final_,
                } => {
                    let pause = policy.pause(attempts, retry_after);
                    if failure.kind == FailureKind::RateLimit {
                        // Everybody waits, not only the one who was told.
                        self.limiter.be_quiet(pause.min(policy.total));
                    }
                    let in_time = came.elapsed() + pause < policy.total;
                    if final_ || !failure.kind.is_passing() || attempts >= allowed || !in_time {
                        return Reply {
                            content,
                            failure: Some(failure),
                            applied,
                            attempts,
                            tokens,
                        };
                    }
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }

    fn adds(&self, dialect: Dialect, body: &Map<String, Value>) -> Added {
        let missing = self.thinks_behind(dialect, body);
        let output = self.settings.adds_output(dialect, body, missing.is_some());
        let size = missing.iter().flatten().map(Missing::size).sum();
        Added {
            input: estimated(size),
            output,
        }
    }

    fn secrets(&self) -> Vec<Secret> {
        self.key.iter().cloned().collect()
    }
}
