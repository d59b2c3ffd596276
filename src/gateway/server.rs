//! The HTTP side: routes looked up by token, requests checked, replies rendered and recorded on their way out.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::any;
use axum::{Router, http::Method};
use bytes::Bytes;
use futures_util::stream::StreamExt;
use serde_json::{Map, Value, json};

use super::GatewayConfig;
use super::ask::{Ask, estimated};
use super::dialect::Dialect;
use super::model::{Call, Content, tokens_of};
use super::record;
use super::refusal::{error, refuse, refuse_for_budget};
use super::reply::{json_response, render};
use super::route::{Line, NoCall};
use super::secret::{edit_texts, same};

/// The most tokens of an answer where neither the request nor the table of models tells.
const UNKNOWN_OUTPUT: u64 = 16_384;

const CLOSED_ROUTE: &str = "this key does not open this route, or the route is closed";

/// The open routes.
pub struct Registry {
    lines: RwLock<HashMap<String, Arc<Line>>>,
    pub(super) config: GatewayConfig,
}

impl Registry {
    pub(super) fn new(config: GatewayConfig) -> Self {
        Self {
            lines: RwLock::default(),
            config,
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
        .fallback(async || error(Dialect::OpenaiChat, 404, &[], "there is nothing here"))
        .with_state(registry)
}

async fn handle(
    State(registry): State<Arc<Registry>>,
    Path((token, path)): Path<(String, String)>,
    method: Method,
    headers: HeaderMap,
    body: Body,
) -> Response {
    // Clients that put `/v1` before every path themselves get here all the same.
    let path = path.strip_prefix("v1/").unwrap_or(&path);
    let counted = path.strip_suffix("/count_tokens").and_then(Dialect::of_path);
    let dialect = Dialect::of_path(path).or(counted);
    let form = dialect.unwrap_or(Dialect::OpenaiChat);
    let line = match (registry.find(&token), key(&headers)) {
        (Some(line), Some(key)) if same(key, &line.token) => line,
        _ => return error(form, 401, &[], CLOSED_ROUTE),
    };
    match (&method, path, dialect) {
        (&Method::GET, "models", _) => models(&line),
        (&Method::POST, _, Some(Dialect::AnthropicMessages)) if counted.is_some() => {
            count_tokens(&registry, &line, body).await
        }
        (&Method::POST, _, Some(dialect)) if counted.is_none() => complete(&registry, &line, dialect, body).await,
        (_, "models", _) => error(form, 405, &[], "the method is not allowed here"),
        (_, _, Some(dialect)) if counted.is_none() => error(dialect, 405, &[], "the method is not allowed here"),
        _ => {
            let paths = Dialect::ALL.map(Dialect::path).join(", ");
            error(form, 404, &[], &format!("there is nothing here: use one of {paths}"))
        }
    }
}

/// What a client shows as its key, in either of the two ways that the dialects know.
fn key(headers: &HeaderMap) -> Option<&str> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let bearer = text("authorization").and_then(|value| value.split_once(' '));
    let bearer = bearer.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let shown = text("x-api-key").or(bearer.map(|(_, key)| key));
    shown.map(str::trim)
}

fn models(line: &Line) -> Response {
    let model = json!({"id": line.spec.wire_model, "object": "model", "created": 0, "owned_by": "mtsec-agents"});
    json_response(200, &[], &json!({"object": "list", "data": [model]}))
}

/// How many tokens a request has, as far as can be told without its model.
async fn count_tokens(registry: &Registry, line: &Line, body: Body) -> Response {
    let dialect = Dialect::AnthropicMessages;
    let body = match read_in_time(registry, line, body).await {
        Ok(body) => body,
        Err((status, message)) => return error(dialect, status, &[], &message),
    };
    match dialect.form().parse(&body) {
        Ok(request) => {
            let (request, _) = with_system(line, dialect, &Arc::new(request));
            let tokens: u64 = dialect.prompt_texts(&request).map(tokens_of).sum();
            json_response(200, &[], &json!({"input_tokens": tokens}))
        }
        Err(message) => error(dialect, 400, &[], &message),
    }
}

async fn complete(registry: &Registry, line: &Arc<Line>, dialect: Dialect, body: Body) -> Response {
    let form = dialect.form();
    // The semaphores are never closed. Who waits here waits for calls of its own.
    let place = line.places.clone().acquire_owned().await.ok();
    let mut pending = match line.begin(dialect, place, &registry.config) {
        Ok(pending) => pending,
        Err(NoCall::NoTurn) => return error(dialect, 409, &[], "no turn has begun on this route"),
        Err(NoCall::Closed) => return error(dialect, 401, &[], CLOSED_ROUTE),
        Err(NoCall::TooMuch(held)) => {
            let headers = [("x-should-retry".to_owned(), "false".to_owned())];
            return error(
                dialect,
                400,
                &headers,
                &format!("no further call is taken: the trial has made {held}"),
            );
        }
    };
    let body = match read_in_time(registry, line, body).await {
        Ok(body) => body,
        Err((status, message)) => return refuse(pending, status, message),
    };
    let mut request = match form.parse(&body) {
        Ok(request) => Value::Object(request),
        Err(message) => {
            pending.request = record::refused(&body);
            return refuse(pending, 400, message);
        }
    };
    let size = body.len();
    drop(body);
    if let Some(guard) = &line.guard {
        edit_texts(&mut request, &|text| {
            text.contains(guard.as_str()).then(|| text.replace(guard.as_str(), ""))
        });
    }
    let Value::Object(request) = request else {
        return refuse(pending, 400, "the body must be a JSON object".to_owned());
    };
    let sent = Arc::new(request);
    let (body, added_to_system) = with_system(line, dialect, &sent);
    let request = &*body;
    let with_usage = form.wants_usage(request);
    let budget = &line.spec.budget;
    let choices = match form.choices(request) {
        Ok(choices) => choices,
        Err(message) => {
            pending.request = record::refused(Value::Object((*sent).clone()).to_string().as_bytes());
            return refuse(pending, 400, message);
        }
    };
    let added = line.spec.model.adds(dialect, request);
    let known = form.max_output(request).map(|most| most.saturating_add(added.output));
    let known = known.or(budget.max_output);
    // What no answer of the model can be is nothing to be set aside.
    let most = known
        .unwrap_or(UNKNOWN_OUTPUT)
        .min(budget.max_output.unwrap_or(u64::MAX));
    let mut ask = Ask {
        input: estimated(size.saturating_add(added_to_system))
            .saturating_add(added.input)
            .min(budget.max_input),
        output: most,
        choices,
        dearness: form.dearness(request),
    };
    let is_recorded = line.spec.model.is_recorded(pending.file.turn);
    if !is_recorded {
        match line.reserve(&mut ask).await {
            Ok(reserved) => pending.reserved = reserved,
            Err(refusal) => {
                pending.stream = form.streams(request);
                drop(body);
                pending.request = Value::Object(Arc::unwrap_or_clone(sent));
                return refuse_for_budget(pending, &refusal);
            }
        }
        pending.ask = Some(ask);
        if !budget.purses.is_empty() {
            // Where nothing can be written, the call's own record tells of it.
            let _ = pending.file.sent(pending.number, &ask.charge(&line.spec.pricing));
        }
    }
    // A budget can only be kept where the answer has an end.
    let has_end = known.is_some() && form.keeps_output_below(request, ask.output);
    let needs_an_end = !has_end && !is_recorded && !budget.purses.is_empty();
    let call = Call {
        turn: pending.file.turn,
        number: pending.number,
        dialect,
        stream: form.streams(request),
        body,
        sent,
        wire_model: line.spec.wire_model.clone(),
        max_output: (ask.output < most || needs_an_end).then_some(ask.output),
        retry: pending.retry,
        asks: Arc::default(),
    };
    pending.stream = call.stream;
    pending.asked = Some(call.clone());
    pending.wait();
    let mut reply = line.spec.model.complete(&call).await;
    pending.rest(false);
    if let (Some(most), Content::Answer(answer)) = (call.max_output, &mut reply.content) {
        *answer = answer.clone().limited(most);
    }
    drop(call);
    render(&registry.config, pending, reply, with_usage).await
}

/// A request as the model is asked it, and the bytes that the route has added to what the system says.
fn with_system(line: &Line, dialect: Dialect, sent: &Arc<Map<String, Value>>) -> (Arc<Map<String, Value>>, usize) {
    let Some(text) = &line.spec.system else {
        return (sent.clone(), 0);
    };
    let mut body = (**sent).clone();
    dialect.form().add_to_system(&mut body, text);
    (Arc::new(body), text.len())
}

/// Reads a body, when it is its turn; the error is a status and a text for the agent.
async fn read_in_time(registry: &Registry, line: &Line, body: Body) -> Result<Bytes, (u16, String)> {
    // The semaphore is never closed.
    let _reading = line.reading.acquire().await.ok();
    let body = read(body, registry.config.max_request);
    let late = || (408, "the body did not come in time".to_owned());
    let body = tokio::time::timeout(registry.config.read, body).await;
    body.unwrap_or_else(|_| Err(late()))
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
