//! Streams of messages: rendered, and put together again.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::{Messages, blocks, message, status_of, stop_reason, usage};
use crate::gateway::dialect::assembler::{Parts, Told};
use crate::gateway::dialect::form::{Form, Heading, append, count, cut, pieces, typed_event};
use crate::gateway::failure::Failure;
use crate::gateway::model::{Answer, Tokens};

/// Renders an answer.
pub(super) fn events(heading: &Heading, answer: &Answer) -> Vec<Result<Bytes, Failure>> {
    let mut started = message(heading);
    started["usage"] = usage(&answer.tokens);
    started["usage"]["output_tokens"] = json!(1);
    let mut events = vec![typed_event(&json!({"type": "message_start", "message": started}))];
    for (index, block) in blocks(heading, answer).enumerate() {
        let (member, kind, whole) = match block.get("text") {
            Some(text) => ("text", "text_delta", text.as_str().unwrap_or_default().to_owned()),
            None => ("partial_json", "input_json_delta", block["input"].to_string()),
        };
        let mut first = block.clone();
        match kind {
            "text_delta" => first["text"] = json!(""),
            _ => first["input"] = json!({}),
        }
        events.push(typed_event(
            &json!({"type": "content_block_start", "index": index, "content_block": first}),
        ));
        let shown = answer.cut_after.filter(|_| kind == "text_delta");
        for piece in pieces(&whole, shown) {
            let mut delta = json!({"type": kind});
            delta[member] = json!(piece);
            events.push(typed_event(
                &json!({"type": "content_block_delta", "index": index, "delta": delta}),
            ));
        }
        if answer.cut_after.is_some() {
            events.push(Err(cut()));
            return events;
        }
        events.push(typed_event(&json!({"type": "content_block_stop", "index": index})));
    }
    events.push(typed_event(&json!({
        "type": "message_delta", "delta": {"stop_reason": stop_reason(answer), "stop_sequence": null},
        "usage": {"output_tokens": answer.tokens.output},
    })));
    events.push(typed_event(&json!({"type": "message_stop"})));
    events
}

/// Recorded as `message`: the message with its `content` blocks, as far as it came.
#[derive(Default)]
pub(super) struct MessageParts {
    message: Map<String, Value>,
    /// Content by its index.
    blocks: BTreeMap<u64, Value>,
    /// The input of tools in pieces, by the index of the block.
    inputs: BTreeMap<u64, String>,
}

impl Parts for MessageParts {
    fn take(&mut self, data: &Value, told: &mut Told) -> bool {
        let index = data.get("index").and_then(Value::as_u64).unwrap_or(0);
        match data.get("type").and_then(Value::as_str).unwrap_or_default() {
            "message_start" => {
                let message = data.get("message").and_then(Value::as_object);
                self.message = message.cloned().unwrap_or_default();
            }
            "content_block_start" => {
                let block = data.get("content_block").cloned().unwrap_or_default();
                self.blocks.insert(index, block);
            }
            "content_block_delta" => self.delta(index, data.get("delta").unwrap_or(&Value::Null)),
            "message_delta" => {
                let changed = data.get("delta").and_then(Value::as_object).cloned();
                self.message.extend(changed.unwrap_or_default());
                self.used(data.get("usage"));
                // Only here the output is counted to its end.
                told.tokens = self.tokens();
                let reason = self.message.get("stop_reason");
                told.ended |= reason.is_some_and(|reason| !reason.is_null());
            }
            "message_stop" => {
                told.tokens = self.tokens();
                told.ended = true;
                told.done = true;
            }
            "error" => {
                let error = data.get("error").unwrap_or(data);
                told.fail(status_of(error), error, error.get("message").and_then(Value::as_str));
            }
            _ => {}
        }
        false
    }

    fn into_members(self: Box<Self>) -> Map<String, Value> {
        let Self {
            mut message,
            mut blocks,
            inputs,
        } = *self;
        for (index, input) in inputs {
            if let Some(block) = blocks.get_mut(&index) {
                // What broke off is kept as the text that it is.
                block["input"] = serde_json::from_str(&input).unwrap_or(Value::String(input));
            }
        }
        message.insert("content".to_owned(), blocks.into_values().collect());
        Map::from_iter([("message".to_owned(), Value::Object(message))])
    }
}

impl MessageParts {
    fn delta(&mut self, index: u64, delta: &Value) {
        let Some(block) = self.blocks.get_mut(&index).filter(|block| block.is_object()) else {
            return;
        };
        for member in ["text", "thinking", "signature"] {
            if let Some(more) = delta.get(member).and_then(Value::as_str) {
                append(block, member, more);
            }
        }
        if let Some(more) = delta.get("partial_json").and_then(Value::as_str) {
            self.inputs.entry(index).or_default().push_str(more);
        }
    }

    fn tokens(&self) -> Option<Tokens> {
        let usage = self.message.get("usage")?;
        Messages.tokens(&json!({"usage": usage}))
    }

    /// Counts only grow: those that are not told again stay, and some servers tell again, as 0, what they have counted.
    fn used(&mut self, usage: Option<&Value>) {
        let Some(usage) = usage.filter(|usage| usage.is_object()) else {
            return;
        };
        let known = self.message.entry("usage").or_insert_with(|| json!({}));
        if !known.is_object() {
            *known = json!({});
        }
        grow(known, usage);
    }
}

/// Takes over what is new, or more than before.
fn grow(known: &mut Value, told: &Value) {
    match (known, told) {
        (_, Value::Null) => {}
        (Value::Object(known), Value::Object(told)) => {
            for (name, told) in told {
                grow(known.entry(name.clone()).or_insert(Value::Null), told);
            }
        }
        (known, told) if count(Some(known)) > count(Some(told)) => {}
        (known, told) => *known = told.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::dialect::{Assembler, Dialect};

    #[test]
    fn blocks_of_every_kind_are_put_together() {
        let mut assembler = Assembler::new(Dialect::AnthropicMessages);
        let block =
            |index: u64, block: Value| json!({"type": "content_block_start", "index": index, "content_block": block});
        let delta = |index: u64, delta: Value| json!({"type": "content_block_delta", "index": index, "delta": delta});
        let used = json!({"input_tokens": 10, "cache_read_input_tokens": 5, "output_tokens": 1});
        for data in [
            json!({"type": "message_start", "message": {"id": "m", "content": [], "usage": used}}),
            json!({"type": "ping"}),
            block(0, json!({"type": "thinking", "thinking": ""})),
            delta(0, json!({"type": "thinking_delta", "thinking": "hm"})),
            delta(0, json!({"type": "signature_delta", "signature": "s1"})),
            block(1, json!({"type": "tool_use", "name": "f", "input": {}})),
            delta(1, json!({"type": "input_json_delta", "partial_json": ""})),
            delta(1, json!({"type": "input_json_delta", "partial_json": "{\"a\":"})),
            delta(1, json!({"type": "input_json_delta", "partial_json": "1}"})),
        ] {
            assembler.push(&typed_event(&data).expect("an event"));
        }
        assert!(!assembler.is_whole());
        assert_eq!(assembler.tokens(), None, "nobody knows what half an answer costs");
        let end = json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 9}});
        assembler.push(&typed_event(&end).expect("an event"));
        assert!(assembler.is_whole());
        let tokens = assembler.tokens().expect("tokens");
        assert_eq!((tokens.input, tokens.cached, tokens.output), (15, 5, 9));
        let message = &assembler.into_value()["message"];
        assert_eq!(message["stop_reason"], "tool_use");
        assert_eq!(
            message["content"],
            json!([
                {"type": "thinking", "thinking": "hm", "signature": "s1"},
                {"type": "tool_use", "name": "f", "input": {"a": 1}},
            ])
        );
    }

    #[test]
    fn counts_of_the_beginning_stay_unless_more_is_told() {
        let start = json!({"input_tokens": 10, "output_tokens": 1, "cache_creation_input_tokens": 4,
            "cache_creation": {"ephemeral_1h_input_tokens": 4}});
        let tokens = |start: Value, ends: &[Value]| {
            let mut assembler = Assembler::new(Dialect::AnthropicMessages);
            let started = json!({"type": "message_start", "message": {"content": [], "usage": start}});
            for data in std::iter::once(&started).chain(ends) {
                assembler.push(&typed_event(data).expect("an event"));
            }
            let tokens = assembler.tokens()?;
            Some((tokens.input, tokens.stored_1h, tokens.output))
        };
        let end = |usage: Value| json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage});
        let all = json!({"input_tokens": 10, "output_tokens": 9, "cache_creation_input_tokens": 4});
        for (usage, output) in [
            (all.clone(), 9),
            (json!({"output_tokens": 9}), 9),
            (
                json!({"input_tokens": 0, "output_tokens": 9, "cache_creation": {"ephemeral_1h_input_tokens": 0}}),
                9,
            ),
            (
                json!({"input_tokens": null, "output_tokens": 9, "cache_creation": null}),
                9,
            ),
            (Value::Null, 1),
        ] {
            assert_eq!(tokens(start.clone(), &[end(usage)]), Some((14, 4, output)));
        }
        let bare = json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}});
        let stop = json!({"type": "message_stop"});
        assert_eq!(tokens(start.clone(), &[bare]), Some((14, 4, 1)));
        assert_eq!(tokens(start.clone(), &[stop]), Some((14, 4, 1)));
        assert_eq!(tokens(start, &[]), None);
        assert_eq!(tokens(Value::Null, &[end(all)]), Some((14, 0, 9)));
        assert_eq!(
            tokens(Value::Null, &[end(json!({"output_tokens": 9}))]),
            None,
            "nobody knows the input"
        );
    }
}
