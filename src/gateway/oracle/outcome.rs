//! What an agent tells of the calls of its tools that an answer asked for.

use serde_json::{Map, Value};

use crate::gateway::dialect::Dialect;

/// How the calls of the last answer went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Done,
    Failed,
}

/// What a request tells of the calls of the answer before it; `None`: nothing.
pub(super) fn of(dialect: Dialect, body: &Map<String, Value>) -> Option<Outcome> {
    let told = match dialect {
        Dialect::OpenaiChat => chat(body),
        Dialect::OpenaiResponses => responses(body),
        Dialect::AnthropicMessages => messages(body),
    };
    let failed = told.iter().any(|(text, error)| *error || has_failed(text));
    (!told.is_empty()).then_some(if failed { Outcome::Failed } else { Outcome::Done })
}

/// Texts of results, and whether one is said to be an error.
type Told = Vec<(String, bool)>;

/// What stands behind the last message of the model, when that made calls: a result of each, or, of one that the agent
/// could not read, the user's complaint.
fn chat(body: &Map<String, Value>) -> Told {
    let messages = list(body.get("messages"));
    let role = |message: &Value| message.get("role").and_then(Value::as_str).map(str::to_owned);
    let Some(last) = messages
        .iter()
        .rposition(|message| role(message).as_deref() == Some("assistant"))
    else {
        return Told::new();
    };
    if list(messages[last].get("tool_calls")).is_empty() {
        return Told::new();
    }
    let behind = messages[last + 1..].iter();
    behind
        .map(|message| {
            let is_result = role(message).as_deref() == Some("tool");
            (text(message.get("content")), !is_result)
        })
        .collect()
}

/// The results at the end of the input.
fn responses(body: &Map<String, Value>) -> Told {
    let mut told = Told::new();
    for item in list(body.get("input")).iter().rev() {
        match item.get("type").and_then(Value::as_str) {
            Some("function_call_output" | "custom_tool_call_output") => told.push((text(item.get("output")), false)),
            Some("function_call" | "custom_tool_call" | "reasoning") => {}
            _ => break,
        }
    }
    told
}

/// The results in the last message.
fn messages(body: &Map<String, Value>) -> Told {
    let Some(last) = list(body.get("messages")).last() else {
        return Told::new();
    };
    let parts = list(last.get("content")).iter();
    let results = parts.filter(|part| part.get("type").and_then(Value::as_str) == Some("tool_result"));
    results
        .map(|part| {
            let error = part.get("is_error").and_then(Value::as_bool).unwrap_or(false);
            (text(part.get("content")), error)
        })
        .collect()
}

fn list(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// A text, or the texts of its parts.
fn text(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => parts
            .iter()
            .filter_map(|part| part.get("text").and_then(Value::as_str))
            .collect(),
        _ => String::new(),
    }
}

/// Whether the text of a result tells of a failure, in the words of Codex or of OpenHands.
fn has_failed(text: &str) -> bool {
    if let Ok(Value::Object(result)) = serde_json::from_str::<Value>(text)
        && let Some(code) = result.get("metadata").and_then(|metadata| metadata.get("exit_code"))
    {
        return code.as_i64() != Some(0);
    }
    // What the calls of the oracle print is theirs: only the beginning and the end are the agent's words.
    let text = text.trim();
    let begins = [
        "ERROR",
        "error:",
        "execution error",
        "failed ",
        "patch rejected",
        "unsupported call",
        "invalid ",
        "Failed to parse",
    ];
    if begins.iter().any(|begin| text.starts_with(begin))
        || text.ends_with("[Error occurred in processing last action]")
    {
        return true;
    }
    const EXIT: &str = "[Command finished with exit code ";
    let last = text.lines().next_back().unwrap_or_default();
    last.strip_prefix(EXIT).is_some_and(|code| !code.starts_with("0]"))
}
