//! OpenAI chat completions.

use serde_json::Value;

use super::{Answer, list, output, plain, text, text_of};
use crate::transcript::Part;

pub fn said(request: &Value) -> Vec<Part> {
    list(request, "messages").flat_map(message).collect()
}

pub fn answered(response: &Value) -> Answer {
    // A stream is recorded as the one message that it adds up to.
    if let Some(whole) = response.get("message") {
        let finish = text(response, "finish_reason");
        return Answer {
            parts: message(whole),
            finish: (!finish.is_empty()).then(|| finish.to_owned()),
        };
    }
    let mut answer = Answer::default();
    for choice in list(response, "choices") {
        answer
            .parts
            .extend(choice.get("message").map(message).unwrap_or_default());
        let finish = choice.get("finish_reason").and_then(Value::as_str);
        answer.finish = answer.finish.or_else(|| finish.map(str::to_owned));
    }
    answer
}

fn message(message: &Value) -> Vec<Part> {
    let role = match text(message, "role") {
        "" => "assistant",
        role => role,
    };
    let empty = Value::Null;
    let content = message.get("content").unwrap_or(&empty);
    if role == "tool" || role == "function" {
        return vec![Part::Result {
            id: text(message, "tool_call_id").to_owned(),
            tool: text(message, "name").to_owned(),
            text: output(content),
            is_error: false,
        }];
    }
    let mut parts = Vec::new();
    let reasoning = ["reasoning_content", "reasoning"];
    if let Some(said) = reasoning
        .map(|name| text(message, name))
        .iter()
        .find(|said| !said.is_empty())
    {
        parts.push(Part::Reasoning {
            text: (*said).to_owned(),
        });
    }
    match content {
        Value::String(said) if !said.is_empty() => parts.push(text_of(role, said)),
        Value::Array(pieces) => parts.extend(pieces.iter().filter_map(|piece| self::piece(role, piece))),
        _ => {}
    }
    let refusal = text(message, "refusal");
    if !refusal.is_empty() {
        parts.push(Part::Refusal {
            text: refusal.to_owned(),
        });
    }
    parts.extend(list(message, "tool_calls").map(tool_call));
    if let Some(call) = message.get("function_call").filter(|call| call.is_object()) {
        parts.push(Part::Call {
            id: String::new(),
            tool: text(call, "name").to_owned(),
            arguments: call.get("arguments").map(plain).unwrap_or_default(),
        });
    }
    parts
}

fn piece(role: &str, piece: &Value) -> Option<Part> {
    if let Some(said) = piece.get("text").and_then(Value::as_str) {
        return (!said.is_empty()).then(|| text_of(role, said));
    }
    Some(match text(piece, "type") {
        "refusal" => Part::Refusal {
            text: text(piece, "refusal").to_owned(),
        },
        kind => Part::Other {
            speaker: role.to_owned(),
            kind: kind.to_owned(),
        },
    })
}

fn tool_call(call: &Value) -> Part {
    let function = call.get("function").or_else(|| call.get("custom")).unwrap_or(call);
    let arguments = function.get("arguments").or_else(|| function.get("input"));
    Part::Call {
        id: text(call, "id").to_owned(),
        tool: text(function, "name").to_owned(),
        arguments: arguments.map(plain).unwrap_or_default(),
    }
}
