//! A real provider, or any server that speaks OpenAI chat completions.
//!
//! The agent's request is forwarded unchanged but for what [`Settings`] names, the model's name, and
//! `stream_options.include_usage`, without which a stream would not tell its tokens. Faults that may pass are retried
//! here, in one place; what remains is given to the agent as the provider said it, and recorded as a failure.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt};
use reqwest::header::{self, HeaderMap};
use reqwest::{Client, Response, Url};
use serde_json::{Map, Value, json};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::dialect::chat;
use super::limiter::{Limiter, RetryPolicy};
use super::model::{Call, Content, Failure, FailureKind, Model, Reply};
use super::secret::{Redactor, Secret};

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
            read_timeout: Duration::from_secs(600),
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

/// What is set in every request, because agents cannot or do not.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    pub temperature: Temperature,
    /// Sent unless the agent names one.
    pub reasoning_effort: Option<String>,
    /// Further members, sent unless the agent names them.
    pub extra: Map<String, Value>,
}

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
    builder.build().map_err(|error| UpstreamError(chain(&error)))
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

    async fn attempt(&self, body: &Bytes, stream: bool) -> Attempt {
        let permit = self.limiter.enter().await;
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
        let is_events = text(&headers, "content-type").is_some_and(|kind| kind.starts_with("text/event-stream"));
        if status == 200 && stream && is_events {
            return Attempt::Done(Content::Events(self.events(response, permit)), None);
        }
        let body = match self.read(response).await {
            Ok(body) => body,
            Err(failure) => return self.fault(failure),
        };
        match status {
            200..=299 if serde_json::from_slice::<Map<String, Value>>(&body).is_ok() => Attempt::Done(
                Content::Body {
                    status,
                    headers: passed_on(&headers),
                    body,
                },
                None,
            ),
            // A redirect would carry the key to another host.
            200..=399 => {
                let message = match status {
                    ..=299 => "the provider's answer is not JSON".to_owned(),
                    _ => format!("the provider redirects (status {status}); redirects are not followed"),
                };
                self.fault(Failure {
                    kind: FailureKind::Malformed,
                    status: Some(502),
                    message,
                })
            }
            _ => self.refused(status, &headers, body),
        }
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
        let mut passed = passed_on(headers);
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
            retry_after: retry_after(headers),
            final_: text(headers, "x-should-retry") == Some("false"),
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
        let mut message = format!("no answer from {origin}: {}", chain(error));
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
                return Err(too_long(self.config.max_reply));
            }
        }
        Ok(whole.into())
    }

    /// Cuts the answer's bytes into whole events.
    fn events(
        &self,
        response: Response,
        permit: Option<OwnedSemaphorePermit>,
    ) -> BoxStream<'static, Result<Bytes, Failure>> {
        let redactor = self.redactor.clone();
        let limit = self.config.max_reply;
        let chunks = response.bytes_stream().boxed();
        let state = Some((chunks, Vec::<u8>::new(), 0_usize, permit));
        futures_util::stream::unfold(state, move |state| {
            let redactor = redactor.clone();
            async move {
                let (mut chunks, mut buffer, mut searched, permit) = state?;
                loop {
                    if let Some(end) = event_end(&buffer, searched) {
                        let rest = buffer.split_off(end);
                        let event = without_key(std::mem::replace(&mut buffer, rest), &redactor);
                        return Some((Ok(event), Some((chunks, buffer, 0, permit))));
                    }
                    searched = buffer.len().saturating_sub(3);
                    match chunks.next().await {
                        Some(Ok(chunk)) if buffer.len() + chunk.len() > limit => {
                            return Some((Err(too_long(limit)), None));
                        }
                        Some(Ok(chunk)) => buffer.extend_from_slice(&chunk),
                        Some(Err(_)) => return Some((Err(chat::cut()), None)),
                        None if buffer.is_empty() => return None,
                        None => return Some((Ok(without_key(buffer, &redactor)), None)),
                    }
                }
            }
        })
        .boxed()
    }
}

#[async_trait]
impl Model for UpstreamModel {
    async fn complete(&self, call: &Call) -> Reply {
        let came = Instant::now();
        let policy = self.config.retry;
        let mut body = call.body.clone();
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
            match self.attempt(&body, call.stream).await {
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

fn too_long(limit: usize) -> Failure {
    let message = format!("the provider's answer is longer than {limit} bytes");
    Failure {
        kind: FailureKind::Malformed,
        status: Some(502),
        message,
    }
}

/// The offset behind the first blank line, the end of an event.
fn event_end(buffer: &[u8], from: usize) -> Option<usize> {
    let rest = buffer.get(from..)?;
    let after = |mark: &[u8]| {
        rest.windows(mark.len())
            .position(|window| window == mark)
            .map(|at| from + at + mark.len())
    };
    [after(b"\n\n"), after(b"\r\n\r\n")].into_iter().flatten().min()
}

/// Error events may repeat the key; answers cannot know it.
fn without_key(event: Vec<u8>, redactor: &Redactor) -> Bytes {
    let text = String::from_utf8_lossy(&event);
    match redactor.text(&text).filter(|_| text.contains("\"error\"")) {
        Some(clean) => clean.into(),
        None => event.into(),
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// The provider's headers that the agent gets to see.
fn passed_on(headers: &HeaderMap) -> Vec<(String, String)> {
    let names = ["content-type", "retry-after", "x-request-id"];
    names
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), text(headers, name)?.to_owned())))
        .collect()
}

/// How long the provider wants to be left alone: seconds, or a date.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    if let Some(milliseconds) = text(headers, "retry-after-ms").and_then(|value| value.trim().parse::<f64>().ok()) {
        return Duration::try_from_secs_f64(milliseconds / 1e3).ok();
    }
    let value = text(headers, "retry-after")?.trim();
    if let Ok(seconds) = value.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let date = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(value).ok()?;
    Duration::try_from(date.duration_since(jiff::Timestamp::now())).ok()
}

/// An error with its causes.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_end_at_blank_lines() {
        assert_eq!(event_end(b"data: 1\n\ndata", 0), Some(9));
        assert_eq!(event_end(b"data: 1\r\n\r\ndata", 7), Some(11));
        assert_eq!(event_end(b"data: 1\n", 0), None);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let headers = |name: &'static str, value: &str| {
            HeaderMap::from_iter([(
                header::HeaderName::from_static(name),
                value.parse().expect("a header value"),
            )])
        };
        assert_eq!(
            retry_after(&headers("retry-after", "1.5")),
            Some(Duration::from_millis(1500))
        );
        assert_eq!(
            retry_after(&headers("retry-after-ms", "20")),
            Some(Duration::from_millis(20))
        );
        assert!(retry_after(&headers("retry-after", "Fri, 31 Dec 2100 23:59:59 GMT")).is_some());
        assert_eq!(
            retry_after(&headers("retry-after", "Fri, 31 Dec 1999 23:59:59 GMT")),
            None
        );
        assert_eq!(retry_after(&headers("retry-after", "soon")), None);
    }
}
