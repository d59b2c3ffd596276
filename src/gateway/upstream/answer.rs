//! What a provider's answer is read for: events, headers, causes of errors.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt};
use reqwest::Response;
use reqwest::header::HeaderMap;
use serde_json::Value;
use tokio::sync::OwnedSemaphorePermit;

use crate::gateway::dialect::chat::{self, BROKEN};
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
                    Some(Err(_)) => return Some((Err(chat::cut()), None)),
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
    let clean = match text.contains("\"error\"") {
        true => redactor.text(&text),
        false => redactor.secrets(&text),
    };
    match clean {
        Some(clean) => clean.into(),
        None => event.into(),
    }
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

/// What a body that came with a good status is.
#[derive(Debug, PartialEq)]
pub(super) enum Said {
    Answer,
    /// An error all the same, as some routers of providers do, and the status that it should have had.
    Error(u16),
    /// Nothing that a model could have said. The text says what is wrong.
    Nothing(&'static str),
}

/// Reads a body that came with a good status. What is no answer must not reach the agent as one: it would count as the
/// model's.
pub(super) fn said(body: &[u8]) -> Said {
    let Ok(answer) = serde_json::from_slice::<Value>(body) else {
        return Said::Nothing("the provider's answer is not JSON");
    };
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
        Some(error) => {
            let code = error.get("code").and_then(Value::as_u64);
            let code = code.and_then(|code| u16::try_from(code).ok());
            Said::Error(code.filter(|code| (400..=599).contains(code)).unwrap_or(502))
        }
        None if broken.is_some() => Said::Error(502),
        None => Said::Nothing("the provider's answer holds no message"),
    }
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
    fn a_good_status_makes_no_answer() {
        for body in [
            r#"{"choices": [{"message": {"content": null}, "finish_reason": "length"}]}"#,
            r#"{"choices": [{"message": {"content": "x"}, "error": null}], "error": null}"#,
        ] {
            assert_eq!(said(body.as_bytes()), Said::Answer, "{body}");
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
            assert_eq!(said(body.as_bytes()), Said::Error(status), "{body}");
        }
        for body in [
            "{}",
            "[]",
            "null",
            "<html>",
            r#"{"choices": []}"#,
            r#"{"choices": [{"message": null}]}"#,
        ] {
            assert!(matches!(said(body.as_bytes()), Said::Nothing(_)), "{body}");
        }
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
