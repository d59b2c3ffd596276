//! A real provider, or any server that speaks OpenAI chat completions.
//!
//! The agent's request is forwarded unchanged but for what [`Settings`] names, the model's name, and
//! `stream_options.include_usage`, without which a stream would not tell its tokens. Faults that may pass are retried
//! here, in one place; what remains is given to the agent as the provider said it, and recorded as a failure.

mod answer;
mod config;
mod held;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::StreamExt;
use reqwest::header::{self, HeaderMap};
use reqwest::{Client, Response, Url};
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::dialect::chat;
use super::failure::{Failure, FailureKind};
use super::limiter::Limiter;
use super::model::{Call, Content, Model, Reply};
use super::secret::{Redactor, Secret};

use answer::Said;
pub use config::{Settings, Temperature, UpstreamConfig, UpstreamError, client};

/// A provider's model.
pub struct UpstreamModel {
    client: Client,
    url: Url,
    key: Option<Secret>,
    settings: Settings,
    limiter: Arc<Limiter>,
    config: UpstreamConfig,
    redactor: Redactor,
}

/// One attempt's result: an answer for the agent, or a fault that may pass.
enum Attempt {
    Done(Content, Option<Failure>),
    Fault {
        failure: Failure,
        content: Content,
        retry_after: Option<Duration>,
        final_: bool,
    },
}

impl UpstreamModel {
    /// `api_base` is what comes before `/chat/completions`.
    pub fn new(
        client: Client,
        api_base: &Url,
        key: Option<Secret>,
        settings: Settings,
        limiter: Arc<Limiter>,
        config: UpstreamConfig,
    ) -> Self {
        let mut url = api_base.clone();
        url.set_path(&format!("{}/chat/completions", api_base.path().trim_end_matches('/')));
        let redactor = Redactor::new(key.clone());
        Self {
            client,
            url,
            key,
            settings,
            limiter,
            config,
            redactor,
        }
    }

    /// Sets what is to be set; returns it.
    fn apply(&self, body: &mut Map<String, Value>, call: &Call) -> Map<String, Value> {
        let mut wanted = Map::from_iter([("model".to_owned(), json!(call.wire_model))]);
        match self.settings.temperature {
            Temperature::Set(temperature) => wanted.insert("temperature".to_owned(), json!(temperature)),
            Temperature::Omit => wanted.insert("temperature".to_owned(), Value::Null),
        };
        let effort = self
            .settings
            .reasoning_effort
            .iter()
            .map(|effort| ("reasoning_effort".to_owned(), json!(effort)));
        let extra = self.settings.extra.clone().into_iter();
        wanted.extend(effort.chain(extra).filter(|(name, _)| !body.contains_key(name)));
        if let Some(most) = call.max_output {
            wanted.extend(chat::limit_output(body, most, self.settings.output_limit));
        }
        if call.stream {
            let mut options = body
                .get("stream_options")
                .and_then(Value::as_object)
                .cloned()
                .unwrap_or_default();
            options.insert("include_usage".to_owned(), json!(true));
            wanted.insert("stream_options".to_owned(), Value::Object(options));
        }
        let unset = Value::Null;
        wanted.retain(|name, value| *value != *body.get(name).unwrap_or(&unset));
        for (name, value) in &wanted {
            match value {
                Value::Null => drop(body.shift_remove(name)),
                value => drop(body.insert(name.clone(), value.clone())),
            }
        }
        wanted
    }

    async fn attempt(&self, body: &Bytes, call: &Call) -> Attempt {
        let permit = self.limiter.enter().await;
        call.asked();
        let mut request = self
            .client
            .post(self.url.clone())
            .header(header::CONTENT_TYPE, "application/json");
        if let Some(key) = &self.key {
            request = request.bearer_auth(key.reveal());
        }
        let response = match request.body(body.clone()).send().await {
            Ok(response) => response,
            Err(error) => return self.fault(self.broken(&error.without_url())),
        };
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let is_events =
            answer::text(&headers, "content-type").is_some_and(|kind| kind.starts_with("text/event-stream"));
        if status == 200 && call.stream && is_events {
            return Attempt::Done(
                Content::Events(held::hold_back(
                    answer::events(response, permit, self.redactor.clone(), self.config.max_reply),
                    self.redactor.clone(),
                )),
                None,
            );
        }
        let body = match self.read(response).await {
            Ok(body) => body,
            Err(failure) => return self.fault(failure),
        };
        match status {
            200..=299 => match answer::said(&body) {
                Said::Answer => Attempt::Done(
                    Content::Body {
                        status,
                        headers: answer::passed_on(&headers, &self.redactor),
                        body,
                    },
                    None,
                ),
                Said::Error(status) => self.refused(status, &headers, body),
                Said::Nothing(why) => self.malformed(why.to_owned()),
            },
            // A redirect would carry the key to another host.
            300..=399 => self.malformed(format!(
                "the provider redirects (status {status}); redirects are not followed"
            )),
            _ => self.refused(status, &headers, body),
        }
    }

    /// An answer that is none.
    fn malformed(&self, message: String) -> Attempt {
        self.fault(Failure {
            kind: FailureKind::Malformed,
            status: Some(502),
            message,
        })
    }

    /// An error answer of the provider.
    fn refused(&self, status: u16, headers: &HeaderMap, body: Bytes) -> Attempt {
        let said = String::from_utf8_lossy(&body).into_owned();
        let kind = FailureKind::of_status(status, &said);
        let words: String = match serde_json::from_str::<Value>(&said) {
            Ok(answer) => answer
                .pointer("/error/message")
                .and_then(Value::as_str)
                .unwrap_or(&said)
                .to_owned(),
            Err(_) => said,
        };
        let words: String = words.chars().take(500).collect();
        let mut message = format!("the provider answered with status {status}: {words}");
        self.redactor.string(&mut message);
        let mut passed = answer::passed_on(headers, &self.redactor);
        passed.push(("x-should-retry".to_owned(), "false".to_owned()));
        Attempt::Fault {
            failure: Failure {
                kind,
                status: Some(status),
                message,
            },
            content: Content::Body {
                status,
                headers: passed,
                body,
            },
            retry_after: answer::retry_after(headers),
            final_: answer::text(headers, "x-should-retry") == Some("false"),
        }
    }

    /// A fault that the agent is told of in our own words.
    fn fault(&self, failure: Failure) -> Attempt {
        let content = Reply::failed(failure.clone()).content;
        Attempt::Fault {
            failure,
            content,
            retry_after: None,
            final_: false,
        }
    }

    fn broken(&self, error: &reqwest::Error) -> Failure {
        let kind = match error {
            _ if error.is_connect() => FailureKind::Unreachable,
            _ if error.is_timeout() => FailureKind::TimedOut,
            _ if error.is_body() || error.is_decode() => FailureKind::Cut,
            _ => FailureKind::Unreachable,
        };
        let status = if kind == FailureKind::TimedOut { 504 } else { 502 };
        let origin = self.url.origin().ascii_serialization();
        let mut message = format!("no answer from {origin}: {}", answer::chain(error));
        self.redactor.string(&mut message);
        Failure {
            kind,
            status: Some(status),
            message,
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
        let came = Instant::now();
        let policy = self.config.retry;
        let mut body = (*call.body).clone();
        let applied = self.apply(&mut body, call);
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
            match self.attempt(&body, call).await {
                Attempt::Done(content, failure) => {
                    return Reply {
                        content,
                        failure,
                        applied,
                        attempts,
                    };
                }
                Attempt::Fault {
                    failure,
                    content,
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
                        };
                    }
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }

    fn secrets(&self) -> Vec<Secret> {
        self.key.iter().cloned().collect()
    }
}
