//! What a provider's answer is read for: events, headers, causes of errors.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt};
use reqwest::Response;
use reqwest::header::HeaderMap;
use tokio::sync::OwnedSemaphorePermit;

use crate::gateway::dialect::cut;
use crate::gateway::failure::{Failure, FailureKind};
use crate::gateway::secret::Redactor;

/// Cuts the answer's bytes into whole events. The permit is held until the last.
pub(super) fn events(
    response: Response,
    permit: Option<OwnedSemaphorePermit>,
    redactor: Redactor,
    limit: usize,
) -> BoxStream<'static, Result<Bytes, Failure>> {
    let chunks = response.bytes_stream().boxed();
    let state = Some((chunks, Vec::<u8>::new(), 0_usize, permit));
    futures_util::stream::unfold(state, move |state| {
        let redactor = redactor.clone();
        async move {
            let (mut chunks, mut buffer, mut searched, permit) = state?;
            loop {
                if let Some(end) = event_end(&buffer, searched) {
                    let rest = buffer.split_off(end);
                    let event = without_key(std::mem::replace(&mut buffer, rest), &redactor);
                    return Some((Ok(event), Some((chunks, buffer, 0, permit))));
                }
                searched = buffer.len().saturating_sub(3);
                match chunks.next().await {
                    Some(Ok(chunk)) if buffer.len() + chunk.len() > limit => {
                        return Some((Err(too_long(limit)), None));
                    }
                    Some(Ok(chunk)) => buffer.extend_from_slice(&chunk),
                    Some(Err(_)) => return Some((Err(cut()), None)),
                    None if buffer.is_empty() => return None,
                    None => return Some((Ok(without_key(buffer, &redactor)), None)),
                }
            }
        }
    })
    .boxed()
}

pub(super) fn too_long(limit: usize) -> Failure {
    let message = format!("the provider's answer is longer than {limit} bytes");
    Failure {
        kind: FailureKind::Malformed,
        status: Some(502),
        message,
    }
}

/// The offset behind the first blank line, the end of an event.
fn event_end(buffer: &[u8], from: usize) -> Option<usize> {
    let rest = buffer.get(from..)?;
    let after = |mark: &[u8]| {
        rest.windows(mark.len())
            .position(|window| window == mark)
            .map(|at| from + at + mark.len())
    };
    [after(b"\n\n"), after(b"\r\n\r\n")].into_iter().flatten().min()
}

/// An event may repeat the key that came with the request, an error event above all.
fn without_key(event: Vec<u8>, redactor: &Redactor) -> Bytes {
    let text = String::from_utf8_lossy(&event);
    let clean = match tells_error(&text) {
        true => redactor.text(&text),
        false => redactor.secrets(&text),
    };
    match clean {
        Some(clean) => clean.into(),
        None => event.into(),
    }
}

/// Whether an event has an error in it that is one. Some dialects name a `null` in every answer.
fn tells_error(event: &str) -> bool {
    let mark = "\"error\"";
    event.match_indices(mark).any(|(at, _)| {
        let rest = event[at + mark.len()..].trim_start();
        rest.strip_prefix(':')
            .is_none_or(|value| !value.trim_start().starts_with("null"))
    })
}

pub(super) fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// The provider's headers that the agent gets to see.
pub(super) fn passed_on(headers: &HeaderMap, redactor: &Redactor) -> Vec<(String, String)> {
    let names = ["content-type", "retry-after", "x-request-id"];
    let header = |name: &&str| {
        let value = text(headers, name)?;
        Some(((*name).to_owned(), redactor.secrets(value).unwrap_or(value.to_owned())))
    };
    names.iter().filter_map(header).collect()
}

/// How long the provider wants to be left alone: seconds, or a date.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    if let Some(milliseconds) = text(headers, "retry-after-ms").and_then(|value| value.trim().parse::<f64>().ok()) {
        return Duration::try_from_secs_f64(milliseconds / 1e3).ok();
    }
    let value = text(headers, "retry-after")?.trim();
    if let Ok(seconds) = value.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let date = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(value).ok()?;
    Duration::try_from(date.duration_since(jiff::Timestamp::now())).ok()
}

/// An error with its causes.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_tells_an_error_is_one() {
        assert!(tells_error(r#"data: {"error": {"message": "x"}}"#));
        assert!(tells_error(r#"data: {"type":"error","message":"x"}"#));
        assert!(!tells_error(r#"data: {"response":{"error": null}}"#));
        assert!(!tells_error(r#"data: {"text": "an \"error\": 1"}"#));
    }

    #[test]
    fn events_end_at_blank_lines() {
        assert_eq!(event_end(b"data: 1\n\ndata", 0), Some(9));
        assert_eq!(event_end(b"data: 1\r\n\r\ndata", 7), Some(11));
        assert_eq!(event_end(b"data: 1\n", 0), None);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let headers = |name: &'static str, value: &str| {
            HeaderMap::from_iter([(
                reqwest::header::HeaderName::from_static(name),
                value.parse().expect("a header value"),
            )])
        };
        assert_eq!(
            retry_after(&headers("retry-after", "1.5")),
            Some(Duration::from_millis(1500))
        );
        assert_eq!(
            retry_after(&headers("retry-after-ms", "20")),
            Some(Duration::from_millis(20))
        );
        assert!(retry_after(&headers("retry-after", "Fri, 31 Dec 2100 23:59:59 GMT")).is_some());
        assert_eq!(
            retry_after(&headers("retry-after", "Fri, 31 Dec 1999 23:59:59 GMT")),
            None
        );
        assert_eq!(retry_after(&headers("retry-after", "soon")), None);
    }
}
