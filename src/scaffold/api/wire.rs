//! A conversation as each dialect says it.

use serde_json::{Value, json};

use super::caller::Said;
use crate::recipe::Dialect;

/// One message of the conversation.
#[derive(Debug, Clone)]
pub(super) struct Message {
    /// `user` or `assistant`.
    pub role: &'static str,
    pub text: String,
}

/// The path of calls, below the API base.
pub(super) fn path(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::OpenaiChat => "chat/completions",
        Dialect::OpenaiResponses => "responses",
        Dialect::AnthropicMessages => "messages",
    }
}

/// A request, under an instruction where there is one. Temperature and reasoning are set by the gateway, as for every agent.
pub(super) fn request(
    dialect: Dialect,
    model: &str,
    max_output: u32,
    instruction: Option<&str>,
    said: &[Message],
) -> Value {
    let message = |role: &str, text: &str| json!({"role": role, "content": text});
    let mut messages: Vec<Value> = said.iter().map(|said| message(said.role, &said.text)).collect();
    let (mut request, member) = match dialect {
        Dialect::OpenaiChat => {
            messages.splice(..0, instruction.map(|text| message("system", text)));
            return json!({"model": model, "messages": messages});
        }
        Dialect::OpenaiResponses => (
            json!({"model": model, "input": messages, "store": false}),
            "instructions",
        ),
        Dialect::AnthropicMessages => {
            let request = json!({"model": model, "max_tokens": max_output, "messages": messages});
            (request, "system")
        }
    };
    if let Some(text) = instruction {
        request[member] = Value::from(text);
    }
    request
}

/// Reads an answer; `None`: it is none of this dialect.
pub(super) fn answer(dialect: Dialect, body: &Value) -> Option<Said> {
    let word = |pointer: &str| body.pointer(pointer).and_then(Value::as_str);
    Some(match dialect {
        Dialect::OpenaiChat => {
            let message = body.pointer("/choices/0/message")?;
            let said = texts(message.get("content"));
            let refusal = message.get("refusal").and_then(Value::as_str).unwrap_or_default();
            Said {
                text: if said.is_empty() { refusal.to_owned() } else { said },
                cut: word("/choices/0/finish_reason") == Some("length"),
            }
        }
        Dialect::OpenaiResponses => {
            let items = body.get("output")?.as_array()?.iter();
            let messages = items.filter(|item| item.get("type").and_then(Value::as_str) == Some("message"));
            Said {
                text: messages.map(|item| texts(item.get("content"))).collect(),
                cut: word("/incomplete_details/reason") == Some("max_output_tokens"),
            }
        }
        Dialect::AnthropicMessages => Said {
            text: texts(Some(body.get("content")?)),
            cut: word("/stop_reason") == Some("max_tokens"),
        },
    })
}

/// A text, or those of its parts; thoughts are none.
fn texts(content: Option<&Value>) -> String {
    match content {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => {
            let part = |part: &Value| part.get("text").or_else(|| part.get("refusal")).cloned();
            parts
                .iter()
                .filter_map(part)
                .filter_map(|text| Some(text.as_str()?.to_owned()))
                .collect()
        }
        _ => String::new(),
    }
}

/// What an error answer says.
pub(super) fn complaint(body: &[u8]) -> String {
    let told = serde_json::from_slice::<Value>(body).ok();
    let message = told.as_ref().and_then(|body| body.pointer("/error/message")?.as_str());
    let text = message.map_or_else(|| String::from_utf8_lossy(body).into_owned(), str::to_owned);
    text.chars().take(500).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_every_dialect_are_read() {
        let said = |text: &str, cut| Some(Said { text: text.into(), cut });
        let chat = json!({"choices": [{"message": {"content": "a"}, "finish_reason": "length"}]});
        assert_eq!(answer(Dialect::OpenaiChat, &chat), said("a", true));
        let refused = json!({"choices": [{"message": {"content": null, "refusal": "no"}, "finish_reason": "stop"}]});
        assert_eq!(answer(Dialect::OpenaiChat, &refused), said("no", false));
        let responses = json!({"output": [{"type": "reasoning", "content": [{"text": "hm"}]},
            {"type": "message", "content": [{"type": "output_text", "text": "a"}, {"type": "refusal", "refusal": "b"}]}]});
        assert_eq!(answer(Dialect::OpenaiResponses, &responses), said("ab", false));
        let messages = json!({"content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "a"}],
            "stop_reason": "max_tokens"});
        assert_eq!(answer(Dialect::AnthropicMessages, &messages), said("a", true));
        assert_eq!(answer(Dialect::OpenaiChat, &json!({"error": {}})), None);
        assert_eq!(complaint(br#"{"error": {"message": "slow down"}}"#), "slow down");
        assert_eq!(complaint(b"<html>"), "<html>");
    }
}
