//! A key that a provider repeats in pieces: events are held back while what they say may be a good part of a secret.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt};
use serde_json::Value;

use crate::gateway::dialect::Dialect;
use crate::gateway::failure::Failure;
use crate::gateway::secret::Redactor;

/// Most events that are held back at once.
const MOST_EVENTS: usize = 1024;
/// Most bytes of them.
const MOST_BYTES: usize = 1 << 20;

/// Passes whole events on, unchanged unless secrets are spread over them.
pub(super) fn hold_back(
    events: BoxStream<'static, Result<Bytes, Failure>>,
    dialect: Dialect,
    redactor: Redactor,
) -> BoxStream<'static, Result<Bytes, Failure>> {
    let held = Held::new(dialect, redactor);
    let released = futures_util::stream::unfold(Some((events, held)), async |state| {
        let (mut events, mut held) = state?;
        let (out, is_last): (VecDeque<_>, bool) = match events.next().await {
            Some(Ok(event)) => (held.push(event).into_iter().map(Ok).collect(), false),
            Some(Err(failure)) => {
                let last = std::iter::once(Err(failure));
                (held.release().into_iter().map(Ok).chain(last).collect(), true)
            }
            None => (held.release().into_iter().map(Ok).collect(), true),
        };
        Some((out, (!is_last).then_some((events, held))))
    });
    released.flat_map(futures_util::stream::iter).boxed()
}

/// The events that are held back, and the end of what each part of the answer has said.
struct Held {
    dialect: Dialect,
    redactor: Redactor,
    events: Vec<Bytes>,
    bytes: usize,
    channels: BTreeMap<String, Channel>,
}

/// A part of the answer that events add to.
#[derive(Default)]
struct Channel {
    /// What the held events say, behind the end of what was said before.
    text: String,
    /// Bytes of the text that were passed on already.
    passed: usize,
    /// Whether it ends in the beginning of a secret.
    open: bool,
}

impl Held {
    fn new(dialect: Dialect, redactor: Redactor) -> Self {
        Self {
            dialect,
            redactor,
            events: Vec::new(),
            bytes: 0,
            channels: BTreeMap::new(),
        }
    }

    /// Takes an event; returns those that may go, in order.
    fn push(&mut self, event: Bytes) -> Vec<Bytes> {
        let Self { redactor, channels, .. } = self;
        let mut ends = None;
        if let Some((_, mut data)) = parsed(&event) {
            ends = closed(self.dialect, &data);
            self.dialect.form().each_text(&mut data, &mut |name, text| {
                if !text.is_empty() {
                    let channel = channels.entry(name).or_default();
                    channel.text.push_str(text);
                    channel.open = redactor.may_go_on(&channel.text);
                }
            });
        }
        self.bytes += event.len();
        self.events.push(event);
        if let Some(prefix) = &ends {
            let ended = self.channels.iter_mut().filter(|(name, _)| name.starts_with(prefix));
            ended.for_each(|(_, channel)| channel.open = false);
        }
        let full = self.events.len() >= MOST_EVENTS || self.bytes >= MOST_BYTES;
        if !full && self.channels.values().any(|channel| channel.open) {
            return Vec::new();
        }
        let out = self.release();
        if let Some(prefix) = ends {
            self.channels.retain(|name, _| !name.starts_with(&prefix));
        }
        out
    }

    /// All held events, without secrets that are spread over them.
    fn release(&mut self) -> Vec<Bytes> {
        let mut clean = BTreeMap::new();
        for (name, channel) in &mut self.channels {
            if let Some(rest) = self.redactor.rest(&channel.text, channel.passed) {
                clean.insert(name.clone(), rest);
            }
            let tail = self.redactor.tail(&channel.text).to_owned();
            *channel = Channel {
                passed: tail.len(),
                text: tail,
                open: false,
            };
        }
        self.bytes = 0;
        let held = std::mem::take(&mut self.events);
        if clean.is_empty() {
            return held;
        }
        let cleaned = |event: Bytes| {
            let Some((before, mut value)) = parsed(&event) else {
                return event;
            };
            // All of it is said by the first event that says any.
            self.dialect.form().each_text(&mut value, &mut |name, text| {
                if let Some(without) = clean.get_mut(&name) {
                    *text = std::mem::take(without);
                }
            });
            Bytes::from(format!("{before}data: {value}\n\n"))
        };
        held.into_iter().map(cleaned).collect()
    }
}

/// What stands before the data of an event with only one line of it, and the data.
fn parsed(event: &[u8]) -> Option<(&str, Value)> {
    let text = std::str::from_utf8(event).ok()?;
    let (before, data) = match text.strip_prefix("data:") {
        Some(data) => ("", data),
        None => text.find("\ndata:").map(|at| (&text[..=at], &text[at + 6..]))?,
    };
    Some((before, serde_json::from_str(data.trim()).ok()?))
}

/// How the names of the channels begin that an event closes: nothing is added to them any more.
fn closed(dialect: Dialect, event: &Value) -> Option<String> {
    let number = |value: &Value, name: &str| value.get(name).and_then(Value::as_u64).unwrap_or(0);
    let kind = event.get("type").and_then(Value::as_str).unwrap_or_default();
    match dialect {
        Dialect::OpenaiChat => {
            let choice = event.get("choices")?.as_array()?.first()?;
            let reason = choice.get("finish_reason")?;
            (!reason.is_null()).then(|| format!("{}/", number(choice, "index")))
        }
        Dialect::AnthropicMessages => match kind {
            "content_block_stop" => Some(format!("{}/", number(event, "index"))),
            "message_stop" => Some(String::new()),
            _ => None,
        },
        Dialect::OpenaiResponses => match kind {
            "response.completed" | "response.incomplete" | "response.failed" => Some(String::new()),
            _ => {
                let places = ["output_index", "content_index", "summary_index"].map(|name| number(event, name));
                Some(format!("{}.delta/{places:?}", kind.strip_suffix(".done")?))
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::gateway::secret::Secret;

    const KEY: &str = "sk-real-key-0123456789";

    fn chat(member: &str, text: &str) -> Bytes {
        let chunk = json!({"choices": [{"index": 0, "delta": {member: text}, "finish_reason": null}]});
        Bytes::from(format!("data: {chunk}\n\n"))
    }

    fn held() -> Held {
        Held::new(Dialect::OpenaiChat, Redactor::new([Secret::new(KEY)]))
    }

    fn said(events: &[Bytes]) -> String {
        let mut all = String::new();
        for (_, mut data) in events.iter().filter_map(|event| parsed(event)) {
            Dialect::OpenaiChat
                .form()
                .each_text(&mut data, &mut |_, text| all.push_str(text));
        }
        all
    }

    #[test]
    fn the_end_of_one_channel_does_not_hold_the_events_of_others() {
        let mut held = held();
        assert_eq!(held.push(chat("reasoning_content", "my thoughts")).len(), 1);
        for _ in 0..1200 {
            assert_eq!(held.push(chat("content", "thoughts")).len(), 1);
        }
    }

    #[test]
    fn a_key_in_pieces_of_any_size_is_not_passed_on() {
        for size in 1..=KEY.len() {
            let (mut held, mut out) = (held(), Vec::new());
            let text = format!("the key {KEY} is it");
            for piece in text.as_bytes().chunks(size) {
                out.extend(held.push(chat("content", std::str::from_utf8(piece).expect("ASCII"))));
            }
            out.extend(held.release());
            let said = said(&out);
            assert!(!said.contains(&KEY[..8]), "{size}: {said}");
            assert!(
                said.starts_with("the key ") && said.ends_with("[redacted] is it"),
                "{size}: {said}"
            );
        }
    }

    #[test]
    fn what_is_held_ends_with_its_channel_and_has_a_bound() {
        let mut held = held();
        assert!(held.push(chat("content", "so sk-real-")).is_empty());
        let end = json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]});
        let out = held.push(Bytes::from(format!("data: {end}\n\n")));
        assert_eq!((out.len(), said(&out).as_str()), (2, "so sk-real-"));
        assert!(held.push(chat("content", "sk-real-")).is_empty());
        let released: usize = (1..MOST_EVENTS)
            .map(|_| held.push(chat("reasoning_content", "x")).len())
            .sum();
        assert_eq!(released, MOST_EVENTS);
    }
}
