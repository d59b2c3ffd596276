//! A key that a provider repeats in pieces: events are held back while what they say may be the beginning of a secret.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt};
use serde_json::Value;

use crate::gateway::dialect::Dialect;
use crate::gateway::failure::Failure;
use crate::gateway::secret::Redactor;

/// The texts of an event, by what they add to.
type Texts = BTreeMap<String, String>;

/// Passes whole events on, unchanged unless secrets are spread over them.
pub(super) fn hold_back(
    events: BoxStream<'static, Result<Bytes, Failure>>,
    dialect: Dialect,
    redactor: Redactor,
) -> BoxStream<'static, Result<Bytes, Failure>> {
    let state = (events, Vec::<Bytes>::new(), redactor);
    let released = futures_util::stream::unfold(Some(state), move |state| async move {
        let (mut events, mut held, redactor) = state?;
        loop {
            match events.next().await {
                Some(Ok(event)) => {
                    held.push(event);
                    if !is_open(&held, dialect, &redactor) {
                        let out = release(std::mem::take(&mut held), dialect, &redactor);
                        return Some((out, Some((events, held, redactor))));
                    }
                }
                Some(Err(failure)) => {
                    let mut out = release(held, dialect, &redactor);
                    out.push(Err(failure));
                    return Some((out, None));
                }
                None => return Some((release(held, dialect, &redactor), None)),
            }
        }
    });
    released.flat_map(futures_util::stream::iter).boxed()
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

/// What the events say together.
fn together(held: &[Bytes], dialect: Dialect) -> Texts {
    let mut texts = Texts::new();
    for (_, mut event) in held.iter().filter_map(|event| parsed(event)) {
        dialect.form().each_text(&mut event, &mut |name, text| {
            texts.entry(name).or_default().push_str(text)
        });
    }
    texts
}

/// Whether a secret may go on in the next event.
fn is_open(held: &[Bytes], dialect: Dialect, redactor: &Redactor) -> bool {
    together(held, dialect).values().any(|text| redactor.may_go_on(text))
}

/// The events, without secrets that are spread over them.
fn release(held: Vec<Bytes>, dialect: Dialect, redactor: &Redactor) -> Vec<Result<Bytes, Failure>> {
    let mut clean: Texts = together(&held, dialect);
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
        let Some((before, mut value)) = parsed(&event) else {
            return Ok(event);
        };
        // All of it is said by the first event that says any.
        dialect.form().each_text(&mut value, &mut |name, text| {
            if let Some(without) = clean.get_mut(&name) {
                *text = std::mem::take(without);
            }
        });
        Ok(Bytes::from(format!("{before}data: {value}\n\n")))
    };
    held.into_iter().map(cleaned).collect()
}
