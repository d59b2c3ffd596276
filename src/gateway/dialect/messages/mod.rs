//! Anthropic messages.

mod stream;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::assembler::Parts;
use super::form::{Form, Heading, Said, add_text, content_texts, count, object, walk};
use crate::gateway::failure::Failure;
use crate::gateway::model::{Answer, Pricing, Tokens};

/// The dialect.
pub(super) struct Messages;

impl Form for Messages {
    fn parse(&self, body: &[u8]) -> Result<Map<String, Value>, String> {
        let body = object(body)?;
        match body.get("messages").is_some_and(Value::is_array) {
            true => Ok(body),
            false => Err("`messages` must be an array".to_owned()),
        }
    }

    fn dearness(&self, body: &Map<String, Value>) -> f64 {
        body.values().map(dearness).fold(1.0, f64::max)
    }

    fn output_limits(&self) -> &'static [&'static str] {
        &["max_tokens"]
    }

    fn prompt_texts<'a>(&self, body: &'a Map<String, Value>) -> Vec<&'a str> {
        let mut texts = Vec::new();
        if let Some(system) = body.get("system") {
            content_texts(system, &mut texts);
        }
        let messages = body.get("messages").and_then(Value::as_array).into_iter().flatten();
        let contents = messages.filter_map(|message| message.get("content"));
        contents.for_each(|content| content_texts(content, &mut texts));
        texts
    }

    fn add_to_system(&self, body: &mut Map<String, Value>, text: &str) {
        add_text(body.entry("system").or_insert(Value::Null), text);
    }

    fn error(&self, status: u16, message: &str, code: Option<&str>) -> Value {
        let kind = match status {
            401 => "authentication_error",
            402 => "billing_error",
            403 => "permission_error",
            404 => "not_found_error",
            413 => "request_too_large",
            429 => "rate_limit_error",
            400..=499 => "invalid_request_error",
            529 => "overloaded_error",
            _ => "api_error",
        };
        let mut error = json!({"type": kind, "message": message});
        if let Some(code) = code {
            error["code"] = json!(code);
        }
        json!({"type": "error", "error": error})
    }

    fn tokens(&self, answer: &Value) -> Option<Tokens> {
        let usage = answer.get("usage")?;
        let told = |name: &str| count(usage.get(name)).unwrap_or(0);
        let kept = |name: &str| count(usage.pointer(&format!("/cache_creation/{name}"))).unwrap_or(0);
        let cached = told("cache_read_input_tokens");
        let stored_1h = kept("ephemeral_1h_input_tokens");
        let by_times = stored_1h.saturating_add(kept("ephemeral_5m_input_tokens"));
        let stored = told("cache_creation_input_tokens").max(by_times);
        Some(Tokens {
            // What was read from the cache, or put there, is not part of the provider's count.
            input: count(usage.get("input_tokens"))?
                .saturating_add(cached)
                .saturating_add(stored),
            cached,
            stored: stored.saturating_sub(stored_1h),
            stored_1h,
            output: told("output_tokens"),
        })
    }

    fn said(&self, answer: &Value) -> Said {
        if let Some(error) = answer.get("error").filter(|error| !error.is_null()) {
            return Said::Error(status_of(error));
        }
        match answer.get("content").is_some_and(Value::is_array) {
            true => Said::Answer,
            false => Said::Nothing("the provider's answer holds no content"),
        }
    }

    fn body(&self, heading: &Heading, answer: &Answer) -> Value {
        let mut message = message(heading);
        message["content"] = blocks(heading, answer).collect();
        message["stop_reason"] = json!(stop_reason(answer));
        message["usage"] = usage(&answer.tokens);
        message
    }

    fn events(&self, heading: &Heading, answer: &Answer) -> Vec<Result<Bytes, Failure>> {
        stream::events(heading, answer)
    }

    fn parts(&self) -> Box<dyn Parts> {
        Box::<stream::MessageParts>::default()
    }

    fn each_text(&self, event: &mut Value, each: &mut dyn FnMut(String, &mut String)) {
        if event.get("type").and_then(Value::as_str) != Some("content_block_delta") {
            return;
        }
        let index = event.get("index").and_then(Value::as_u64).unwrap_or(0);
        if let Some(delta) = event.get_mut("delta").and_then(Value::as_object_mut) {
            for (member, value) in delta.iter_mut().filter(|(member, _)| *member != "type") {
                walk(&format!("{index}/{member}"), value, each);
            }
        }
    }
}

/// The most that a token of a part may cost, in prices of input: where it names a cache, that of keeping it there.
fn dearness(part: &Value) -> f64 {
    match part {
        Value::Array(items) => items.iter().map(dearness).fold(1.0, f64::max),
        Value::Object(members) => {
            let own = match members.get("cache_control") {
                None | Some(Value::Null) => 1.0,
                Some(control) if control.get("ttl").and_then(Value::as_str) == Some("1h") => Pricing::STORED_1H,
                Some(_) => Pricing::STORED,
            };
            members.values().map(dearness).fold(own, f64::max)
        }
        _ => 1.0,
    }
}

/// Why an answer ended, in the dialect's words.
fn stop_reason(answer: &Answer) -> &str {
    match answer.finish_reason.as_str() {
        "stop" => "end_turn",
        "tool_calls" => "tool_use",
        "length" => "max_tokens",
        "content_filter" => "refusal",
        other => other,
    }
}

/// A message without content.
fn message(heading: &Heading) -> Value {
    json!({
        "id": heading.id("msg"), "type": "message", "role": "assistant", "model": heading.model, "content": [],
        "stop_reason": null, "stop_sequence": null,
    })
}

/// The text, unless there are only calls, and the calls.
fn blocks(heading: &Heading, answer: &Answer) -> impl Iterator<Item = Value> {
    let says = !answer.text.is_empty() || answer.calls.is_empty();
    let text = says.then(|| json!({"type": "text", "text": answer.text}));
    let calls = answer.calls.iter().enumerate().map(|(index, call)| {
        json!({"type": "tool_use", "id": heading.call_id("toolu", index), "name": call.name, "input": call.arguments})
    });
    text.into_iter().chain(calls)
}

fn usage(tokens: &Tokens) -> Value {
    json!({
        "input_tokens": tokens.input.saturating_sub(tokens.cached), "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": tokens.cached, "output_tokens": tokens.output,
    })
}

/// The status that an error within an answer should have had, by its type.
fn status_of(error: &Value) -> u16 {
    match error.get("type").and_then(Value::as_str).unwrap_or_default() {
        "invalid_request_error" => 400,
        "authentication_error" => 401,
        "billing_error" => 402,
        "permission_error" => 403,
        "not_found_error" => 404,
        "request_too_large" => 413,
        "rate_limit_error" => 429,
        "overloaded_error" => 529,
        _ => 502,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_is_said_is_found() {
        let body = json!({"system": [{"type": "text", "text": "a"}], "messages": [
            {"role": "user", "content": "b"},
            {"role": "assistant", "content": [{"type": "text", "text": "c"}, {"type": "tool_use", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "content": "d"},
                {"type": "tool_result", "content": [{"type": "text", "text": "e"}]}]},
        ]});
        let body = Messages.parse(body.to_string().as_bytes()).expect("a request");
        assert_eq!(Messages.prompt_texts(&body), ["a", "b", "c", "d", "e"]);
    }

    #[test]
    fn tokens_of_the_cache_are_part_of_the_input() {
        let usage = json!({"usage": {"input_tokens": 5, "cache_read_input_tokens": 30, "cache_creation_input_tokens": 7,
            "output_tokens": 2}});
        let tokens = Messages.tokens(&usage).expect("tokens");
        assert_eq!((tokens.input, tokens.cached, tokens.output), (42, 30, 2));
        assert_eq!((tokens.stored, tokens.stored_1h), (7, 0));
        let times = json!({"usage": {"input_tokens": 5, "cache_creation_input_tokens": 7,
            "cache_creation": {"ephemeral_5m_input_tokens": 3, "ephemeral_1h_input_tokens": 4}}});
        let tokens = Messages.tokens(&times).expect("tokens");
        assert_eq!((tokens.input, tokens.stored, tokens.stored_1h), (12, 3, 4));
        let lies = json!({"usage": {"input_tokens": u64::MAX, "cache_creation_input_tokens": u64::MAX,
            "cache_creation": {"ephemeral_5m_input_tokens": u64::MAX, "ephemeral_1h_input_tokens": u64::MAX}}});
        assert_eq!(Messages.tokens(&lies).expect("tokens").input, u64::MAX);
    }

    #[test]
    fn what_is_put_into_a_cache_costs_more() {
        let dearness = |body: Value| Messages.dearness(body.as_object().expect("an object"));
        let text = |control: Value| json!({"type": "text", "text": "x", "cache_control": control});
        assert_eq!(dearness(json!({"messages": [{"content": [{"type": "text"}]}]})), 1.0);
        let minutes = json!([text(json!({"type": "ephemeral"}))]);
        assert_eq!(dearness(json!({"system": minutes})), 1.25);
        let hour = json!([{"content": [text(json!({"type": "ephemeral", "ttl": "1h"}))]}]);
        assert_eq!(dearness(json!({"system": minutes, "messages": hour})), 2.0);
    }

    #[test]
    fn a_good_status_makes_no_answer() {
        assert_eq!(Messages.said(&json!({"type": "message", "content": []})), Said::Answer);
        let busy = json!({"type": "error", "error": {"type": "overloaded_error", "message": "busy"}});
        assert_eq!(Messages.said(&busy), Said::Error(529));
        assert!(matches!(Messages.said(&json!({"content": null})), Said::Nothing(_)));
    }
}
