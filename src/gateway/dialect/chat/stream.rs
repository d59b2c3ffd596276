//! Streams of chat completions: rendered, and put together again.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::{BROKEN, Chat, status_of, tool_call, usage};
use crate::gateway::dialect::assembler::{Parts, Told};
use crate::gateway::dialect::form::{Form, Heading, append, cut, pieces};
use crate::gateway::failure::Failure;
use crate::gateway::model::Answer;

/// Renders an answer.
pub(super) fn events(heading: &Heading, answer: &Answer) -> Vec<Result<Bytes, Failure>> {
    let head = json!({
        "id": heading.id("chatcmpl"), "object": "chat.completion.chunk",
        "created": jiff::Timestamp::now().as_second(), "model": heading.model,
    });
    let event = |choices: Value, usage: Option<Value>| {
        let mut chunk = head.clone();
        chunk["choices"] = choices;
        if let Some(usage) = usage {
            chunk["usage"] = usage;
        }
        Ok(Bytes::from(format!("data: {chunk}\n\n")))
    };
    let delta = |delta: Value| {
        let choice = json!([{"index": 0, "delta": delta, "finish_reason": null}]);
        event(choice, None)
    };
    let mut events = vec![delta(json!({"role": "assistant", "content": ""}))];
    for piece in pieces(&answer.text, answer.cut_after) {
        events.push(delta(json!({"content": piece})));
    }
    if answer.cut_after.is_some() {
        events.push(Err(cut()));
        return events;
    }
    for (index, call) in answer.calls.iter().enumerate() {
        let mut first = tool_call(heading, index, call, "");
        first["index"] = json!(index);
        events.push(delta(json!({"tool_calls": [first]})));
        for piece in pieces(&call.arguments.to_string(), None) {
            let more = json!([{"index": index, "function": {"arguments": piece}}]);
            events.push(delta(json!({"tool_calls": more})));
        }
    }
    let last = json!([{"index": 0, "delta": {}, "finish_reason": answer.finish_reason}]);
    events.push(event(last, None));
    events.push(event(json!([]), Some(usage(&answer.tokens))));
    events.push(Ok(Bytes::from_static(b"data: [DONE]\n\n")));
    events
}

/// Recorded as `message` and `finish_reason`.
#[derive(Default)]
pub(super) struct ChatParts {
    content: String,
    reasoning: String,
    tool_calls: Vec<Value>,
    finish_reason: Option<String>,
}

impl Parts for ChatParts {
    fn take(&mut self, chunk: &Value, told: &mut Told) -> bool {
        if let Some(error) = chunk.get("error").filter(|error| !error.is_null()) {
            told.fail(status_of(error), error, error.get("message").and_then(Value::as_str));
        }
        let tokens = Chat.tokens(chunk);
        told.tokens = tokens.or(told.tokens);
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
            told.began = true;
            if let Some(reason) = choice.get("finish_reason").and_then(Value::as_str) {
                if reason == BROKEN {
                    let message = choice.pointer("/error/message").and_then(Value::as_str);
                    let message = message.unwrap_or("the provider ended its answer with an error");
                    told.fail(502, choice, Some(message));
                }
                told.ended = true;
                self.finish_reason = Some(reason.to_owned());
            }
        }
        tokens.is_some() && choices.is_some_and(Vec::is_empty)
    }

    fn into_members(self: Box<Self>) -> Map<String, Value> {
        let mut message = json!({"role": "assistant", "content": self.content});
        if !self.reasoning.is_empty() {
            message["reasoning_content"] = json!(self.reasoning);
        }
        if !self.tool_calls.is_empty() {
            message["tool_calls"] = Value::Array(self.tool_calls);
        }
        Map::from_iter([
            ("message".to_owned(), message),
            ("finish_reason".to_owned(), json!(self.finish_reason)),
        ])
    }
}

impl ChatParts {
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
        let more = piece.pointer("/function/arguments").and_then(Value::as_str);
        if let Some((function, more)) = call.get_mut("function").zip(more) {
            append(function, "arguments", more);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::dialect::{Assembler, Dialect};
    use crate::gateway::model::Tokens;

    #[test]
    fn pieces_of_tool_calls_are_joined_and_usage_events_told_apart() {
        let mut assembler = Assembler::new(Dialect::OpenaiChat);
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
                output: 2,
                ..Tokens::default()
            })
        );
        let value = assembler.into_value();
        assert_eq!(value["message"]["tool_calls"][0]["function"]["arguments"], "{\"a\":1}");
    }
}
