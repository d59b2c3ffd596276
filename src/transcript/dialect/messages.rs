//! Anthropic messages.

use serde_json::Value;

use super::{Answer, list, output, plain, text, text_of};
use crate::transcript::Part;

pub fn said(request: &Value) -> Vec<Part> {
    let mut parts = match request.get("system") {
        Some(system) => content("system", system),
        None => Vec::new(),
    };
    for message in list(request, "messages") {
        let role = text(message, "role");
        parts.extend(
            message
                .get("content")
                .map(|said| content(role, said))
                .unwrap_or_default(),
        );
    }
    parts
}

pub fn answered(response: &Value) -> Answer {
    let whole = response.get("message").unwrap_or(response);
    let finish = whole.get("stop_reason").and_then(Value::as_str);
    Answer {
        parts: whole
            .get("content")
            .map(|said| content("assistant", said))
            .unwrap_or_default(),
        finish: finish.map(str::to_owned),
    }
}

fn content(role: &str, content: &Value) -> Vec<Part> {
    match content {
        Value::String(said) if !said.is_empty() => vec![text_of(role, said)],
        Value::Array(blocks) => blocks.iter().filter_map(|block| self::block(role, block)).collect(),
        _ => Vec::new(),
    }
}

fn block(role: &str, block: &Value) -> Option<Part> {
    Some(match text(block, "type") {
        "text" => {
            let said = text(block, "text");
            return (!said.is_empty()).then(|| text_of(role, said));
        }
        "thinking" => {
            let said = text(block, "thinking");
            return (!said.is_empty()).then(|| Part::Reasoning { text: said.to_owned() });
        }
        "tool_use" | "server_tool_use" => Part::Call {
            id: text(block, "id").to_owned(),
            tool: text(block, "name").to_owned(),
            arguments: block.get("input").map(plain).unwrap_or_default(),
        },
        "tool_result" => Part::Result {
            id: text(block, "tool_use_id").to_owned(),
            tool: String::new(),
            text: block.get("content").map(output).unwrap_or_default(),
            is_error: block.get("is_error").and_then(Value::as_bool).unwrap_or(false),
        },
        kind => Part::Other {
            speaker: role.to_owned(),
            kind: kind.to_owned(),
        },
    })
}
