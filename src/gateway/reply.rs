//! Replies on their way to the agent: rendered in the dialect, recorded as they pass.

use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::{BoxStream, StreamExt};
use serde_json::{Value, json};
use tokio::sync::mpsc::{self, Receiver, Sender};

use super::GatewayConfig;
use super::dialect::{Assembler, Heading, cut};
use super::failure::{Failure, FailureKind};
use super::model::{Answer, Content, Reply};
use super::pending::{CLOSED, End, Pending};

/// So many events of a stream may wait for the client.
const PIECES: usize = 32;

/// Sends a reply to the agent in the dialect, recording it on the way.
pub(super) async fn render(config: &GatewayConfig, mut pending: Pending, reply: Reply, with_usage: bool) -> Response {
    pending.applied = reply.applied;
    pending.attempts = reply.attempts;
    let line = pending.line().clone();
    let form = pending.dialect.form();
    let failure = reply.failure;
    match reply.content {
        Content::Answer(answer) => {
            let heading = Heading {
                turn: pending.file.turn,
                call: pending.number,
                model: &line.spec.wire_model,
            };
            if pending.stream {
                let events = form.events(&heading, &answer);
                return sse(config, pending, futures_util::stream::iter(events).boxed(), with_usage);
            }
            whole_answer(pending, &heading, &answer)
        }
        Content::Error {
            status,
            headers,
            mut message,
        } => {
            line.redactor.string(&mut message);
            let response = form.error(status, &message, None);
            let answer = json_response(status, &headers, &response);
            pending.finish(End {
                status,
                response,
                tokens: reply.tokens,
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
            let text = String::from_utf8_lossy(&body);
            let clean = match status {
                ..400 => line.redactor.secrets(&text),
                _ => line.redactor.text(&text),
            };
            if let Some(clean) = clean {
                body = clean.into();
            }
            let response = serde_json::from_slice(&body)
                .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&body).into_owned()));
            let tokens = form.tokens(&response);
            pending.finish(End {
                status,
                response,
                tokens,
                failure,
                error: None,
            });
            respond(status, &headers, Body::from(body))
        }
        Content::Events(events) => sse(config, pending, events, with_usage),
    }
}

pub(super) fn json_response(status: u16, headers: &[(String, String)], value: &Value) -> Response {
    let mut response = respond(status, headers, Body::from(value.to_string()));
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Headers that HTTP does not allow, or that say how the body is framed, are left out.
fn respond(status: u16, headers: &[(String, String)], body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    let framing = ["content-length", "transfer-encoding", "connection"];
    let headers = headers
        .iter()
        .filter(|(name, _)| !framing.contains(&name.to_ascii_lowercase().as_str()));
    for (name, value) in headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

fn whole_answer(mut pending: Pending, heading: &Heading, answer: &Answer) -> Response {
    let response = pending.dialect.form().body(heading, answer);
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
        failure: Some(cut()),
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
    config: &GatewayConfig,
    pending: Pending,
    events: BoxStream<'static, Result<Bytes, Failure>>,
    with_usage: bool,
) -> Response {
    let headers = [
        ("content-type", "text/event-stream; charset=utf-8"),
        ("cache-control", "no-cache"),
    ];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let (pieces, received) = mpsc::channel(PIECES);
    let recorded = Recorded {
        events,
        assembler: Some(Assembler::new(pending.dialect)),
        pending,
        with_usage,
        size: 0,
        limit: config.max_reply,
    };
    tokio::spawn(recorded.pass_on(pieces, config.unread));
    respond(200, &headers, Body::from_stream(until_the_end(received)))
}

/// The pieces of a stream up to its end (`None`). Where that does not come the client must see a break: a clean end would
/// look like a short answer.
fn until_the_end(received: Receiver<Option<Bytes>>) -> impl Stream<Item = Result<Bytes, std::io::Error>> {
    futures_util::stream::unfold(Some(received), async |received| {
        let mut received = received?;
        match received.recv().await {
            Some(piece) => Some((Ok(piece?), Some(received))),
            None => {
                // What came before the break is sent only if the server gets to breathe in between.
                tokio::task::yield_now().await;
                Some((Err(std::io::Error::other("cut")), None))
            }
        }
    })
}

/// A stream of events that is recorded as it passes.
struct Recorded {
    events: BoxStream<'static, Result<Bytes, Failure>>,
    pending: Pending,
    /// Taken when the call is recorded.
    assembler: Option<Assembler>,
    with_usage: bool,
    /// Bytes that came.
    size: usize,
    limit: usize,
}

impl Recorded {
    /// Passes the events on. Only the wait for the next one is a wait for the model; for its client the call waits for
    /// `patience` all in all.
    async fn pass_on(mut self, pieces: Sender<Option<Bytes>>, patience: Duration) {
        let mut left = patience;
        loop {
            self.pending.wait();
            let event = tokio::select! {
                event = self.events.next() => event,
                () = pieces.closed() => return,
            };
            self.pending.rest(false);
            let piece = match event {
                Some(Ok(event)) => {
                    self.size += event.len();
                    let mut hide = false;
                    if let Some(assembler) = &mut self.assembler {
                        hide = assembler.push(&event) && !self.with_usage;
                        if assembler.is_done() {
                            let failure = self.ending();
                            self.finish(failure);
                        }
                    }
                    if self.size > self.limit {
                        let message = format!("the answer is longer than {} bytes", self.limit);
                        let kind = FailureKind::Malformed;
                        let status = None;
                        return self.finish(Some(Failure { kind, status, message }));
                    }
                    if hide {
                        continue;
                    }
                    Some(event)
                }
                Some(Err(failure)) => return self.finish(Some(failure)),
                None => match self.ending() {
                    Some(failure) => return self.finish(Some(failure)),
                    None => {
                        self.finish(None);
                        None
                    }
                },
            };
            let is_last = piece.is_none();
            let offered = Instant::now();
            match tokio::time::timeout(left, pieces.send(piece)).await {
                Ok(Ok(())) if !is_last => left = left.saturating_sub(offered.elapsed()),
                Ok(_) => return,
                Err(_) => {
                    let seconds = patience.as_secs_f64();
                    return self.gone(&format!("the client did not read the answer for {seconds} s"));
                }
            }
        }
    }

    fn finish(&mut self, failure: Option<Failure>) {
        let Some(assembler) = self.assembler.take() else { return };
        let tokens = assembler.tokens();
        self.pending.finish(End {
            status: 200,
            response: assembler.into_value(),
            tokens,
            failure,
            error: None,
        });
    }

    fn gone(&mut self, how: &str) {
        if let Some(assembler) = self.assembler.take() {
            let tokens = assembler.tokens();
            self.pending.client_gone(assembler.into_value(), tokens, how);
        }
    }

    /// What a stream that ended by itself, or went on too long, amounts to.
    fn ending(&self) -> Option<Failure> {
        let assembler = self.assembler.as_ref()?;
        let broken = || (!assembler.is_whole()).then(cut);
        assembler.error().or_else(broken)
    }
}

impl Drop for Recorded {
    fn drop(&mut self) {
        self.gone(CLOSED);
    }
}
