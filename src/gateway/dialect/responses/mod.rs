//! OpenAI responses.
//!
//! Only whole conversations are passed on: what a provider has stored, or goes on with in the background, could be neither
//! recorded nor counted.

mod stream;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::assembler::Parts;
use super::form::{Form, Heading, Said, add_text, content_texts, count, object, openai_error};
use crate::gateway::failure::Failure;
use crate::gateway::model::{Answer, Tokens};

/// Members that would take part of a conversation out of our sight.
const ELSEWHERE: [&str; 3] = ["previous_response_id", "conversation", "prompt"];

/// The dialect.
pub(super) struct Responses;

impl Form for Responses {
    fn parse(&self, body: &[u8]) -> Result<Map<String, Value>, String> {
        let body = object(body)?;
        if !body
            .get("input")
            .is_some_and(|input| input.is_array() || input.is_string())
        {
            return Err("`input` must be a text or an array".to_owned());
        }
        let named = |name: &&&str| body.get(**name).is_some_and(|value| !value.is_null());
        if let Some(name) = ELSEWHERE.iter().find(named) {
            return Err(format!(
                "`{name}` is not passed on: `input` must hold the whole conversation"
            ));
        }
        match body.get("background") {
            None | Some(Value::Null | Value::Bool(false)) => Ok(body),
            Some(_) => Err("`background` is not passed on".to_owned()),
        }
    }

    fn output_limits(&self) -> &'static [&'static str] {
        &["max_output_tokens"]
    }

    fn prompt_texts<'a>(&self, body: &'a Map<String, Value>) -> Vec<&'a str> {
        let mut texts = Vec::new();
        texts.extend(body.get("instructions").and_then(Value::as_str));
        match body.get("input") {
            Some(Value::String(input)) => texts.push(input),
            Some(Value::Array(items)) => {
                for item in items {
                    let said = ["content", "output"].iter().filter_map(|name| item.get(*name));
                    said.for_each(|said| content_texts(said, &mut texts));
                }
            }
            _ => {}
        }
        texts
    }

    fn add_to_system(&self, body: &mut Map<String, Value>, text: &str) {
        add_text(body.entry("instructions").or_insert(Value::Null), text);
    }

    fn error(&self, status: u16, message: &str, code: Option<&str>) -> Value {
        openai_error(status, message, code)
    }

    fn tokens(&self, answer: &Value) -> Option<Tokens> {
        let usage = answer.get("usage")?;
        Some(Tokens {
            input: count(usage.get("input_tokens"))?,
            cached: count(usage.pointer("/input_tokens_details/cached_tokens")).unwrap_or(0),
            output: count(usage.get("output_tokens")).unwrap_or(0),
            ..Tokens::default()
        })
    }

    fn said(&self, answer: &Value) -> Said {
        if let Some(error) = answer.get("error").filter(|error| !error.is_null()) {
            return Said::Error(status_of(error));
        }
        let status = answer.get("status").and_then(Value::as_str);
        match status.unwrap_or("completed") {
            "completed" | "incomplete" if answer.get("output").is_some_and(Value::is_array) => Said::Answer,
            "failed" => Said::Error(502),
            _ => Said::Nothing("the provider's answer holds no output"),
        }
    }

    fn body(&self, heading: &Heading, answer: &Answer) -> Value {
        let reason = incomplete(answer);
        let status = if reason.is_some() { "incomplete" } else { "completed" };
        let mut response = response(heading, status);
        response["output"] = items(heading, answer).collect();
        response["incomplete_details"] = reason.map_or(Value::Null, |reason| json!({"reason": reason}));
        response["usage"] = usage(&answer.tokens);
        response
    }

    fn events(&self, heading: &Heading, answer: &Answer) -> Vec<Result<Bytes, Failure>> {
        stream::events(heading, answer)
    }

    fn parts(&self) -> Box<dyn Parts> {
        Box::<stream::ResponseParts>::default()
    }

    fn each_text(&self, event: &mut Value, each: &mut dyn FnMut(String, &mut String)) {
        let place = |name: &str| event.get(name).and_then(Value::as_u64).unwrap_or(0);
        let kind = event.get("type").and_then(Value::as_str).unwrap_or_default();
        let places = ["output_index", "content_index", "summary_index"].map(place);
        let name = format!("{kind}/{places:?}");
        if let Some(Value::String(delta)) = event.get_mut("delta") {
            each(name, delta);
        }
    }
}

/// Why an answer is not complete, in the dialect's words.
fn incomplete(answer: &Answer) -> Option<&str> {
    match answer.finish_reason.as_str() {
        "length" => Some("max_output_tokens"),
        "content_filter" => Some("content_filter"),
        _ => None,
    }
}

/// A response without output.
fn response(heading: &Heading, status: &str) -> Value {
    json!({
        "id": heading.id("resp"), "object": "response", "created_at": jiff::Timestamp::now().as_second(),
        "status": status, "background": false, "error": null, "incomplete_details": null, "instructions": null,
        "max_output_tokens": null, "metadata": {}, "model": heading.model, "output": [], "parallel_tool_calls": true,
        "previous_response_id": null, "reasoning": {"effort": null, "summary": null}, "store": false, "temperature": null,
        "text": {"format": {"type": "text"}}, "tool_choice": "auto", "tools": [], "top_p": null,
        "truncation": "disabled", "usage": null, "user": null,
    })
}

/// The text, unless there are only calls, and the calls.
fn items(heading: &Heading, answer: &Answer) -> impl Iterator<Item = Value> {
    let says = !answer.text.is_empty() || answer.calls.is_empty();
    let text = says.then(|| {
        json!({
            "type": "message", "id": heading.id("msg"), "status": "completed", "role": "assistant",
            "content": [{"type": "output_text", "text": answer.text, "annotations": []}],
        })
    });
    let calls = answer.calls.iter().enumerate().map(|(index, call)| {
        json!({
            "type": "function_call", "id": heading.call_id("fc", index), "call_id": heading.call_id("call", index),
            "name": call.name, "arguments": call.arguments.to_string(), "status": "completed",
        })
    });
    text.into_iter().chain(calls)
}

fn usage(tokens: &Tokens) -> Value {
    json!({
        "input_tokens": tokens.input, "input_tokens_details": {"cached_tokens": tokens.cached},
        "output_tokens": tokens.output, "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": tokens.input.saturating_add(tokens.output),
    })
}

/// The status that an error within an answer should have had, by its code.
fn status_of(error: &Value) -> u16 {
    match error.get("code") {
        Some(Value::Number(code)) => {
            let code = code.as_u64().and_then(|code| u16::try_from(code).ok());
            code.filter(|code| (400..=599).contains(code)).unwrap_or(502)
        }
        Some(Value::String(code)) => match code.as_str() {
            "rate_limit_exceeded" | "insufficient_quota" => 429,
            "context_length_exceeded" | "invalid_prompt" => 400,
            _ => 502,
        },
        _ => 502,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_is_said_is_found() {
        let body = json!({"instructions": "a", "input": [
            {"role": "user", "content": "b"},
            {"role": "user", "content": [{"type": "input_text", "text": "c"}]},
            {"type": "function_call", "arguments": "{}"},
            {"type": "function_call_output", "output": "d"},
            {"type": "function_call_output", "output": [{"type": "input_text", "text": "e"}]},
        ]});
        let body = Responses.parse(body.to_string().as_bytes()).expect("a request");
        assert_eq!(Responses.prompt_texts(&body), ["a", "b", "c", "d", "e"]);
        let plain = Responses.parse(br#"{"input": "x"}"#).expect("a request");
        assert_eq!(Responses.prompt_texts(&plain), ["x"]);
    }

    #[test]
    fn what_cannot_be_recorded_is_refused() {
        for body in [
            r#"{"input": "x", "previous_response_id": "resp_1"}"#,
            r#"{"input": "x", "background": true}"#,
            r#"{"messages": []}"#,
            r#"{"input": "x", "stream": 1}"#,
        ] {
            assert!(Responses.parse(body.as_bytes()).is_err(), "{body}");
        }
    }

    #[test]
    fn a_good_status_makes_no_answer() {
        let said = |body: &str| Responses.said(&serde_json::from_str(body).expect("JSON"));
        assert_eq!(
            said(r#"{"status": "incomplete", "output": [], "error": null}"#),
            Said::Answer
        );
        assert_eq!(said(r#"{"output": []}"#), Said::Answer);
        let limited = r#"{"status": "failed", "output": [], "error": {"code": "rate_limit_exceeded"}}"#;
        assert_eq!(said(limited), Said::Error(429));
        assert_eq!(said(r#"{"status": "failed", "output": []}"#), Said::Error(502));
        for body in [r#"{"status": "queued", "output": []}"#, "{}", "[]"] {
            assert!(matches!(said(body), Said::Nothing(_)), "{body}");
        }
    }
}
