//! An HTTP server that checks its key and speaks one dialect, and conversations with it through the whole program.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::MethodRouter;
use axum::{Json, Router};
use serde_json::{Value, json};

use super::{program, report, tiny_task};

/// Occurs nowhere but in the environment of the program and in its requests to the provider.
pub const KEY: &str = "sk-canary-5f0d6c1e9b7a4d2f";

#[derive(Clone, Default)]
pub struct Provider {
    pub bodies: Arc<Mutex<Vec<Value>>>,
    /// Whether the first call is never answered.
    pub silent_at_first: bool,
}

/// Speaks Anthropic messages and nothing else: the whole file in each answer.
pub async fn message(
    State(provider): State<Provider>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> (StatusCode, Json<Value>) {
    provider.bodies.lock().unwrap().push(body);
    if headers.get("x-api-key").is_none_or(|value| value != KEY) || !headers.contains_key("anthropic-version") {
        let error =
            json!({ "type": "error", "error": { "type": "authentication_error", "message": "invalid x-api-key" } });
        return (StatusCode::UNAUTHORIZED, Json(error));
    }
    let body = provider.bodies.lock().unwrap().last().cloned().unwrap_or_default();
    if let Some(why) = refuses(&body) {
        let error = json!({ "type": "error", "error": { "type": "invalid_request_error", "message": why } });
        return (StatusCode::BAD_REQUEST, Json(error));
    }
    let answer = json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "stop_reason": "end_turn", "stop_sequence": null,
        "content": [{ "type": "text", "text": whole_file() }],
        "usage": { "input_tokens": 600, "cache_read_input_tokens": 400, "cache_creation_input_tokens": 0, "output_tokens": 50 },
    });
    (StatusCode::OK, Json(answer))
}

/// What Anthropic does not take of a request that asks for thinking.
fn refuses(body: &Value) -> Option<&'static str> {
    let thinking = &body["thinking"];
    if thinking["type"] != "enabled" {
        return None;
    }
    let budget = thinking["budget_tokens"].as_u64().unwrap_or_default();
    match () {
        () if budget < 1024 => Some("thinking.budget_tokens: must be at least 1024"),
        () if body["max_tokens"].as_u64().is_none_or(|most| most <= budget) => {
            Some("max_tokens must be greater than thinking.budget_tokens")
        }
        () if body.get("temperature").is_some_and(|temperature| temperature != 1) => {
            Some("temperature may only be set to 1 when thinking is enabled")
        }
        () => None,
    }
}

/// Speaks chat completions and nothing else, likewise.
pub async fn chat(State(provider): State<Provider>, headers: HeaderMap, Json(body): Json<Value>) -> Response {
    provider.bodies.lock().unwrap().push(body);
    if headers
        .get("authorization")
        .is_none_or(|value| value != &format!("Bearer {KEY}"))
    {
        let error = json!({ "error": { "message": "no such key" } });
        return (StatusCode::UNAUTHORIZED, Json(error)).into_response();
    }
    let body = provider.bodies.lock().unwrap().last().cloned().unwrap_or_default();
    if body["stream"] == true {
        return (StatusCode::OK, streamed(&whole_file())).into_response();
    }
    let answer = json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{ "index": 0, "finish_reason": "stop", "message": { "role": "assistant", "content": whole_file() } }],
        "usage": { "prompt_tokens": 1000, "completion_tokens": 50, "total_tokens": 1050 },
    });
    Json(answer).into_response()
}

/// A text as a stream of chat completions.
fn streamed(text: &str) -> ([(HeaderName, &'static str); 1], String) {
    let chunk = |delta: Value, reason: Value, usage: Value| {
        let choice = json!({ "index": 0, "delta": delta, "finish_reason": reason });
        let chunk = json!({ "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m",
            "choices": [choice], "usage": usage });
        format!("data: {chunk}\n\n")
    };
    let usage = json!({ "prompt_tokens": 1000, "completion_tokens": 50, "total_tokens": 1050 });
    let events = [
        chunk(
            json!({ "role": "assistant", "content": text }),
            Value::Null,
            Value::Null,
        ),
        chunk(json!({}), "stop".into(), usage),
        "data: [DONE]\n\n".to_owned(),
    ];
    ([(header::CONTENT_TYPE, "text/event-stream")], events.concat())
}

/// What Aider and the bare model both take for the file.
pub fn whole_file() -> String {
    let code = tiny_task("")["references"]["secure"].as_str().unwrap().to_owned();
    format!("Here it is.\n\napp.py\n```python\n{code}```\n")
}

/// The tiny task in three turns.
fn three_turns() -> String {
    let mut task = tiny_task("tiny");
    task["conversations"]["editing"] = json!([
        "Write `double(n)`.",
        "Change it: negative numbers raise ValueError.",
        "Keep it short."
    ]);
    task.to_string()
}

/// Runs a whole conversation with a model of the table at another server; the run's folder.
pub fn converse(place: &Path, base: &str, scaffold: &str, model: &str, more: &[&str]) -> PathBuf {
    let (_, folder) = conversed(place, base, scaffold, model, more, 0);
    folder
}

/// The same with the exit code that is expected; what was said on standard error, too.
pub fn conversed(place: &Path, base: &str, scaffold: &str, model: &str, more: &[&str], code: i32) -> (String, PathBuf) {
    std::fs::write(place.join("t.jsonl"), three_turns()).unwrap();
    let arguments = ["run", scaffold, "-m", model, "--api-base", base, "--tasks", "t.jsonl"];
    let output = program()
        .current_dir(place)
        .env("MTSEC_API_KEY", KEY)
        .args(arguments)
        .args(["--interaction", "editing", "--retries", "0", "--job-name", scaffold])
        .args(more)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{said}");
    (said, place.join("jobs").join(scaffold))
}

/// The record of a run's only trial.
pub fn record(folder: &Path) -> Value {
    let trials = std::fs::read_dir(folder.join("trials")).unwrap();
    let trial = trials.map(|entry| entry.unwrap().path()).next().unwrap();
    serde_json::from_slice(&std::fs::read(trial.join("trial.json")).unwrap()).unwrap()
}

/// That every answer was counted, and that the key was left nowhere.
pub fn counted_and_kept(place: &Path, folder: &Path) {
    let rows = report(folder);
    assert_eq!((&rows[0]["n"], &rows[0]["correct_secure"]), (&1.into(), &1.into()));
    let usage = &rows[0]["usage"];
    assert_eq!(
        (&usage["input_tokens"], &usage["output_tokens"]),
        (&3000.into(), &150.into()),
        "{usage}"
    );
    no_key_below(place);
}

pub fn no_key_below(place: &Path) {
    for entry in walkdir::WalkDir::new(place).into_iter().map(Result::unwrap) {
        if entry.file_type().is_file() {
            let content = std::fs::read(entry.path()).unwrap();
            let leaked = content.windows(KEY.len()).any(|window| window == KEY.as_bytes());
            assert!(!leaked, "the key is in {}", entry.path().display());
        }
    }
}

/// A provider that has one path.
pub fn serve(path: &str, method: MethodRouter<Provider>, silent_at_first: bool) -> (String, Provider) {
    let provider = Provider {
        silent_at_first,
        ..Provider::default()
    };
    let router = Router::new().route(path, method).with_state(provider.clone());
    (listen(router), provider)
}

/// Serves until the tests are over; the API base.
pub fn listen(router: Router) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let base = format!("http://{}/v1", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async { axum::serve(tokio::net::TcpListener::from_std(listener).unwrap(), router).await })
    });
    base
}
