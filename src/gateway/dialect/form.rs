//! What every dialect can do, and what they have in common.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::assembler::Parts;
use super::own;
use crate::gateway::failure::{Failure, FailureKind};
use crate::gateway::model::{Answer, Tokens};

/// Characters of content per event of a rendered stream.
const PIECE: usize = 200;

/// Requests read, answers and errors rendered, streams put together.
pub(in crate::gateway) trait Form: Sync {
    /// Reads a request; the error is for the agent.
    fn parse(&self, body: &[u8]) -> Result<Map<String, Value>, String>;

    /// Whether the agent asks for server-sent events.
    fn streams(&self, body: &Map<String, Value>) -> bool {
        body.get("stream").and_then(Value::as_bool).unwrap_or(false)
    }

    /// Whether the agent gets to see the usage of its stream.
    fn wants_usage(&self, _body: &Map<String, Value>) -> bool {
        true
    }

    /// How many choices of an answer are asked for; the error is for the agent.
    fn choices(&self, _body: &Map<String, Value>) -> Result<u64, String> {
        Ok(1)
    }

    /// The most that a token of the request may cost, in prices of input: where it asks for its parts to be put into the
    /// provider's cache, that has a price.
    fn dearness(&self, _body: &Map<String, Value>) -> f64 {
        1.0
    }

    /// The members that limit an answer's tokens.
    fn output_limits(&self) -> &'static [&'static str];

    /// Everything that a request says, in order.
    fn prompt_texts<'a>(&self, body: &'a Map<String, Value>) -> Vec<&'a str>;

    /// Adds to what a request says as its system prompt, behind what is there.
    fn add_to_system(&self, body: &mut Map<String, Value>, text: &str);

    /// An error in the form that the dialect's clients understand.
    fn error(&self, status: u16, message: &str, code: Option<&str>) -> Value;

    /// The tokens that a whole answer tells.
    fn tokens(&self, answer: &Value) -> Option<Tokens>;

    /// Reads a body that came with a good status.
    fn said(&self, answer: &Value) -> Said;

    /// Renders an answer as one body.
    fn body(&self, heading: &Heading, answer: &Answer) -> Value;

    /// Renders an answer as server-sent events; one that is to be cut ends in a failure.
    fn events(&self, heading: &Heading, answer: &Answer) -> Vec<Result<Bytes, Failure>>;

    /// What puts a stream's events together.
    fn parts(&self) -> Box<dyn Parts>;

    /// Calls `each` with every text that an event adds to what was said before, and the name of what it adds to.
    fn each_text(&self, event: &mut Value, each: &mut dyn FnMut(String, &mut String));

    /// The most tokens that the answer may have by the request's own words: where it has two, it is for the provider to
    /// say which of them counts.
    fn max_output(&self, body: &Map<String, Value>) -> Option<u64> {
        let limits = self.output_limits().iter();
        limits.filter_map(|name| body.get(*name)?.as_u64()).max()
    }

    /// Whether every limit that the request names is a number, and none is above `most`.
    fn keeps_output_below(&self, body: &Map<String, Value>, most: u64) -> bool {
        let mut named = self.output_limits().iter().filter_map(|name| body.get(*name));
        named.all(|limit| limit.is_null() || limit.as_u64().is_some_and(|limit| limit <= most))
    }

    /// The members that limit an answer to `most` tokens: those that the request has, else the one of [`Self::output_limits`]
    /// that is `preferred`, else their last.
    fn limit_output(&self, body: &Map<String, Value>, most: u64, preferred: &str) -> Vec<(String, Value)> {
        let names = self.output_limits();
        let named = names
            .iter()
            .filter(|name| body.get(**name).is_some_and(|value| !value.is_null()));
        let mut limits: Vec<(String, Value)> = named.map(|name| ((*name).to_owned(), json!(most))).collect();
        if limits.is_empty() {
            let default = names.iter().find(|name| **name == preferred).or(names.last());
            limits.extend(default.map(|name| ((*name).to_owned(), json!(most))));
        }
        limits
    }
}

/// What a body that came with a good status is.
#[derive(Debug, PartialEq)]
pub(in crate::gateway) enum Said {
    Answer,
    /// An error all the same, as some routers of providers do, and the status that it should have had.
    Error(u16),
    /// Nothing that a model could have said. The text says what is wrong.
    Nothing(&'static str),
}

/// What is above a rendered answer. Its numbers make the ids, so that the same conversation has the same ids again.
#[derive(Debug, Clone, Copy)]
pub(in crate::gateway) struct Heading<'a> {
    pub turn: usize,
    pub call: u64,
    pub model: &'a str,
}

impl Heading<'_> {
    pub(super) fn id(&self, kind: &str) -> String {
        format!("{kind}-{}-{}", self.turn, self.call)
    }

    /// Of the answer's call of a tool at `index`, from 0.
    pub(super) fn call_id(&self, kind: &str, index: usize) -> String {
        format!("{}-{}", self.id(kind), index + 1)
    }
}

/// Reads a request for nothing but the agent's own: a JSON object with a `stream` that is true or false, if it has one.
pub(super) fn object(body: &[u8]) -> Result<Map<String, Value>, String> {
    let value: Value = serde_json::from_slice(body).map_err(|error| format!("the body is not JSON: {error}"))?;
    let Value::Object(body) = value else {
        return Err("the body must be a JSON object".to_owned());
    };
    own::check(&body)?;
    match body.get("stream") {
        None | Some(Value::Null | Value::Bool(_)) => Ok(body),
        Some(_) => Err("`stream` must be true or false".to_owned()),
    }
}

/// The texts of a content: itself, or those of its typed parts; of a part that has a content of its own, as the result
/// of a tool has, those of that.
pub(super) fn content_texts<'a>(content: &'a Value, texts: &mut Vec<&'a str>) {
    match content {
        Value::String(text) => texts.push(text),
        Value::Array(parts) => parts.iter().for_each(|part| {
            texts.extend(part.get("text").and_then(Value::as_str));
            if let Some(inner) = part.get("content") {
                content_texts(inner, texts);
            }
        }),
        _ => {}
    }
}

/// Adds a text to a content, behind what is there.
pub(super) fn add_text(content: &mut Value, text: &str) {
    match content {
        Value::String(said) if !said.is_empty() => {
            said.push_str("\n\n");
            said.push_str(text);
        }
        Value::Array(parts) => parts.push(json!({"type": "text", "text": text})),
        empty => *empty = json!(text),
    }
}

/// A number of tokens; some servers count in floats.
pub(super) fn count(value: Option<&Value>) -> Option<u64> {
    let whole = |value: f64| (value >= 0.0 && value.fract() == 0.0 && value < 1e15).then_some(value as u64);
    value.and_then(|value| value.as_u64().or_else(|| whole(value.as_f64()?)))
}

/// The type of an error of OpenAI.
pub(super) fn openai_error(status: u16, message: &str, code: Option<&str>) -> Value {
    let kind = match status {
        401 | 403 => "authentication_error",
        429 => "rate_limit_error",
        400..=499 => "invalid_request_error",
        _ => "server_error",
    };
    let code = code.or((status == 401).then_some("invalid_api_key"));
    json!({"error": {"message": message, "type": kind, "param": null, "code": code}})
}

/// The first `shown` characters of a text in pieces.
pub(super) fn pieces(text: &str, shown: Option<usize>) -> Vec<String> {
    let characters: Vec<char> = text.chars().take(shown.unwrap_or(usize::MAX)).collect();
    characters.chunks(PIECE).map(|piece| piece.iter().collect()).collect()
}

/// An event that says its type twice, as most dialects have it.
pub(super) fn typed_event(data: &Value) -> Result<Bytes, Failure> {
    let kind = data.get("type").and_then(Value::as_str).unwrap_or_default();
    Ok(Bytes::from(format!("event: {kind}\ndata: {data}\n\n")))
}

/// Calls `each` with every text of a value, and a name for it that is the same for what belongs together.
pub(super) fn walk(name: &str, value: &mut Value, each: &mut dyn FnMut(String, &mut String)) {
    match value {
        Value::String(text) => each(name.to_owned(), text),
        Value::Array(items) => {
            for (position, item) in items.iter_mut().enumerate() {
                let index = item.get("index").and_then(Value::as_u64).unwrap_or(position as u64);
                walk(&format!("{name}/{index}"), item, each);
            }
        }
        Value::Object(members) => members
            .iter_mut()
            .for_each(|(member, value)| walk(&format!("{name}/{member}"), value, each)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Appends to a text member of a value, which may have to be made.
pub(super) fn append(place: &mut Value, member: &str, more: &str) {
    if let Some(members) = place.as_object_mut() {
        match members.get_mut(member) {
            Some(Value::String(text)) => text.push_str(more),
            _ => drop(members.insert(member.to_owned(), json!(more))),
        }
    }
}

/// The failure of an answer that broke off.
pub(in crate::gateway) fn cut() -> Failure {
    Failure {
        kind: FailureKind::Cut,
        status: None,
        message: "the answer broke off".to_owned(),
    }
}
