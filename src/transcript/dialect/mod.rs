//! Requests and answers of each dialect, taken apart. What is not as the dialect has it is passed over, never an error:
//! agents and providers may send anything.

mod chat;
mod messages;
mod responses;

use serde_json::Value;

use super::Part;
use crate::gateway::dialect::Dialect;

/// An answer taken apart.
#[derive(Debug, Default, PartialEq)]
pub struct Answer {
    pub parts: Vec<Part>,
    pub finish: Option<String>,
}

/// Everything that a request says, in order.
pub fn said(dialect: Dialect, request: &Value) -> Vec<Part> {
    if let Value::String(text) = request {
        return vec![text_of("request", text)];
    }
    match dialect {
        Dialect::OpenaiChat => chat::said(request),
        Dialect::OpenaiResponses => responses::said(request),
        Dialect::AnthropicMessages => messages::said(request),
    }
}

/// Everything that an answer says. `response` is as it is recorded: of a stream, `message` is what its events add up to.
pub fn answered(dialect: Dialect, response: &Value) -> Answer {
    if let Value::String(text) = response {
        let parts = Vec::from_iter((!text.is_empty()).then(|| text_of("response", text)));
        return Answer { parts, finish: None };
    }
    match dialect {
        Dialect::OpenaiChat => chat::answered(response),
        Dialect::OpenaiResponses => responses::answered(response),
        Dialect::AnthropicMessages => messages::answered(response),
    }
}

/// The names of the tools that a request offers; a tool without a name goes by its type.
pub fn tools(request: &Value) -> Vec<String> {
    let name = |tool: &Value| {
        let names = [tool.pointer("/function/name"), tool.get("name"), tool.get("type")];
        names.into_iter().flatten().find_map(Value::as_str).map(str::to_owned)
    };
    list(request, "tools").filter_map(name).collect()
}

fn text_of(speaker: &str, text: &str) -> Part {
    Part::Text {
        speaker: speaker.to_owned(),
        text: text.to_owned(),
    }
}

/// A member that is a text; empty where there is none.
fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// The items of a member that is a list.
fn list<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    value.get(name).and_then(Value::as_array).into_iter().flatten()
}

/// A value as text: of a text itself, of anything else its JSON.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// What a tool gave: a text, or typed pieces.
fn output(value: &Value) -> String {
    let Value::Array(pieces) = value else {
        return plain(value);
    };
    let piece = |piece: &Value| match piece.get("text").and_then(Value::as_str) {
        Some(text) => text.to_owned(),
        None => format!("[{}]", text(piece, "type")),
    };
    pieces.iter().map(piece).collect::<Vec<_>>().join("\n")
}
