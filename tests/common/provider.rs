//! An HTTP server that speaks the dialects of providers, and misbehaves on demand.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::tiny_task;

/// A provider that misbehaves as the prompt says: `model: NAME`.
pub struct Provider {
    /// Its API base.
    pub base: String,
    /// Fault → when it was asked for.
    calls: Arc<Mutex<HashMap<String, Vec<Instant>>>>,
    /// What it was sent, in order.
    bodies: Arc<Mutex<Vec<Value>>>,
}

impl Provider {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}/v1", listener.local_addr().unwrap());
        let calls = Arc::new(Mutex::new(HashMap::new()));
        let bodies = Arc::new(Mutex::new(Vec::new()));
        let (seen, sent) = (calls.clone(), bodies.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (seen, sent) = (seen.clone(), sent.clone());
                std::thread::spawn(move || answer(stream, &seen, &sent));
            }
        });
        Self { base, calls, bodies }
    }

    /// What it was sent so far.
    pub fn bodies(&self) -> Vec<Value> {
        self.bodies.lock().unwrap().clone()
    }

    /// When a fault was asked for, each time.
    pub fn asked(&self, fault: &str) -> Vec<Instant> {
        self.calls.lock().unwrap().get(fault).cloned().unwrap_or_default()
    }
}

/// Answers one request, and leaves.
fn answer(mut stream: TcpStream, seen: &Mutex<HashMap<String, Vec<Instant>>>, sent: &Mutex<Vec<Value>>) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut length = 0;
    let mut asked = String::new();
    reader.read_line(&mut asked).ok()?;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let line = line.trim_end().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let text = String::from_utf8(body).ok()?;
    sent.lock().unwrap().extend(serde_json::from_str::<Value>(&text));
    let fault = text.split("model: ").nth(1).and_then(|rest| rest.split('.').next());
    let fault = fault.unwrap_or("honest").to_owned();
    let number = {
        let mut seen = seen.lock().unwrap();
        let times = seen.entry(fault.clone()).or_default();
        times.push(Instant::now());
        times.len()
    };
    let code = tiny_task("")["references"]["secure"].as_str()?.to_owned();
    let path = asked.split_whitespace().nth(1).unwrap_or_default();
    let good = good(path, number, &code).to_string();
    let refusal = |message: &str| json!({ "error": { "message": message, "type": "error" } }).to_string();
    let mut say = |status: &str, headers: &str, body: &str, claimed: usize| {
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\n{headers}content-length: {claimed}\r\nconnection: close\r\n\r\n"
        );
        stream
            .write_all(head.as_bytes())
            .and_then(|()| stream.write_all(body.as_bytes()))
            .ok()
    };
    match (fault.as_str(), number) {
        ("401", _) => say(
            "401 Unauthorized",
            "",
            &refusal("no such key"),
            refusal("no such key").len(),
        ),
        ("429", _) => say("429 Too Many Requests", "x-should-retry: false\r\n", "{}", 2),
        ("429-once", 1) => say("429 Too Many Requests", "retry-after: 2\r\n", "{}", 2),
        (once, 1) if once.starts_with("500-once") => say("500 Internal Server Error", "", "{}", 2),
        ("500", _) => say("500 Internal Server Error", "x-should-retry: false\r\n", "{}", 2),
        ("cut", _) => say("200 OK", "", &good[..50], good.len()),
        ("malformed", _) => say("200 OK", "", "{\"choices\": [", 13),
        ("no-json", _) => say("200 OK", "", "<html>", 6),
        ("hangs", _) => {
            std::thread::sleep(Duration::from_secs(600));
            None
        }
        ("drips", _) => {
            say("200 OK", "", "", 100_000)?;
            loop {
                stream.write_all(b" ").ok()?;
                std::thread::sleep(Duration::from_millis(100));
            }
        }
        ("slow", _) => {
            say("200 OK", "", "", good.len())?;
            for byte in good.as_bytes() {
                stream.write_all(&[*byte]).ok()?;
                std::thread::sleep(Duration::from_millis(2));
            }
            Some(())
        }
        _ => say("200 OK", "", &good, good.len()),
    }
}

/// The answer to the call of this number, in the dialect of its path.
fn good(path: &str, number: usize, code: &str) -> Value {
    let text = format!("Answer {number}:\n```python\n{code}```\n");
    if path.ends_with("/responses") {
        return json!({
            "id": "x", "object": "response", "created_at": 1, "model": "m", "status": "completed",
            "output": [{ "type": "message", "id": "y", "role": "assistant", "status": "completed",
                "content": [{ "type": "output_text", "text": text, "annotations": [] }] }],
            "usage": { "input_tokens": 10, "output_tokens": 5, "total_tokens": 15 },
        });
    }
    if path.ends_with("/messages") {
        return json!({
            "id": "x", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn",
            "content": [{ "type": "text", "text": text }],
            "usage": { "input_tokens": 10, "output_tokens": 5 },
        });
    }
    json!({
        "id": "x", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{ "index": 0, "finish_reason": "stop",
            "message": { "role": "assistant", "content": format!("app.py\n```python\n{code}```\n") } }],
        "usage": { "prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15 },
    })
}
