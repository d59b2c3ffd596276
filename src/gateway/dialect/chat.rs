//! OpenAI chat completions: requests read, answers and errors rendered, streams assembled.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::gateway::failure::{Failure, FailureKind};
use crate::gateway::model::{Answer, Tokens, ToolCall};

/// Characters of content per event of a rendered stream.
const PIECE: usize = 200;

/// Reads a request; the error is for the agent.
pub fn parse(body: &[u8]) -> Result<Map<String, Value>, String> {
    let value: Value = serde_json::from_slice(body).map_err(|error| format!("the body is not JSON: {error}"))?;
    let Value::Object(body) = value else {
        return Err("the body must be a JSON object".to_owned());
    };
    if !body.get("messages").is_some_and(Value::is_array) {
        return Err("`messages` must be an array".to_owned());
    }
    match body.get("stream") {
        None | Some(Value::Null | Value::Bool(_)) => Ok(body),
        Some(_) => Err("`stream` must be true or false".to_owned()),
    }
}

/// Whether the agent asks for server-sent events.
pub fn streams(body: &Map<String, Value>) -> bool {
    body.get("stream").and_then(Value::as_bool).unwrap_or(false)
}

/// Whether the agent asks for the usage at the end of its stream.
pub fn wants_usage(body: &Map<String, Value>) -> bool {
    let options = body.get("stream_options");
    options
        .and_then(|options| options.get("include_usage"))
        .and_then(Value::as_bool)
        .unwrap_or(false)
}

/// Most choices that an answer may have.
const MOST_CHOICES: u64 = 8;

/// How many choices of an answer are asked for; the error is for the agent.
pub fn choices(body: &Map<String, Value>) -> Result<u64, String> {
    match body.get("n") {
        None | Some(Value::Null) => Ok(1),
        Some(number) => number
            .as_u64()
            .filter(|number| (1..=MOST_CHOICES).contains(number))
            .ok_or_else(|| format!("`n` must be between 1 and {MOST_CHOICES}")),
    }
}

/// The members that limit an answer's tokens.
const OUTPUT_LIMITS: [&str; 2] = ["max_completion_tokens", "max_tokens"];

/// The most tokens that the answer may have by the request's own words: where it has two, it is for the provider to say
/// which of them counts.
pub fn max_output(body: &Map<String, Value>) -> Option<u64> {
    let limits = OUTPUT_LIMITS.iter().filter_map(|name| body.get(*name)?.as_u64());
    limits.max()
}

/// Whether every limit that the request names is a number, and none is above `most`.
pub fn keeps_output_below(body: &Map<String, Value>, most: u64) -> bool {
    let mut named = OUTPUT_LIMITS.iter().filter_map(|name| body.get(*name));
    named.all(|limit| limit.is_null() || limit.as_u64().is_some_and(|limit| limit <= most))
}

/// The members that limit an answer to `most` tokens: those that the request has, else `default`.
pub fn limit_output(body: &Map<String, Value>, most: u64, default: &str) -> Vec<(String, Value)> {
    let named = OUTPUT_LIMITS
        .iter()
        .filter(|name| body.get(**name).is_some_and(|value| !value.is_null()));
    let mut limits: Vec<(String, Value)> = named.map(|name| ((*name).to_owned(), json!(most))).collect();
    if limits.is_empty() {
        limits.push((default.to_owned(), json!(most)));
    }
    limits
}

/// The texts of all messages in order; content may be a text or an array of typed parts.
pub fn prompt_texts(body: &Map<String, Value>) -> impl Iterator<Item = &str> {
    let messages = body.get("messages").and_then(Value::as_array).into_iter().flatten();
    messages
        .filter_map(|message| message.get("content"))
        .flat_map(|content| {
            let parts = content
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|part| part.get("text"));
            std::iter::once(content).chain(parts).filter_map(Value::as_str)
        })
}

/// An error in the form that OpenAI's clients understand.
pub fn error(status: u16, message: &str) -> Value {
    let kind = match status {
        401 | 403 => "authentication_error",
        429 => "rate_limit_error",
        400..=499 => "invalid_request_error",
        _ => "server_error",
    };
    let code = match status {
        401 => json!("invalid_api_key"),
        _ => Value::Null,
    };
    json!({"error": {"message": message, "type": kind, "param": null, "code": code}})
}

fn usage(tokens: &Tokens) -> Value {
    json!({
        "prompt_tokens": tokens.input,
        "completion_tokens": tokens.output,
        "total_tokens": tokens.input + tokens.output,
    })
}

/// The `finish_reason` of an answer that the provider could not finish.
pub const BROKEN: &str = "error";

/// The tokens that an answer, or the last event of a stream, tells.
pub fn tokens(answer: &Value) -> Option<Tokens> {
    let usage = answer.get("usage")?;
    // Some servers count in floats.
    let whole = |value: f64| (value >= 0.0 && value.fract() == 0.0 && value < 1e15).then_some(value as u64);
    let count = |value: Option<&Value>| value.and_then(|value| value.as_u64().or_else(|| whole(value.as_f64()?)));
    Some(Tokens {
        input: count(usage.get("prompt_tokens"))?,
        cached: count(usage.pointer("/prompt_tokens_details/cached_tokens")).unwrap_or(0),
        output: count(usage.get("completion_tokens")).unwrap_or(0),
    })
}

/// A call of a tool; its id follows from that of the answer.
fn tool_call(id: &str, index: usize, call: &ToolCall, arguments: &str) -> Value {
    let numbers = id.trim_start_matches("chatcmpl-");
    json!({
        "id": format!("call-{numbers}-{}", index + 1), "type": "function",
        "function": {"name": call.name, "arguments": arguments},
    })
}

/// Renders an answer as one body.
pub fn body(id: &str, model: &str, answer: &Answer) -> Value {
    let mut message = json!({"role": "assistant", "content": answer.text});
    if !answer.calls.is_empty() {
        let calls = answer.calls.iter().enumerate();
        let calls = calls.map(|(index, call)| tool_call(id, index, call, &call.arguments.to_string()));
        message["tool_calls"] = calls.collect();
        if answer.text.is_empty() {
            message["content"] = Value::Null;
        }
    }
    json!({
        "id": id, "object": "chat.completion", "created": jiff::Timestamp::now().as_second(), "model": model,
        "choices": [{
            "index": 0,
            "message": message,
            "finish_reason": answer.finish_reason,
        }],
        "usage": usage(&answer.tokens),
    })
}

/// Renders an answer as server-sent events, the last but one telling the usage; one that is to be cut ends in a failure.
pub fn events(id: &str, model: &str, answer: &Answer) -> Vec<Result<Bytes, Failure>> {
    let created = jiff::Timestamp::now().as_second();
    let head = json!({"id": id, "object": "chat.completion.chunk", "created": created, "model": model});
    let event = |choices: Value, usage: Option<Value>| {
        let mut chunk = head.clone();
        chunk["choices"] = choices;
        if let Some(usage) = usage {
            chunk["usage"] = usage;
        }
        Ok(Bytes::from(format!("data: {chunk}\n\n")))
    };
    let choice = |delta: Value, finish: Value| json!([{"index": 0, "delta": delta, "finish_reason": finish}]);
    let mut events = vec![event(
        choice(json!({"role": "assistant", "content": ""}), Value::Null),
        None,
    )];
    let shown = answer.cut_after.unwrap_or(usize::MAX);
    for piece in pieces(&answer.text, shown) {
        events.push(event(choice(json!({"content": piece}), Value::Null), None));
    }
    if answer.cut_after.is_some() {
        events.push(Err(cut()));
        return events;
    }
    for (index, call) in answer.calls.iter().enumerate() {
        let mut first = tool_call(id, index, call, "");
        first["index"] = json!(index);
        events.push(event(choice(json!({"tool_calls": [first]}), Value::Null), None));
        for piece in pieces(&call.arguments.to_string(), usize::MAX) {
            let more = json!([{"index": index, "function": {"arguments": piece}}]);
            events.push(event(choice(json!({"tool_calls": more}), Value::Null), None));
        }
    }
    events.push(event(choice(json!({}), json!(answer.finish_reason)), None));
    events.push(event(json!([]), Some(usage(&answer.tokens))));
    events.push(Ok(Bytes::from_static(b"data: [DONE]\n\n")));
    events
}

/// The first `shown` characters of a text in pieces.
fn pieces(text: &str, shown: usize) -> Vec<String> {
    let characters: Vec<char> = text.chars().take(shown).collect();
    characters.chunks(PIECE).map(|piece| piece.iter().collect()).collect()
}

/// The failure of an answer that broke off.
pub fn cut() -> Failure {
    Failure {
        kind: FailureKind::Cut,
        status: None,
        message: "the answer broke off".to_owned(),
    }
}

/// Puts a stream together again: its raw events, the message that they add up to, and the tokens.
#[derive(Debug, Default)]
pub struct Assembler {
    raw: String,
    content: String,
    reasoning: String,
    tool_calls: Vec<Value>,
    finish_reason: Option<String>,
    tokens: Option<Tokens>,
    done: bool,
    /// Whether there was any part of an answer.
    began: bool,
    error: Option<String>,
}

impl Assembler {
    /// Takes one whole event; says whether it tells only the usage.
    pub fn push(&mut self, event: &[u8]) -> bool {
        let text = String::from_utf8_lossy(event);
        self.raw.push_str(&text);
        let mut only_usage = false;
        for data in text.lines().filter_map(|line| line.strip_prefix("data:")) {
            let data = data.trim();
            if data == "[DONE]" {
                self.done = true;
            } else if let Ok(chunk) = serde_json::from_str::<Value>(data) {
                only_usage = self.take(&chunk);
            }
        }
        only_usage
    }

    fn take(&mut self, chunk: &Value) -> bool {
        if let Some(error) = chunk.get("error").filter(|error| !error.is_null()) {
            let message = error.get("message").and_then(Value::as_str);
            self.error = Some(message.map_or_else(|| error.to_string(), str::to_owned));
        }
        let tokens = tokens(chunk);
        self.tokens = tokens.or(self.tokens);
        let choices = chunk.get("choices").and_then(Value::as_array);
        if let Some(choice) = choices.and_then(|choices| choices.first()) {
            if let Some(delta) = choice.get("delta") {
                let text = |name: &str| delta.get(name).and_then(Value::as_str).unwrap_or_default();
                self.content.push_str(text("content"));
                self.reasoning.push_str(text("reasoning_content"));
                for call in delta.get("tool_calls").and_then(Value::as_array).into_iter().flatten() {
                    self.tool_call(call);
                }
            }
            self.began = true;
            if let Some(reason) = choice.get("finish_reason").and_then(Value::as_str) {
                if reason == BROKEN {
                    let message = choice.pointer("/error/message").and_then(Value::as_str);
                    let message = message.unwrap_or("the provider ended its answer with an error");
                    self.error.get_or_insert_with(|| message.to_owned());
                }
                self.finish_reason = Some(reason.to_owned());
            }
        }
        tokens.is_some() && choices.is_some_and(Vec::is_empty)
    }

    /// Tool calls arrive in pieces: the first names the function, later ones append to its arguments.
    fn tool_call(&mut self, piece: &Value) {
        let index = piece.get("index").and_then(Value::as_u64).unwrap_or(0);
        let known = self
            .tool_calls
            .iter()
            .position(|call| call.get("index").and_then(Value::as_u64) == Some(index));
        let Some(call) = known.and_then(|position| self.tool_calls.get_mut(position)) else {
            let mut first = piece.clone();
            if let Some(members) = first.as_object_mut() {
                members.insert("index".to_owned(), json!(index));
                self.tool_calls.push(first);
            }
            return;
        };
        let more = piece
            .pointer("/function/arguments")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if let Some(Value::String(arguments)) = call.pointer_mut("/function/arguments") {
            arguments.push_str(more);
        }
    }

    /// Whether the stream said that it is over.
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// Whether the answer is whole, even if the closing event never came.
    pub fn is_whole(&self) -> bool {
        self.error.is_none() && (self.finish_reason.is_some() || (self.done && self.began))
    }

    /// The error that came as an event.
    pub fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }

    pub fn tokens(&self) -> Option<Tokens> {
        self.tokens
    }

    /// Bytes held.
    pub fn size(&self) -> usize {
        self.raw.len()
    }

    /// For the record: raw events and the message.
    pub fn into_value(self) -> Value {
        let mut message = json!({"role": "assistant", "content": self.content});
        if !self.reasoning.is_empty() {
            message["reasoning_content"] = json!(self.reasoning);
        }
        if !self.tool_calls.is_empty() {
            message["tool_calls"] = Value::Array(self.tool_calls);
        }
        json!({"events": self.raw, "message": message, "finish_reason": self.finish_reason})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_found_in_plain_and_typed_content() {
        let body =
            parse(br#"{"messages":[{"content":"a"},{"content":[{"type":"text","text":"b"}]},{"content":null}]}"#);
        let body = body.expect("a request");
        assert_eq!(prompt_texts(&body).collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn pieces_of_tool_calls_are_joined_and_usage_events_told_apart() {
        let mut assembler = Assembler::default();
        let push = |assembler: &mut Assembler, chunk: Value| assembler.push(format!("data: {chunk}\n\n").as_bytes());
        let call = |arguments: &str| json!({"choices": [{"delta": {"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": arguments}}]}}]});
        assert!(!push(&mut assembler, call("{\"a\"")));
        assert!(!push(&mut assembler, call(":1}")));
        assert!(push(
            &mut assembler,
            json!({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}})
        ));
        assert!(!assembler.is_whole());
        assembler.push(b"data: [DONE]\r\n\r\n");
        assert!(assembler.is_whole());
        assert_eq!(
            assembler.tokens(),
            Some(Tokens {
                input: 3,
                cached: 0,
                output: 2
            })
        );
        let value = assembler.into_value();
        assert_eq!(value["message"]["tool_calls"][0]["function"]["arguments"], "{\"a\":1}");
    }
}
