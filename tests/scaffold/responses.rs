//! A model for tests that speaks the Responses API, as a stream of events.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::script::{Answer, Scripted};

/// What the server does with one request.
#[derive(Debug, Clone)]
pub enum Reply {
    /// A whole answer of these items.
    Items(Vec<Value>),
    /// The stream ends after these items.
    Cut(Vec<Value>),
    /// The answer has failed, for this reason.
    Failed(&'static str),
    Status(u16),
    /// No answer for this many seconds.
    Hang(f64),
}

/// A message to the user.
pub fn say(text: &str) -> Value {
    json!({"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
           "content": [{"type": "output_text", "text": text, "annotations": []}]})
}

/// A call of the shell.
pub fn shell(command: &[&str]) -> Value {
    let arguments = json!({"command": command}).to_string();
    json!({"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "shell", "arguments": arguments})
}

/// A script in Bash, as models write it.
pub fn bash(script: &str) -> Reply {
    Reply::Items(vec![shell(&["bash", "-lc", script])])
}

/// A patch, as models write it.
pub fn patch(hunks: &str) -> Reply {
    bash(&format!(
        "apply_patch <<'EOF'\n*** Begin Patch\n{hunks}*** End Patch\nEOF\n"
    ))
}

pub fn text(text: &str) -> Reply {
    Reply::Items(vec![say(text)])
}

pub type Model = Scripted<Reply>;

impl Model {
    /// What the last request says of the outputs of its tools.
    pub fn last_output(&self) -> String {
        let requests = self.requests();
        let input = requests.last().unwrap()["input"].as_array().unwrap();
        let outputs = input.iter().filter(|item| item["type"] == "function_call_output");
        outputs.collect::<Vec<_>>().pop().unwrap()["output"]
            .as_str()
            .unwrap()
            .to_owned()
    }
}

/// The texts of the user in a request, without what the agent itself says first.
pub fn user_texts(request: &Value) -> Vec<String> {
    let input = request["input"].as_array().unwrap();
    let users = input.iter().filter(|item| item["role"] == "user");
    let texts = users.map(|item| item["content"][0]["text"].as_str().unwrap().to_owned());
    texts
        .filter(|text| !text.starts_with("<environment_context>"))
        .collect()
}

impl Answer for Reply {
    const ROUTE: &str = "responses";

    fn ok() -> Self {
        text("ok")
    }

    async fn answer(self) -> Response {
        let usage = json!({"input_tokens": 100, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 10,
                           "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 110});
        let mut events = vec![json!({"type": "response.created", "response": {"id": "resp_1"}})];
        let done = |item: Value| json!({"type": "response.output_item.done", "output_index": 0, "item": item});
        match self {
            Self::Items(items) => {
                events.extend(items.into_iter().map(done));
                events.push(json!({"type": "response.completed", "response": {"id": "resp_1", "usage": usage}}));
            }
            Self::Cut(items) => events.extend(items.into_iter().map(done)),
            Self::Failed(reason) => {
                let error = json!({"code": reason, "message": format!("scripted: {reason}")});
                events.push(json!({"type": "response.failed", "response": {"id": "resp_1", "error": error}}));
            }
            Self::Status(code) => {
                let body = json!({"error": {"message": "scripted failure", "type": "scripted", "code": null}});
                return (StatusCode::from_u16(code).unwrap(), body.to_string()).into_response();
            }
            Self::Hang(seconds) => tokio::time::sleep(std::time::Duration::from_secs_f64(seconds)).await,
        }
        let stream: String = events
            .iter()
            .map(|event| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap()))
            .collect();
        ([(header::CONTENT_TYPE, "text/event-stream")], stream).into_response()
    }
}
