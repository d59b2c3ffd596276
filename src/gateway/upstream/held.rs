//! A key that a provider repeats in pieces: events are held back while what they say may be the beginning of a secret.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt};
use serde_json::Value;

use crate::gateway::failure::Failure;
use crate::gateway::secret::Redactor;

/// The texts of an event, by choice and member.
type Texts = BTreeMap<String, String>;

/// Passes whole events on, unchanged unless secrets are spread over them.
pub(super) fn hold_back(
    events: BoxStream<'static, Result<Bytes, Failure>>,
    redactor: Redactor,
) -> BoxStream<'static, Result<Bytes, Failure>> {
    let state = (events, Vec::<Bytes>::new(), redactor);
    let released = futures_util::stream::unfold(Some(state), async |state| {
        let (mut events, mut held, redactor) = state?;
        loop {
            match events.next().await {
                Some(Ok(event)) => {
                    held.push(event);
                    if !is_open(&held, &redactor) {
                        let out = release(std::mem::take(&mut held), &redactor);
                        return Some((out, Some((events, held, redactor))));
                    }
                }
                Some(Err(failure)) => {
                    let mut out = release(held, &redactor);
                    out.push(Err(failure));
                    return Some((out, None));
                }
                None => return Some((release(held, &redactor), None)),
            }
        }
    });
    released.flat_map(futures_util::stream::iter).boxed()
}

/// The JSON of an event's only line of data.
fn parsed(event: &[u8]) -> Option<Value> {
    let text = std::str::from_utf8(event).ok()?.trim();
    serde_json::from_str(text.strip_prefix("data:")?.trim()).ok()
}

/// Calls `each` with every text that a delta of the event adds to, and the name of what it adds to.
fn each_text(event: &mut Value, each: &mut dyn FnMut(String, &mut String)) {
    fn walk(name: &str, value: &mut Value, each: &mut dyn FnMut(String, &mut String)) {
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
    for (position, choice) in event
        .get_mut("choices")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
        .enumerate()
    {
        let index = choice.get("index").and_then(Value::as_u64).unwrap_or(position as u64);
        if let Some(delta) = choice.get_mut("delta") {
            walk(&index.to_string(), delta, each);
        }
    }
}

/// What the events say together.
fn together(held: &[Bytes]) -> Texts {
    let mut texts = Texts::new();
    for mut event in held.iter().filter_map(|event| parsed(event)) {
        each_text(&mut event, &mut |name, text| {
            texts.entry(name).or_default().push_str(text)
        });
    }
    texts
}

/// Whether a secret may go on in the next event.
fn is_open(held: &[Bytes], redactor: &Redactor) -> bool {
    together(held).values().any(|text| redactor.may_go_on(text))
}

/// The events, without secrets that are spread over them.
fn release(held: Vec<Bytes>, redactor: &Redactor) -> Vec<Result<Bytes, Failure>> {
    let mut clean: Texts = together(&held);
    clean.retain(|_, text| match redactor.secrets(text) {
        Some(without) => {
            *text = without;
            true
        }
        None => false,
    });
    if clean.is_empty() {
        return held.into_iter().map(Ok).collect();
    }
    let cleaned = |event: Bytes| {
        let Some(mut value) = parsed(&event) else {
            return Ok(event);
        };
        // All of it is said by the first event that says any.
        each_text(&mut value, &mut |name, text| {
            if let Some(without) = clean.get_mut(&name) {
                *text = std::mem::take(without);
            }
        });
        Ok(Bytes::from(format!("data: {value}\n\n")))
    };
    held.into_iter().map(cleaned).collect()
}
