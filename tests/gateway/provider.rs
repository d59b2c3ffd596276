//! A provider of its own: a real HTTP server that checks the key and does what a test tells it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Response};
use axum::routing::post;
use futures_util::StreamExt;
use serde_json::{Value, json};

pub const KEY: &str = "sk-real-key-0123456789";

/// What the provider does with one request.
pub enum Act {
    Answer {
        status: u16,
        headers: Vec<(&'static str, String)>,
        body: String,
    },
    /// Pieces of a stream; with `broken` the connection breaks after the last.
    Stream { pieces: Vec<String>, broken: bool },
    /// The beginning of a body that was to be longer; then the connection breaks.
    CutOff(&'static str),
    /// Never answers.
    Hang,
}

impl Act {
    pub fn json(status: u16, body: Value) -> Self {
        Self::Answer {
            status,
            headers: vec![("content-type", "application/json".to_owned())],
            body: body.to_string(),
        }
    }

    pub fn error(status: u16, headers: &[(&'static str, &str)], message: &str) -> Self {
        let headers = headers
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()))
            .collect();
        Self::Answer {
            status,
            headers,
            body: json!({"error": {"message": message}}).to_string(),
        }
    }
}

/// A completion that says `text`.
pub fn completion(text: &str) -> Value {
    json!({
        "id": "c1", "object": "chat.completion", "model": "wire-1",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 40}},
    })
}

#[derive(Default)]
struct Stage {
    acts: VecDeque<Act>,
    requests: Vec<Value>,
}

/// The running server.
pub struct Provider {
    pub base: String,
    stage: Arc<Mutex<Stage>>,
    task: tokio::task::JoinHandle<()>,
}

impl Provider {
    pub async fn start(acts: Vec<Act>) -> Self {
        let stage = Arc::new(Mutex::new(Stage {
            acts: acts.into(),
            requests: Vec::new(),
        }));
        let router = Router::new()
            .route("/v1/chat/completions", post(answer))
            .route("/v1/responses", post(answer))
            .route("/v1/messages", post(answer_messages))
            .with_state(stage.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let base = format!("http://{}/v1", listener.local_addr().expect("an address"));
        let task = tokio::spawn(async move { axum::serve(listener, router).await.expect("a server") });
        Self { base, stage, task }
    }

    /// The bodies received so far, with the right key.
    pub fn requests(&self) -> Vec<Value> {
        self.stage.lock().expect("the stage").requests.clone()
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.task.abort();
    }
}

type Staged = State<Arc<Mutex<Stage>>>;

async fn answer(State(stage): Staged, headers: HeaderMap, body: Bytes) -> Response<Body> {
    let key = headers.get("authorization").and_then(|value| value.to_str().ok());
    let key = key.and_then(|key| key.strip_prefix("Bearer "));
    perform(&stage, key.unwrap_or_default(), &body).await
}

/// Anthropic has a header of its own for its keys, and wants to be told its version.
async fn answer_messages(State(stage): Staged, headers: HeaderMap, body: Bytes) -> Response<Body> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let key = text("x-api-key").filter(|_| text("anthropic-version") == Some("2023-06-01"));
    let key = key.filter(|_| text("authorization").is_none());
    perform(&stage, key.unwrap_or_default(), &body).await
}

async fn perform(stage: &Mutex<Stage>, key: &str, body: &Bytes) -> Response<Body> {
    let act = if key == KEY {
        let mut stage = stage.lock().expect("the stage");
        stage.requests.push(serde_json::from_slice(body).expect("a JSON body"));
        stage
            .acts
            .pop_front()
            .unwrap_or_else(|| Act::json(200, completion("again")))
    } else {
        Act::error(401, &[], &format!("Incorrect API key provided: {key}"))
    };
    match act {
        Act::Answer { status, headers, body } => {
            let response = headers
                .into_iter()
                .fold(Response::builder().status(status), |response, (name, value)| {
                    response.header(name, value)
                });
            response.body(Body::from(body)).expect("a response")
        }
        Act::Stream { pieces, broken } => {
            let pieces = pieces.into_iter().map(Ok::<_, std::io::Error>);
            let end = broken.then(|| Err(std::io::Error::other("broken")));
            // Each piece on its own, so that the gateway sees events cut anywhere.
            let pieces = futures_util::stream::unfold(pieces.chain(end), async |mut pieces| {
                tokio::task::yield_now().await;
                pieces.next().map(|piece| (piece, pieces))
            });
            let response = Response::builder().header("content-type", "text/event-stream");
            response.body(Body::from_stream(pieces)).expect("a response")
        }
        Act::CutOff(beginning) => {
            let pieces = [Ok(beginning), Err(std::io::Error::other("broken"))];
            let pieces = futures_util::stream::iter(pieces).then(async |piece| {
                tokio::task::yield_now().await;
                piece
            });
            let response = Response::builder().header("content-type", "application/json");
            response.body(Body::from_stream(pieces)).expect("a response")
        }
        Act::Hang => std::future::pending().await,
    }
}
