//! A model for tests that speaks chat completions.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::script::{Answer, Scripted};

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

pub type Model = Scripted<Reply>;

impl Model {
    /// The last user message of the last request, as text.
    pub fn last_user_message(&self) -> String {
        let requests = self.requests();
        let messages = requests.last().unwrap()["messages"].as_array().unwrap().clone();
        let last = messages.iter().rev().find(|message| message["role"] == "user").unwrap();
        last["content"].as_str().unwrap().to_owned()
    }
}

impl Answer for Reply {
    const ROUTE: &str = "chat/completions";

    fn ok() -> Self {
        text("ok")
    }

    async fn answer(self) -> Response {
        let (content, reason) = match self {
            Self::Text(content) => (content, "stop"),
            Self::Cut(content) => (content, "length"),
            Self::Status(code) => {
                let body =
                    json!({"error": {"message": "scripted failure", "type": "scripted", "code": code.to_string()}});
                return (StatusCode::from_u16(code).unwrap(), Json(body)).into_response();
            }
            Self::Hang(seconds) => {
                tokio::time::sleep(std::time::Duration::from_secs_f64(seconds)).await;
                ("late".to_owned(), "stop")
            }
        };
        let body = json!({
            "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "scripted",
            "choices": [{"index": 0, "finish_reason": reason, "message": {"role": "assistant", "content": content}}],
            "usage": {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110},
        });
        Json(body).into_response()
    }
}
