//! Streams of responses: rendered, and put together again.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::{Responses, incomplete, items, response, status_of};
use crate::gateway::dialect::assembler::{Parts, Told};
use crate::gateway::dialect::form::{Form, Heading, append, cut, pieces, typed_event};
use crate::gateway::failure::Failure;
use crate::gateway::model::Answer;

/// Renders an answer.
pub(super) fn events(heading: &Heading, answer: &Answer) -> Vec<Result<Bytes, Failure>> {
    let begun = response(heading, "in_progress");
    let mut data = vec![
        json!({"type": "response.created", "response": begun}),
        json!({"type": "response.in_progress", "response": begun}),
    ];
    for (index, item) in items(heading, answer).enumerate() {
        match item.get("content").is_some() {
            true => text_item(index, &item, answer, &mut data),
            false => call_item(index, &item, &mut data),
        }
        if answer.cut_after.is_some() {
            break;
        }
    }
    if answer.cut_after.is_none() {
        let last = match incomplete(answer) {
            Some(_) => "response.incomplete",
            None => "response.completed",
        };
        data.push(json!({"type": last, "response": Responses.body(heading, answer)}));
    }
    let numbered = data.into_iter().enumerate().map(|(number, mut data)| {
        data["sequence_number"] = json!(number);
        typed_event(&data)
    });
    numbered.chain(answer.cut_after.map(|_| Err(cut()))).collect()
}

/// The events of a message, up to where it is to be cut.
fn text_item(index: usize, item: &Value, answer: &Answer, data: &mut Vec<Value>) {
    let mut first = item.clone();
    first["status"] = json!("in_progress");
    first["content"] = json!([]);
    data.push(json!({"type": "response.output_item.added", "output_index": index, "item": first}));
    let (id, part) = (&item["id"], &item["content"][0]);
    let within = |kind: &str, member: &str, value: Value| {
        json!({
            "type": format!("response.{kind}"), "item_id": id, "output_index": index, "content_index": 0, member: value,
        })
    };
    let empty = json!({"type": "output_text", "text": "", "annotations": []});
    data.push(within("content_part.added", "part", empty));
    for piece in pieces(&answer.text, answer.cut_after) {
        data.push(within("output_text.delta", "delta", json!(piece)));
    }
    if answer.cut_after.is_none() {
        data.push(within("output_text.done", "text", json!(answer.text)));
        data.push(within("content_part.done", "part", part.clone()));
        data.push(json!({"type": "response.output_item.done", "output_index": index, "item": item}));
    }
}

/// The events of a call of a tool.
fn call_item(index: usize, item: &Value, data: &mut Vec<Value>) {
    let mut first = item.clone();
    first["status"] = json!("in_progress");
    first["arguments"] = json!("");
    data.push(json!({"type": "response.output_item.added", "output_index": index, "item": first}));
    let (id, arguments) = (&item["id"], item["arguments"].as_str().unwrap_or_default());
    let within = |kind: &str, member: &str, text: &str| {
        json!({
            "type": format!("response.function_call_arguments.{kind}"), "item_id": id, "output_index": index,
            member: text,
        })
    };
    for piece in pieces(arguments, None) {
        data.push(within("delta", "delta", &piece));
    }
    data.push(within("done", "arguments", arguments));
    data.push(json!({"type": "response.output_item.done", "output_index": index, "item": item}));
}

/// Recorded as `message`: the final `response`, or, of a stream that broke off, the response as far as it came.
#[derive(Default)]
pub(super) struct ResponseParts {
    response: Value,
    /// Output by its index.
    items: BTreeMap<u64, Value>,
}

impl Parts for ResponseParts {
    fn take(&mut self, data: &Value, told: &mut Told) -> bool {
        let index = data.get("output_index").and_then(Value::as_u64);
        let kind = data.get("type").and_then(Value::as_str).unwrap_or_default();
        if let Some(response) = data.get("response").filter(|response| response.is_object()) {
            self.response = response.clone();
        }
        match kind {
            "response.output_item.added" | "response.output_item.done" => {
                // Some servers do not count.
                let index = index.unwrap_or(self.items.len() as u64);
                self.items.insert(index, data.get("item").cloned().unwrap_or_default());
            }
            "response.completed" | "response.incomplete" => {
                told.tokens = Responses.tokens(&self.response);
                told.ended = true;
                told.done = true;
            }
            "response.failed" | "error" => {
                let error = data.pointer("/response/error").or_else(|| data.get("error"));
                let error = error.filter(|error| error.is_object()).unwrap_or(data);
                told.fail(status_of(error), error, error.get("message").and_then(Value::as_str));
                told.done = kind == "response.failed";
            }
            _ => {
                let delta = data.get("delta").and_then(Value::as_str);
                let item = self.items.get_mut(&index.unwrap_or(0));
                if let Some((item, delta)) = item.zip(delta) {
                    add(item, kind, data, delta);
                }
            }
        }
        false
    }

    fn into_members(self: Box<Self>) -> Map<String, Value> {
        let mut response = self.response;
        let output = response.get("output").and_then(Value::as_array);
        // What came as items only, or in pieces only.
        if output.is_none_or(Vec::is_empty) && !self.items.is_empty() {
            if !response.is_object() {
                response = json!({"object": "response"});
            }
            response["output"] = self.items.into_values().collect();
        }
        Map::from_iter([("message".to_owned(), response)])
    }
}

/// Adds a piece to the item that it belongs to.
fn add(item: &mut Value, kind: &str, data: &Value, delta: &str) {
    let (list, place, part) = match kind {
        "response.output_text.delta" => ("content", "content_index", "output_text"),
        "response.reasoning_text.delta" => ("content", "content_index", "reasoning_text"),
        "response.reasoning_summary_text.delta" => ("summary", "summary_index", "summary_text"),
        "response.function_call_arguments.delta" => return append(item, "arguments", delta),
        "response.custom_tool_call_input.delta" => return append(item, "input", delta),
        _ => return,
    };
    let Some(members) = item.as_object_mut() else { return };
    let parts = members.entry(list).or_insert_with(|| json!([]));
    let Some(parts) = parts.as_array_mut() else { return };
    let index = data.get(place).and_then(Value::as_u64).unwrap_or(0);
    // Parts come in order: whatever the index says, at most one is new.
    let index = usize::try_from(index).unwrap_or(usize::MAX).min(parts.len());
    if index == parts.len() {
        parts.push(json!({"type": part, "text": ""}));
    }
    append(&mut parts[index], "text", delta);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::dialect::{Assembler, Dialect};

    fn assembled(data: &[Value]) -> Assembler {
        let mut assembler = Assembler::new(Dialect::OpenaiResponses);
        for data in data {
            assembler.push(&typed_event(data).expect("an event"));
        }
        assembler
    }

    #[test]
    fn a_response_that_broke_off_is_as_it_came() {
        let assembler = assembled(&[
            json!({"type": "response.created", "response": {"id": "r", "output": []}}),
            json!({"type": "response.output_item.added", "output_index": 0, "item": {"type": "reasoning", "summary": []}}),
            json!({"type": "response.reasoning_summary_text.delta", "output_index": 0, "summary_index": 0, "delta": "th"}),
            json!({"type": "response.reasoning_summary_text.delta", "output_index": 0, "summary_index": 0, "delta": "ink"}),
            json!({"type": "response.output_item.added", "output_index": 1, "item": {"type": "function_call", "arguments": ""}}),
            json!({"type": "response.function_call_arguments.delta", "output_index": 1, "delta": "{\"a"}),
        ]);
        assert!(!assembler.is_whole() && !assembler.is_done());
        let message = &assembler.into_value()["message"];
        assert_eq!(message["id"], "r");
        assert_eq!(message["output"][0]["summary"][0]["text"], "think");
        assert_eq!(message["output"][1]["arguments"], "{\"a");
    }

    #[test]
    fn bare_streams_are_whole_and_failed_ones_tell_why() {
        let bare = assembled(&[
            json!({"type": "response.output_item.done", "item": {"type": "message"}}),
            json!({"type": "response.completed", "response": {"id": "r", "usage": {"input_tokens": 7, "output_tokens": 2}}}),
        ]);
        assert!(bare.is_whole() && bare.is_done());
        assert_eq!(bare.tokens().map(|tokens| (tokens.input, tokens.output)), Some((7, 2)));
        assert_eq!(bare.into_value()["message"]["output"], json!([{"type": "message"}]));
        let error = json!({"code": "context_length_exceeded", "message": "too long"});
        let failed = assembled(&[json!({"type": "response.failed", "response": {"error": error}})]);
        let failure = failed.error().expect("a failure");
        assert_eq!(
            (failure.kind, failure.message.as_str()),
            (crate::gateway::FailureKind::TokenLimit, "too long")
        );
    }
}
