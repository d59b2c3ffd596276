//! OpenAI responses.

use serde_json::Value;

use super::{Answer, list, output, plain, text, text_of};
use crate::transcript::Part;

pub fn said(request: &Value) -> Vec<Part> {
    let instructions = text(request, "instructions");
    let mut parts = Vec::from_iter((!instructions.is_empty()).then(|| text_of("instructions", instructions)));
    match request.get("input") {
        Some(Value::String(said)) => parts.push(text_of("user", said)),
        Some(Value::Array(items)) => parts.extend(items.iter().flat_map(item)),
        _ => {}
    }
    parts
}

pub fn answered(response: &Value) -> Answer {
    // Of a stream the last event holds the whole response.
    let whole = response.get("message").unwrap_or(response);
    let reason = whole.pointer("/incomplete_details/reason").and_then(Value::as_str);
    let finish = reason.or_else(|| whole.get("status").and_then(Value::as_str));
    Answer {
        parts: list(whole, "output").flat_map(item).collect(),
        finish: finish.map(str::to_owned),
    }
}

fn item(item: &Value) -> Vec<Part> {
    let kind = text(item, "type");
    let id = || match text(item, "call_id") {
        "" => text(item, "id").to_owned(),
        id => id.to_owned(),
    };
    let call = |tool: &str, arguments: Option<&Value>| Part::Call {
        id: id(),
        tool: tool.to_owned(),
        arguments: arguments.map(plain).unwrap_or_default(),
    };
    let part = match kind {
        "message" | "" => return message(item),
        "reasoning" => return reasoning(item),
        "function_call" => call(text(item, "name"), item.get("arguments")),
        "custom_tool_call" => call(text(item, "name"), item.get("input")),
        _ if kind.ends_with("_output") => Part::Result {
            id: id(),
            tool: String::new(),
            text: item.get("output").map(output).unwrap_or_default(),
            is_error: false,
        },
        // Tools of the provider or of the agent that go by their type, such as `local_shell_call`.
        _ => match kind.strip_suffix("_call") {
            Some(tool) => call(tool, item.get("action")),
            None => Part::Other {
                speaker: text(item, "role").to_owned(),
                kind: kind.to_owned(),
            },
        },
    };
    vec![part]
}

fn message(item: &Value) -> Vec<Part> {
    let role = match text(item, "role") {
        "" => "assistant",
        role => role,
    };
    if let Some(Value::String(said)) = item.get("content") {
        return Vec::from_iter((!said.is_empty()).then(|| text_of(role, said)));
    }
    let piece = |piece: &Value| {
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
    };
    list(item, "content").filter_map(piece).collect()
}

/// Reasoning whose text is kept by the provider says nothing here.
fn reasoning(item: &Value) -> Vec<Part> {
    let pieces = list(item, "summary").chain(list(item, "content"));
    let texts: Vec<&str> = pieces
        .map(|piece| text(piece, "text"))
        .filter(|said| !said.is_empty())
        .collect();
    let said = texts.join("\n\n");
    Vec::from_iter((!said.is_empty()).then_some(Part::Reasoning { text: said }))
}
