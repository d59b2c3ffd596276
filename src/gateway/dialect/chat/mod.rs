//! OpenAI chat completions.

mod stream;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::assembler::Parts;
use super::form::{Form, Heading, Said, add_text, content_texts, count, object, openai_error, walk};
use crate::gateway::failure::Failure;
use crate::gateway::model::{Answer, Tokens, ToolCall};

/// Most choices that an answer may have.
const MOST_CHOICES: u64 = 8;

/// The `finish_reason` of an answer that the provider could not finish.
const BROKEN: &str = "error";

/// The dialect.
pub(super) struct Chat;

impl Form for Chat {
    fn parse(&self, body: &[u8]) -> Result<Map<String, Value>, String> {
        let body = object(body)?;
        match body.get("messages").is_some_and(Value::is_array) {
            true => Ok(body),
            false => Err("`messages` must be an array".to_owned()),
        }
    }

    fn wants_usage(&self, body: &Map<String, Value>) -> bool {
        let options = body.get("stream_options");
        options
            .and_then(|options| options.get("include_usage"))
            .and_then(Value::as_bool)
            .unwrap_or(false)
    }

    fn choices(&self, body: &Map<String, Value>) -> Result<u64, String> {
        match body.get("n") {
            None | Some(Value::Null) => Ok(1),
            Some(number) => number
                .as_u64()
                .filter(|number| (1..=MOST_CHOICES).contains(number))
                .ok_or_else(|| format!("`n` must be between 1 and {MOST_CHOICES}")),
        }
    }

    fn output_limits(&self) -> &'static [&'static str] {
        &["max_completion_tokens", "max_tokens"]
    }

    fn prompt_texts<'a>(&self, body: &'a Map<String, Value>) -> Vec<&'a str> {
        let messages = body.get("messages").and_then(Value::as_array).into_iter().flatten();
        let mut texts = Vec::new();
        let contents = messages.filter_map(|message| message.get("content"));
        contents.for_each(|content| content_texts(content, &mut texts));
        texts
    }

    /// To the last of the messages of the system before anybody else speaks; where there is none, as a first one.
    fn add_to_system(&self, body: &mut Map<String, Value>, text: &str) {
        let Some(messages) = body.get_mut("messages").and_then(Value::as_array_mut) else {
            return;
        };
        let leads = |message: &&mut Value| matches!(message["role"].as_str(), Some("system" | "developer"));
        match messages.iter_mut().take_while(leads).last() {
            Some(message) if message.is_object() => add_text(&mut message["content"], text),
            _ => messages.insert(0, json!({"role": "system", "content": text})),
        }
    }

    fn error(&self, status: u16, message: &str, code: Option<&str>) -> Value {
        openai_error(status, message, code)
    }

    /// Also the tokens that the last event of a stream tells.
    fn tokens(&self, answer: &Value) -> Option<Tokens> {
        let usage = answer.get("usage")?;
        let input = count(usage.get("prompt_tokens"))?;
        // Gemini counts what it thinks in the sum only.
        let rest = count(usage.get("total_tokens")).map_or(0, |total| total.saturating_sub(input));
        Some(Tokens {
            input,
            cached: count(usage.pointer("/prompt_tokens_details/cached_tokens")).unwrap_or(0),
            output: count(usage.get("completion_tokens")).unwrap_or(0).max(rest),
            ..Tokens::default()
        })
    }

    fn said(&self, answer: &Value) -> Said {
        let first = answer.pointer("/choices/0");
        let broken = first.filter(|choice| {
            choice.get("error").is_some_and(|error| !error.is_null())
                || choice.get("finish_reason").and_then(Value::as_str) == Some(BROKEN)
        });
        let is_answer = first.is_some_and(|choice| choice.get("message").is_some_and(Value::is_object));
        if is_answer && broken.is_none() {
            return Said::Answer;
        }
        let errors = [broken.and_then(|choice| choice.get("error")), answer.get("error")];
        match errors.into_iter().flatten().find(|error| !error.is_null()) {
            Some(error) => Said::Error(status_of(error)),
            None if broken.is_some() => Said::Error(502),
            None => Said::Nothing("the provider's answer holds no message"),
        }
    }

    fn body(&self, heading: &Heading, answer: &Answer) -> Value {
        let mut message = json!({"role": "assistant", "content": answer.text});
        if !answer.calls.is_empty() {
            let calls = answer.calls.iter().enumerate();
            let calls = calls.map(|(index, call)| tool_call(heading, index, call, &call.arguments.to_string()));
            message["tool_calls"] = calls.collect();
            if answer.text.is_empty() {
                message["content"] = Value::Null;
            }
        }
        json!({
            "id": heading.id("chatcmpl"), "object": "chat.completion", "created": jiff::Timestamp::now().as_second(),
            "model": heading.model,
            "choices": [{"index": 0, "message": message, "finish_reason": answer.finish_reason}],
            "usage": usage(&answer.tokens),
        })
    }

    /// The last event but one tells the usage.
    fn events(&self, heading: &Heading, answer: &Answer) -> Vec<Result<Bytes, Failure>> {
        stream::events(heading, answer)
    }

    fn parts(&self) -> Box<dyn Parts> {
        Box::<stream::ChatParts>::default()
    }

    fn each_text(&self, event: &mut Value, each: &mut dyn FnMut(String, &mut String)) {
        let choices = event.get_mut("choices").and_then(Value::as_array_mut);
        for (position, choice) in choices.into_iter().flatten().enumerate() {
            let index = choice.get("index").and_then(Value::as_u64).unwrap_or(position as u64);
            if let Some(delta) = choice.get_mut("delta") {
                walk(&index.to_string(), delta, each);
            }
        }
    }
}

/// The status that an error should have had: some routers tell it as a code.
fn status_of(error: &Value) -> u16 {
    let code = error.get("code").and_then(Value::as_u64);
    let code = code.and_then(|code| u16::try_from(code).ok());
    code.filter(|code| (400..=599).contains(code)).unwrap_or(502)
}

fn tool_call(heading: &Heading, index: usize, call: &ToolCall, arguments: &str) -> Value {
    json!({
        "id": heading.call_id("call", index), "type": "function",
        "function": {"name": call.name, "arguments": arguments},
    })
}

fn usage(tokens: &Tokens) -> Value {
    json!({
        "prompt_tokens": tokens.input,
        "completion_tokens": tokens.output,
        "total_tokens": tokens.input.saturating_add(tokens.output),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_found_in_plain_and_typed_content() {
        let body =
            Chat.parse(br#"{"messages":[{"content":"a"},{"content":[{"type":"text","text":"b"}]},{"content":null}]}"#);
        let body = body.expect("a request");
        assert_eq!(Chat.prompt_texts(&body), ["a", "b"]);
    }

    #[test]
    fn thoughts_that_only_the_sum_counts_are_output() {
        let tokens = |usage: Value| {
            let tokens = Chat.tokens(&json!({"usage": usage})).expect("tokens");
            (tokens.input, tokens.output)
        };
        let usage = |completion: u64, total: u64| json!({"prompt_tokens": 21, "completion_tokens": completion, "total_tokens": total});
        assert_eq!(tokens(usage(5, 86)), (21, 65));
        assert_eq!(tokens(usage(60, 81)), (21, 60));
        assert_eq!(tokens(usage(60, 0)), (21, 60));
        assert_eq!(
            tokens(json!({"prompt_tokens": 21, "total_tokens": u64::MAX})),
            (21, u64::MAX - 21)
        );
    }

    #[test]
    fn a_good_status_makes_no_answer() {
        let said = |body: &str| Chat.said(&serde_json::from_str(body).expect("JSON"));
        for body in [
            r#"{"choices": [{"message": {"content": null}, "finish_reason": "length"}]}"#,
            r#"{"choices": [{"message": {"content": "x"}, "error": null}], "error": null}"#,
        ] {
            assert_eq!(said(body), Said::Answer, "{body}");
        }
        for (body, status) in [
            (r#"{"error": {"code": 429}}"#, 429),
            (r#"{"error": "busy"}"#, 502),
            (r#"{"choices": null, "error": {"code": 503}}"#, 503),
            (r#"{"choices": [], "error": {"code": 200}}"#, 502),
            (
                r#"{"choices": [{"message": {"content": ""}, "error": {"code": 500}}]}"#,
                500,
            ),
            (
                r#"{"choices": [{"message": {"content": "x"}, "finish_reason": "error"}]}"#,
                502,
            ),
        ] {
            assert_eq!(said(body), Said::Error(status), "{body}");
        }
        for body in [
            "{}",
            "[]",
            "null",
            r#"{"choices": []}"#,
            r#"{"choices": [{"message": null}]}"#,
        ] {
            assert!(matches!(said(body), Said::Nothing(_)), "{body}");
        }
    }
}
