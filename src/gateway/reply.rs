//! Replies on their way to the agent: rendered in the dialect, recorded as they pass.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::{BoxStream, StreamExt};
use serde_json::{Value, json};

use super::dialect::chat;
use super::failure::{Failure, FailureKind};
use super::model::{Answer, Content, Reply};
use super::pending::{End, Pending};
use super::server::{json_response, respond};

/// Sends a reply to the agent in the dialect, recording it on the way.
pub(super) async fn render(
    limit: usize,
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
                let events = chat::events(id, &model, &answer);
                return sse(limit, pending, futures_util::stream::iter(events).boxed(), with_usage);
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
            let redactor = &pending.line().redactor;
            let text = String::from_utf8_lossy(&body);
            let clean = match status {
                ..400 => redactor.secrets(&text),
                _ => redactor.text(&text),
            };
            if let Some(clean) = clean {
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
        Content::Events(events) => sse(limit, pending, events, with_usage),
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
    limit: usize,
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
