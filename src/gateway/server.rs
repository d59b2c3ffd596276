//! The HTTP side: routes looked up by token, requests checked, replies rendered and recorded on their way out.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Context, Poll};

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use axum::routing::any;
use axum::{Router, http::Method};
use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::{BoxStream, StreamExt};
use serde_json::{Value, json};

use super::dialect::{Dialect, chat};
use super::model::{Answer, Call, Content, Failure, FailureKind, Reply};
use super::record::RecordedError;
use super::route::{End, Line, Pending};
use super::secret::{edit_texts, same};

/// The open routes.
#[derive(Default)]
pub struct Registry {
    lines: RwLock<HashMap<String, Arc<Line>>>,
    max_request: usize,
    max_reply: usize,
}

impl Registry {
    pub(super) fn new(max_request: usize, max_reply: usize) -> Self {
        Self {
            lines: RwLock::default(),
            max_request,
            max_reply,
        }
    }

    pub(super) fn insert(&self, line: Arc<Line>) {
        self.lines
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(line.token.clone(), line);
    }

    pub(super) fn remove(&self, token: &str) {
        self.lines.write().unwrap_or_else(PoisonError::into_inner).remove(token);
    }

    fn find(&self, token: &str) -> Option<Arc<Line>> {
        self.lines
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(token)
            .cloned()
    }
}

pub(super) fn router(registry: Arc<Registry>) -> Router {
    Router::new()
        .route("/t/{token}/v1/{*path}", any(handle))
        .fallback(async || error(404, &[], "there is nothing here"))
        .with_state(registry)
}

async fn handle(
    State(registry): State<Arc<Registry>>,
    Path((token, path)): Path<(String, String)>,
    method: Method,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let key = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let key = key
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let line = match (registry.find(&token), key) {
        (Some(line), Some((_, key))) if same(key.trim(), &line.token) => line,
        _ => return error(401, &[], "this key does not open this route, or the route is closed"),
    };
    match (&method, path.as_str(), Dialect::of_path(&path)) {
        (&Method::GET, "models", _) => models(&line),
        (&Method::POST, _, Some(Dialect::OpenaiChat)) => chat_completions(&registry, &line, body).await,
        (_, _, Some(dialect)) if !dialect.is_served() => error(
            404,
            &[],
            &format!("the gateway does not speak {dialect} yet: use chat/completions"),
        ),
        (_, "models" | "chat/completions", _) => error(405, &[], "the method is not allowed here"),
        _ => error(404, &[], "there is nothing here: use chat/completions"),
    }
}

fn models(line: &Line) -> Response {
    let model = json!({"id": line.spec.wire_model, "object": "model", "created": 0, "owned_by": "mtsec-agents"});
    json_response(200, &[], &json!({"object": "list", "data": [model]}))
}

async fn chat_completions(registry: &Registry, line: &Arc<Line>, body: Body) -> Response {
    let Some(mut pending) = line.begin(Dialect::OpenaiChat) else {
        return error(409, &[], "no turn has begun on this route");
    };
    let body = match read(body, registry.max_request).await {
        Ok(body) => body,
        Err((status, message)) => return refuse(pending, status, message),
    };
    let mut request = match chat::parse(&body) {
        Ok(request) => Value::Object(request),
        Err(message) => {
            pending.request = Value::String(String::from_utf8_lossy(&body).into_owned());
            return refuse(pending, 400, message);
        }
    };
    drop(body);
    if let Some(guard) = &line.guard {
        edit_texts(&mut request, &|text| {
            text.contains(guard.as_str()).then(|| text.replace(guard.as_str(), ""))
        });
    }
    let Value::Object(request) = request else {
        return refuse(pending, 400, "the body must be a JSON object".to_owned());
    };
    let with_usage = chat::wants_usage(&request);
    let call = Call {
        turn: pending.file.turn,
        number: pending.number,
        dialect: Dialect::OpenaiChat,
        stream: chat::streams(&request),
        body: request,
        wire_model: line.spec.wire_model.clone(),
        retry: pending.retry,
    };
    pending.stream = call.stream;
    pending.attempts = 1;
    // The record keeps the request whole; the model works on its own copy only while it is asked.
    pending.request = Value::Object(call.body.clone());
    let reply = line.spec.model.complete(&call).await;
    let (turn, number, stream) = (call.turn, call.number, call.stream);
    drop(call);
    let id = format!("chatcmpl-{turn}-{number}");
    render(registry, pending, reply, &id, stream, with_usage).await
}

/// Reads a body up to a limit; the error is a status and a text for the agent.
async fn read(body: Body, limit: usize) -> Result<Bytes, (u16, String)> {
    let mut chunks = body.into_data_stream();
    let mut whole = Vec::new();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| (400, "the body broke off".to_owned()))?;
        if whole.len() + chunk.len() > limit {
            return Err((413, format!("the body is longer than {limit} bytes")));
        }
        whole.extend_from_slice(&chunk);
    }
    Ok(whole.into())
}

/// Answers a request that never reaches the model.
fn refuse(mut pending: Pending, status: u16, message: String) -> Response {
    let response = chat::error(status, &message);
    let answer = json_response(status, &[], &response);
    let error = Some(RecordedError {
        kind: "bad_request".to_owned(),
        message,
    });
    pending.finish(End {
        status,
        response,
        error,
        ..End::default()
    });
    answer
}

/// Sends a reply to the agent in the dialect, recording it on the way.
async fn render(
    registry: &Registry,
    mut pending: Pending,
    reply: Reply,
    id: &str,
    stream: bool,
    with_usage: bool,
) -> Response {
    pending.applied = reply.applied;
    pending.attempts = reply.attempts;
    let model = pending.line().spec.wire_model.clone();
    let failure = reply.failure;
    match reply.content {
        Content::Answer(answer) => {
            if stream {
                let events = chat::events(id, &model, &answer, with_usage);
                return sse(
                    registry,
                    pending,
                    futures_util::stream::iter(events).boxed(),
                    with_usage,
                );
            }
            whole_answer(pending, id, &model, &answer)
        }
        Content::Error {
            status,
            headers,
            mut message,
        } => {
            pending.line().redactor.string(&mut message);
            let response = chat::error(status, &message);
            let answer = json_response(status, &headers, &response);
            pending.finish(End {
                status,
                response,
                failure,
                ..End::default()
            });
            answer
        }
        Content::Body {
            status,
            headers,
            mut body,
        } => {
            if status >= 400
                && let Some(clean) = pending.line().redactor.text(&String::from_utf8_lossy(&body))
            {
                body = clean.into();
            }
            let response = serde_json::from_slice(&body)
                .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&body).into_owned()));
            let tokens = chat::tokens(&response);
            pending.finish(End {
                status,
                response,
                tokens,
                failure,
                error: None,
            });
            respond(status, &headers, Body::from(body))
        }
        Content::Events(events) => sse(registry, pending, events, with_usage),
    }
}

fn whole_answer(mut pending: Pending, id: &str, model: &str, answer: &Answer) -> Response {
    let response = chat::body(id, model, answer);
    let Some(cut_after) = answer.cut_after else {
        let body = json_response(200, &[], &response);
        pending.finish(End {
            status: 200,
            response,
            tokens: Some(answer.tokens),
            ..End::default()
        });
        return body;
    };
    let text: String = response.to_string().chars().take(cut_after).collect();
    pending.finish(End {
        status: 200,
        response: json!(text),
        failure: Some(chat::cut()),
        ..End::default()
    });
    // What came before the break is sent only if the server gets to breathe in between.
    let broken = futures_util::stream::once(async {
        tokio::task::yield_now().await;
        Err(std::io::Error::other("cut"))
    });
    let pieces = futures_util::stream::iter([Ok(Bytes::from(text))]).chain(broken);
    let headers = [("content-type".to_owned(), "application/json".to_owned())];
    respond(200, &headers, Body::from_stream(pieces))
}

fn sse(
    registry: &Registry,
    pending: Pending,
    events: BoxStream<'static, Result<Bytes, Failure>>,
    with_usage: bool,
) -> Response {
    let headers = [
        ("content-type", "text/event-stream; charset=utf-8"),
        ("cache-control", "no-cache"),
    ];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let assembler = chat::Assembler::default();
    let limit = registry.max_reply;
    respond(
        200,
        &headers,
        Body::from_stream(Recorded {
            events,
            pending,
            assembler,
            with_usage,
            limit,
            broken: None,
        }),
    )
}

/// A stream of events that is recorded as it passes.
struct Recorded {
    events: BoxStream<'static, Result<Bytes, Failure>>,
    pending: Pending,
    assembler: chat::Assembler,
    with_usage: bool,
    limit: usize,
    broken: Option<std::io::Error>,
}

impl Recorded {
    fn finish(&mut self, failure: Option<Failure>) {
        let assembler = std::mem::take(&mut self.assembler);
        let tokens = assembler.tokens();
        self.pending.finish(End {
            status: 200,
            response: assembler.into_value(),
            tokens,
            failure,
            error: None,
        });
    }

    /// What a stream that ended by itself, or went on too long, amounts to.
    fn ending(&self) -> Option<Failure> {
        let failure = |kind, message: &str| {
            Some(Failure {
                kind,
                status: None,
                message: message.to_owned(),
            })
        };
        match self.assembler.error() {
            Some(message) => failure(FailureKind::Provider, message),
            None if self.assembler.is_whole() => None,
            None => Some(chat::cut()),
        }
    }
}

impl Stream for Recorded {
    type Item = Result<Bytes, std::io::Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(broken) = self.broken.take() {
            return Poll::Ready(Some(Err(broken)));
        }
        loop {
            let failure = match std::task::ready!(self.events.poll_next_unpin(context)) {
                Some(Ok(event)) => {
                    let hide = self.assembler.push(&event) && !self.with_usage;
                    if self.assembler.is_done() {
                        let failure = self.ending();
                        self.finish(failure);
                    }
                    if self.assembler.size() > self.limit {
                        let message = format!("the answer is longer than {} bytes", self.limit);
                        Failure {
                            kind: FailureKind::Malformed,
                            status: None,
                            message,
                        }
                    } else if hide {
                        continue;
                    } else {
                        return Poll::Ready(Some(Ok(event)));
                    }
                }
                Some(Err(failure)) => failure,
                // A clean end without its closing event would look like a short answer: the agent must see a break.
                None => match self.ending().filter(|_| !self.pending.is_finished()) {
                    Some(failure) => failure,
                    None => {
                        self.finish(None);
                        return Poll::Ready(None);
                    }
                },
            };
            let broken = std::io::Error::other(failure.to_string());
            self.finish(Some(failure));
            self.events = futures_util::stream::empty().boxed();
            // What came before the break is sent only if the server gets to breathe in between.
            self.broken = Some(broken);
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
    }
}

impl Drop for Recorded {
    fn drop(&mut self) {
        if !self.pending.is_finished() {
            let assembler = std::mem::take(&mut self.assembler);
            let tokens = assembler.tokens();
            self.pending.client_gone(assembler.into_value(), tokens);
        }
    }
}

fn error(status: u16, headers: &[(String, String)], message: &str) -> Response {
    json_response(status, headers, &chat::error(status, message))
}

fn json_response(status: u16, headers: &[(String, String)], value: &Value) -> Response {
    let mut response = respond(status, headers, Body::from(value.to_string()));
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Headers that HTTP does not allow are left out.
fn respond(status: u16, headers: &[(String, String)], body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    for (name, value) in headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}
