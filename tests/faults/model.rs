//! What providers do wrong, shown by an HTTP server.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::arena::Arena;
use crate::common::{json_lines, report, tiny_task};

/// A provider that misbehaves as the prompt says: `model: NAME`.
struct Provider {
    base: String,
    /// Fault → when it was asked for.
    calls: Arc<Mutex<HashMap<String, Vec<Instant>>>>,
}

impl Provider {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}/v1", listener.local_addr().unwrap());
        let calls = Arc::new(Mutex::new(HashMap::new()));
        let seen = calls.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let seen = seen.clone();
                std::thread::spawn(move || answer(stream, &seen));
            }
        });
        Self { base, calls }
    }

    fn asked(&self, fault: &str) -> Vec<Instant> {
        self.calls.lock().unwrap().get(fault).cloned().unwrap_or_default()
    }
}

/// Answers one request, and leaves.
fn answer(mut stream: TcpStream, seen: &Mutex<HashMap<String, Vec<Instant>>>) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut length = 0;
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
    let fault = text.split("model: ").nth(1).and_then(|rest| rest.split('.').next());
    let fault = fault.unwrap_or("honest").to_owned();
    let number = {
        let mut seen = seen.lock().unwrap();
        let times = seen.entry(fault.clone()).or_default();
        times.push(Instant::now());
        times.len()
    };
    let code = tiny_task("")["references"]["secure"].as_str()?.to_owned();
    let good = json!({
        "id": "x", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{ "index": 0, "finish_reason": "stop",
            "message": { "role": "assistant", "content": format!("app.py\n```python\n{code}```\n") } }],
        "usage": { "prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15 },
    })
    .to_string();
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
        ("429-once", 1) => say("429 Too Many Requests", "retry-after: 2\r\n", "{}", 2),
        ("500-once", 1) => say("500 Internal Server Error", "", "{}", 2),
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

/// Runs a trial for each of these faults against the provider.
fn run(arena: &Arena, provider: &Provider, faults: &[&str], more: &[&str]) -> Option<i32> {
    let prompts: Vec<(&str, String)> = faults
        .iter()
        .map(|fault| (*fault, format!("model: {fault}.")))
        .collect();
    let arguments = [&["-m", "some-model", "--api-base", &provider.base], more].concat();
    arena.run(&prompts, &arguments).status.code()
}

/// Whether a trial failed in the infrastructure, and what it says; and its last ending.
fn failed(arena: &Arena, fault: &str) -> (String, Value) {
    let record = arena.record(fault);
    assert_eq!(record["outcome"], "infrastructure_failure", "{record:#}");
    (
        record["reason"].as_str().unwrap().to_owned(),
        record["turns"][0].clone(),
    )
}

/// What says nothing about the agent is never a wrong answer, is told by its name, and leaves the exit code 4. What passes
/// is waited for, as long as the provider asks.
#[test]
fn what_a_provider_does_wrong_is_no_wrong_answer_and_what_passes_is_waited_for() {
    let (arena, provider) = (Arena::new(&[]), Provider::start());
    let lost = ["401", "500", "cut", "malformed", "no-json"];
    let passing = ["429-once", "500-once", "slow"];
    let code = run(
        &arena,
        &provider,
        &[&lost[..], &passing].concat(),
        &["-n", "3", "--retries", "1"],
    );
    assert_eq!(code, Some(4));
    for (fault, told) in [
        ("401", "status 401: no such key"),
        ("500", "status 500"),
        ("cut", "no answer from http://127.0.0.1"),
        ("malformed", ""),
        ("no-json", ""),
    ] {
        let (reason, turn) = failed(&arena, fault);
        assert!(
            reason.contains(told) && reason.starts_with("turn 1: "),
            "{fault}: {reason}"
        );
        assert_eq!(turn["ending"], "failed", "{fault}");
        // Tried again as often as the run allows, and no more; each try was kept.
        let kept = format!("{}.try-1", arena.trial(fault).display());
        assert!(std::path::Path::new(&kept).exists(), "{fault}");
        assert!(
            !std::path::Path::new(&kept.replace(".try-1", ".try-2")).exists(),
            "{fault}"
        );
    }
    for fault in passing {
        assert_eq!(arena.record(fault)["verdict"], "correct_secure", "{fault}");
    }
    arena.honest_is_whole();
    let waited = provider.asked("429-once");
    assert_eq!(waited.len(), 2);
    assert!(
        waited[1] - waited[0] >= Duration::from_secs(2),
        "Retry-After was not honoured"
    );
    let rows = report(&arena.folder());
    assert_eq!(
        (
            &rows[0]["infrastructure_failures"],
            &rows[0]["n"],
            &rows[0]["incorrect"]
        ),
        (&5.into(), &4.into(), &0.into())
    );

    // The failures can be tried again later, the rest is not repeated.
    let before = json_lines(&arena.folder().join("journal.jsonl")).len();
    let again = crate::common::program()
        .args(["resume", "--retry-infrastructure"])
        .arg(arena.folder())
        .output()
        .unwrap();
    assert_eq!(again.status.code(), Some(4));
    let events = json_lines(&arena.folder().join("journal.jsonl")).split_off(before);
    let started: Vec<String> = events
        .iter()
        .filter(|event| event["event"] == "trial_started")
        .map(|event| event["key"]["task"].as_str().unwrap().to_owned())
        .collect();
    assert!(
        lost.iter()
            .all(|fault| started.iter().filter(|task| task == fault).count() == 2),
        "{started:?}"
    );
    assert_eq!(started.len(), 2 * lost.len());
}

#[test]
fn a_provider_that_never_comes_to_an_end_costs_its_trial_the_limit_and_no_more() {
    let (arena, provider) = (Arena::new(&[]), Provider::start());
    let more = ["-n", "1", "--retries", "0", "--turn-limit", "8"];
    assert_eq!(run(&arena, &provider, &["hangs", "drips"], &more), Some(4));
    for fault in ["hangs", "drips"] {
        let (reason, turn) = failed(&arena, fault);
        assert!(reason.contains("the model had not answered"), "{reason}");
        assert_eq!((&turn["ending"], &turn["limit"]), (&"timed_out".into(), &"turn".into()));
        assert_eq!(provider.asked(fault).len(), 1, "{fault}");
    }
    arena.honest_is_whole();
}
