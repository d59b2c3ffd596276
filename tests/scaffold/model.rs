//! A model for tests: an HTTP server that speaks chat completions, replies as it is told, and keeps every request.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};

/// What the server does with one request.
#[derive(Debug, Clone)]
pub enum Reply {
    Text(String),
    /// The text, cut off at the model's limit.
    Cut(String),
    Status(u16),
    /// No answer for this many seconds.
    Hang(f64),
}

pub fn text(text: impl Into<String>) -> Reply {
    Reply::Text(text.into())
}

#[derive(Default)]
struct Script {
    replies: VecDeque<Reply>,
    requests: Vec<Value>,
    /// What the gateway takes out of requests.
    guard: String,
}

#[derive(Clone)]
pub struct Model {
    script: Arc<Mutex<Script>>,
    pub base: String,
}

impl Model {
    /// Starts a server that gives these replies in turn, and `ok` once they are used up.
    pub async fn start(replies: impl IntoIterator<Item = Reply>) -> Self {
        let replies = replies.into_iter().collect();
        let script = Arc::new(Mutex::new(Script {
            replies,
            ..Script::default()
        }));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}/t/token/v1", listener.local_addr().unwrap());
        let router = Router::new()
            .route("/t/token/v1/chat/completions", post(complete))
            .with_state(script.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { script, base }
    }

    pub fn then(&self, reply: Reply) {
        self.script.lock().unwrap().replies.push_back(reply);
    }

    pub fn guard(&self, guard: &str) {
        self.script.lock().unwrap().guard = guard.to_owned();
    }

    pub fn requests(&self) -> Vec<Value> {
        self.script.lock().unwrap().requests.clone()
    }

    /// The last user message of the last request, as text.
    pub fn last_user_message(&self) -> String {
        let requests = self.requests();
        let messages = requests.last().unwrap()["messages"].as_array().unwrap().clone();
        let last = messages.iter().rev().find(|message| message["role"] == "user").unwrap();
        last["content"].as_str().unwrap().to_owned()
    }
}

async fn complete(
    State(script): State<Arc<Mutex<Script>>>,
    headers: HeaderMap,
    body: String,
) -> (StatusCode, Json<Value>) {
    let guard = script.lock().unwrap().guard.clone();
    let body = if guard.is_empty() {
        body
    } else {
        body.replace(&guard, "")
    };
    let request: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(headers["authorization"], "Bearer dummy-key");
    let reply = {
        let mut script = script.lock().unwrap();
        script.requests.push(request);
        script.replies.pop_front().unwrap_or_else(|| text("ok"))
    };
    let (content, reason) = match reply {
        Reply::Text(content) => (content, "stop"),
        Reply::Cut(content) => (content, "length"),
        Reply::Status(code) => {
            let body = json!({"error": {"message": "scripted failure", "type": "scripted", "code": code.to_string()}});
            return (StatusCode::from_u16(code).unwrap(), Json(body));
        }
        Reply::Hang(seconds) => {
            tokio::time::sleep(std::time::Duration::from_secs_f64(seconds)).await;
            ("late".to_owned(), "stop")
        }
    };
    let body = json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "scripted",
        "choices": [{"index": 0, "finish_reason": reason, "message": {"role": "assistant", "content": content}}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110},
    });
    (StatusCode::OK, Json(body))
}
