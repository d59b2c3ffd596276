//! Claude's thoughts, behind an agent that does not send them back.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::Response;
use axum::routing::post;
use mtsec_agents::gateway::recording::Recording;
use mtsec_agents::gateway::replay::{ReplayModel, Then};
use mtsec_agents::gateway::{Model, Varying};
use serde_json::{Value, json};

use crate::provider::KEY;
use crate::support::Bench;
use crate::upstream::model;

/// A server that minds thoughts as Anthropic does: what a chain of calls of tools begins with must be there, and all that is
/// there must be as it was given. It thinks anew only where the user has spoken.
struct Claude {
    base: String,
    seen: Arc<Mutex<Seen>>,
    task: tokio::task::JoinHandle<()>,
}

#[derive(Default)]
struct Seen {
    requests: Vec<Value>,
    /// The id of the first call of each answer, and the thoughts before it.
    given: Vec<(String, Vec<Value>)>,
}

impl Claude {
    async fn start() -> Self {
        let seen = Arc::<Mutex<Seen>>::default();
        let router = Router::new()
            .route("/v1/messages", post(answer))
            .with_state(seen.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let base = format!("http://{}/v1", listener.local_addr().expect("an address"));
        let task = tokio::spawn(async move { axum::serve(listener, router).await.expect("a server") });
        Self { base, seen, task }
    }

    fn requests(&self) -> Vec<Value> {
        self.seen.lock().expect("what was seen").requests.clone()
    }

    fn model(&self) -> Arc<dyn Model> {
        model("claude-sonnet-4", &self.base, KEY)
    }
}

impl Drop for Claude {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn is(block: &Value, kind: &str) -> bool {
    block["type"] == kind
}

fn is_thought(block: &Value) -> bool {
    is(block, "thinking") || is(block, "redacted_thinking")
}

fn blocks(message: &Value) -> Vec<Value> {
    message["content"].as_array().cloned().unwrap_or_default()
}

/// Whether a message hands in results of tools.
fn hands_in(message: &Value) -> bool {
    blocks(message).iter().any(|block| is(block, "tool_result"))
}

/// What is wrong with the thoughts of a request.
fn fault(seen: &Seen, messages: &[Value]) -> Option<String> {
    let last = messages
        .iter()
        .rposition(|message| message["role"] == "user" && !hands_in(message));
    let mut chain = messages[last.expect("a user")..].iter();
    let begins = chain.find(|message| message["role"] == "assistant");
    if begins.is_some_and(|message| !blocks(message).first().is_some_and(is_thought)) {
        return Some("Expected `thinking` or `redacted_thinking`, but found `tool_use`".to_owned());
    }
    for message in messages {
        let (thoughts, rest): (Vec<Value>, Vec<Value>) = blocks(message).into_iter().partition(is_thought);
        let leads = blocks(message).iter().take_while(|block| is_thought(block)).count() == thoughts.len();
        let call = rest.iter().find(|block| is(block, "tool_use"));
        let given = seen
            .given
            .iter()
            .find(|(id, _)| call.is_some_and(|call| call["id"] == **id));
        let is_as_given = thoughts.is_empty() || leads && given.is_some_and(|(_, given)| *given == thoughts);
        if !is_as_given {
            return Some("`thinking` blocks in the latest assistant message cannot be modified".to_owned());
        }
    }
    None
}

async fn answer(State(seen): State<Arc<Mutex<Seen>>>, body: Bytes) -> Response<Body> {
    let request: Value = serde_json::from_slice(&body).expect("a JSON body");
    let mut seen = seen.lock().expect("what was seen");
    seen.requests.push(request.clone());
    let messages = request["messages"].as_array().expect("messages");
    let thinks = request["thinking"]["type"] == "enabled";
    if let Some(message) = fault(&seen, messages).filter(|_| thinks) {
        let error = json!({"type": "error", "error": {"type": "invalid_request_error", "message": message}});
        let response = Response::builder()
            .status(400)
            .header("content-type", "application/json");
        return response.body(Body::from(error.to_string())).expect("a response");
    }
    let number = seen.requests.len();
    let anew = thinks && !messages.last().is_some_and(hands_in);
    let thoughts = match anew {
        true => vec![
            json!({"type": "thinking", "thinking": format!("thought {number} \u{fffd}\"\n"), "signature": format!("sig/{number}==")}),
            json!({"type": "redacted_thinking", "data": format!("secret {number}")}),
        ],
        false => Vec::new(),
    };
    let id = format!("toolu_{number}");
    seen.given.push((id.clone(), thoughts.clone()));
    let call = json!({"type": "tool_use", "id": id, "name": "shell", "input": {"n": number}});
    let content: Vec<Value> = thoughts
        .into_iter()
        .chain([json!({"type": "text", "text": "so"}), call])
        .collect();
    let mut message = json!({
        "id": format!("msg_{number}"), "type": "message", "role": "assistant", "content": content,
        "stop_reason": "tool_use", "usage": {"input_tokens": 10, "output_tokens": 20},
    });
    let (kind, text) = match request["stream"].as_bool() {
        Some(true) => ("text/event-stream", streamed(&mut message)),
        _ => ("application/json", message.to_string()),
    };
    let response = Response::builder().header("content-type", kind);
    response.body(Body::from(text)).expect("a response")
}

/// A message as Anthropic streams it: thoughts in pieces, the signature at their end.
fn streamed(message: &mut Value) -> String {
    let content = message["content"].take();
    message["content"] = json!([]);
    let mut events = vec![json!({"type": "message_start", "message": message})];
    for (index, block) in content.as_array().expect("blocks").iter().enumerate() {
        let (mut first, mut deltas) = (block.clone(), Vec::new());
        let pieces = |member: &str| {
            let text: Vec<char> = block[member].as_str().expect("a text").chars().collect();
            text.chunks(3)
                .map(|piece| piece.iter().collect())
                .collect::<Vec<String>>()
        };
        match block["type"].as_str().expect("a type") {
            "thinking" => {
                first["thinking"] = json!("");
                first["signature"] = json!("");
                let thoughts = pieces("thinking").into_iter();
                deltas.extend(thoughts.map(|piece| json!({"type": "thinking_delta", "thinking": piece})));
                deltas.push(json!({"type": "signature_delta", "signature": block["signature"]}));
            }
            "text" => {
                first["text"] = json!("");
                deltas.push(json!({"type": "text_delta", "text": block["text"]}));
            }
            "tool_use" => {
                first["input"] = json!({});
                deltas.push(json!({"type": "input_json_delta", "partial_json": block["input"].to_string()}));
            }
            _ => {}
        }
        events.push(json!({"type": "content_block_start", "index": index, "content_block": first}));
        let deltas = deltas.into_iter();
        events.extend(deltas.map(|delta| json!({"type": "content_block_delta", "index": index, "delta": delta})));
        events.push(json!({"type": "content_block_stop", "index": index}));
    }
    let usage = json!({"output_tokens": 20});
    events.push(json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": usage}));
    events.push(json!({"type": "message_stop"}));
    let event = |data: &Value| format!("event: {}\ndata: {data}\n\n", data["type"].as_str().expect("a type"));
    events.iter().map(event).collect()
}

/// An agent that forgets thoughts.
struct Agent<'a> {
    bench: &'a Bench,
    stream: bool,
    messages: Vec<Value>,
}

impl Agent<'_> {
    fn body(&self) -> Value {
        json!({"model": "agent", "max_tokens": 8192, "stream": self.stream, "messages": self.messages})
    }

    /// Hears the user, and lets its model call a tool so many times.
    async fn turn(&mut self, text: &str, calls: usize) {
        self.messages.push(json!({"role": "user", "content": text}));
        for _ in 0..calls {
            let (status, said) = self.bench.call_at("messages", &self.body()).await;
            assert_eq!(status, 200, "{said}");
            // What is recorded was recorded before its end was passed on.
            let records = self.bench.records(1);
            let response = &records.last().expect("a call")["response"];
            let message = response.get("message").unwrap_or(response);
            let said: Vec<Value> = blocks(message).into_iter().filter(|block| !is_thought(block)).collect();
            let id = &said.last().expect("a call of a tool")["id"];
            let result = json!({"type": "tool_result", "tool_use_id": id, "content": "done"});
            self.messages.push(json!({"role": "assistant", "content": said}));
            self.messages.push(json!({"role": "user", "content": [result]}));
        }
    }
}

fn agent(bench: &Bench, stream: bool) -> Agent<'_> {
    Agent {
        bench,
        stream,
        messages: Vec::new(),
    }
}

/// Whether the model was made to think in each call that came to it.
fn thinking(requests: &[Value]) -> Vec<bool> {
    requests
        .iter()
        .map(|request| request.get("thinking").is_some())
        .collect()
}

#[tokio::test]
async fn thoughts_are_put_back_so_that_claude_thinks_through_every_turn() {
    for stream in [false, true] {
        let claude = Claude::start().await;
        let bench = Bench::new(claude.model()).await;
        let mut agent = agent(&bench, stream);
        agent.turn("build it", 3).await;
        agent.turn("now mend it", 2).await;
        let requests = claude.requests();
        assert_eq!(thinking(&requests), [true; 5]);
        assert!(requests.iter().all(|request| request["max_tokens"] == 12_192));

        let records = bench.records(1);
        // The record holds what the agent sent, and from where what it left out can be had.
        assert_eq!(records[4]["request"]["messages"], json!(agent.messages[..10]));
        let told = |record: &Value| record["applied"].get("thoughts_put_back").cloned();
        let of = |pairs: &[(u64, u64)]| {
            let each = |(message, call): &(u64, u64)| json!({"message": message, "of_call": call});
            pairs.iter().map(each).collect::<Vec<Value>>()
        };
        assert_eq!(told(&records[0]), None);
        assert_eq!(told(&records[1]), Some(json!(of(&[(1, 1)]))));
        assert_eq!(told(&records[2]), Some(json!(of(&[(1, 1)]))));
        assert_eq!(told(&records[4]), Some(json!(of(&[(1, 1), (8, 4)]))));
        let answered = |record: &Value| record["response"].get("message").unwrap_or(&record["response"]).clone();
        let thoughts = |message: &Value| blocks(message).into_iter().filter(is_thought).collect::<Vec<Value>>();
        let (sent, given) = (&requests[4]["messages"], [answered(&records[0]), answered(&records[3])]);
        assert_eq!(thoughts(&sent[1]), thoughts(&given[0]));
        assert_eq!(thoughts(&sent[8]), thoughts(&given[1]));
        assert_eq!(thoughts(&given[0]).len(), 2);
        assert!(records[4]["applied"].get("messages").is_none());
    }
}

#[tokio::test]
async fn behind_calls_of_which_nothing_is_known_claude_does_not_think_until_the_user_speaks() {
    let claude = Claude::start().await;
    let bench = Bench::new(claude.model()).await;
    let mut agent = agent(&bench, false);
    let (call, result) = (
        json!({"type": "tool_use", "id": "of-another", "name": "shell", "input": {}}),
        json!({"type": "tool_result", "tool_use_id": "of-another", "content": "done"}),
    );
    agent.messages = vec![
        json!({"role": "user", "content": "build it"}),
        json!({"role": "assistant", "content": [call]}),
        json!({"role": "user", "content": [result]}),
    ];
    // What an agent says of thinking itself is its own matter, and refused as ever.
    let mut own = agent.body();
    own["thinking"] = json!({"type": "enabled", "budget_tokens": 2000});
    let mut forged = own.clone();
    let thought = json!({"type": "thinking", "thinking": "mine", "signature": "forged"});
    let content = &mut forged["messages"][1]["content"];
    content.as_array_mut().expect("blocks").insert(0, thought);
    for (body, words) in [(own, "Expected `thinking`"), (forged, "cannot be modified")] {
        let (status, said) = bench.call_at("messages", &body).await;
        assert_eq!(status, 400);
        assert!(said.to_string().contains(words), "{said}");
    }

    assert_eq!(bench.call_at("messages", &agent.body()).await.0, 200);
    let last = claude.requests().pop().expect("a request");
    assert_eq!((last.get("thinking"), &last["max_tokens"]), (None, &json!(8192)));
    let records = bench.records(1);
    assert!(
        records
            .iter()
            .all(|record| record["applied"].get("thoughts_put_back").is_none())
    );
    agent.turn("now mend it", 2).await;
    assert_eq!(thinking(&claude.requests()), [true, true, false, true, true]);
}

#[tokio::test]
async fn routes_do_not_know_each_others_thoughts() {
    let claude = Claude::start().await;
    let (first, second) = (Bench::new(claude.model()).await, Bench::new(claude.model()).await);
    let mut agent = agent(&first, false);
    agent.turn("build it", 1).await;
    assert_eq!(second.call_at("messages", &agent.body()).await.0, 200);
    assert_eq!(first.call_at("messages", &agent.body()).await.0, 200);
    assert_eq!(thinking(&claude.requests()), [true, false, true]);
}

#[tokio::test]
async fn a_replay_puts_nothing_back_and_the_model_that_goes_on_thinks_in_its_own_turns() {
    let claude = Claude::start().await;
    let recorded = Bench::new(claude.model()).await;
    let mut first = agent(&recorded, true);
    first.turn("build it", 2).await;
    let recording = Recording::load(&[(1, recorded.record_path(1))]).expect("a record");
    let then = Then {
        until: 1,
        model: claude.model(),
    };
    let varying = Varying {
        places: None,
        texts: Vec::new(),
    };
    let bench = Bench::new(Arc::new(ReplayModel::new(recording, varying, Some(then)))).await;
    let mut again = agent(&bench, true);
    again.turn("build it", 2).await;
    assert_eq!(again.messages, first.messages);
    assert_eq!(claude.requests().len(), 2, "the recorded turn calls nobody");
    assert!(bench.records(1).iter().all(|record| record.get("applied").is_none()));

    bench.begin(2);
    again.messages.push(json!({"role": "user", "content": "now mend it"}));
    let (status, said) = bench.call_at("messages", &again.body()).await;
    assert_eq!(status, 200, "{said}");
    let last = claude.requests().pop().expect("a request");
    assert_eq!(last["thinking"]["budget_tokens"], 4000);
    let messages = last["messages"].as_array().expect("messages");
    assert!(!messages.iter().flat_map(blocks).any(|block| is_thought(&block)));
}
