//! What goes wrong with a provider, told as failures and to the agent.

use bytes::Bytes;
use reqwest::header::HeaderMap;
use serde_json::Value;

use super::{Attempt, UpstreamModel, answer};
use crate::gateway::dialect::Dialect;
use crate::gateway::failure::{Failure, FailureKind};
use crate::gateway::model::{Content, Reply, Tokens};
use crate::gateway::secret::Secret;

impl UpstreamModel {
    /// An answer that is none.
    pub(super) fn malformed(&self, message: String) -> Attempt {
        self.fault(Failure {
            kind: FailureKind::Malformed,
            status: Some(502),
            message,
        })
    }

    /// An error answer of the provider.
    pub(super) fn refused(&self, status: u16, headers: &HeaderMap, body: Bytes) -> Attempt {
        let said = String::from_utf8_lossy(&body).into_owned();
        let kind = FailureKind::of_status(status, &said);
        let words: String = match serde_json::from_str::<Value>(&said) {
            Ok(answer) => answer
                .pointer("/error/message")
                .and_then(Value::as_str)
                .unwrap_or(&said)
                .to_owned(),
            Err(_) => said,
        };
        let words: String = words.chars().take(500).collect();
        let mut message = format!("the provider answered with status {status}: {words}");
        self.redactor.string(&mut message);
        if let (FailureKind::Authentication, Some(variable)) = (kind, self.key.as_ref().and_then(Secret::variable)) {
            message.push_str(&format!(" (the key is that of {variable})"));
        }
        let mut passed = answer::passed_on(headers, &self.redactor);
        passed.push(("x-should-retry".to_owned(), "false".to_owned()));
        Attempt::Fault {
            failure: Failure {
                kind,
                status: Some(status),
                message,
            },
            content: Content::Body {
                status,
                headers: passed,
                body,
            },
            tokens: None,
            retry_after: answer::retry_after(headers),
            final_: answer::text(headers, "x-should-retry") == Some("false"),
        }
    }

    /// An answer with nothing in it. Its tokens may be counted all the same.
    pub(super) fn empty(&self, why: &str, counted: Option<Tokens>) -> Attempt {
        let mut attempt = self.malformed(why.to_owned());
        if let Attempt::Fault { tokens, .. } = &mut attempt {
            *tokens = counted;
        }
        attempt
    }

    /// A fault that the agent is told of in our own words.
    pub(super) fn fault(&self, failure: Failure) -> Attempt {
        let content = Reply::failed(failure.clone()).content;
        Attempt::Fault {
            failure,
            content,
            tokens: None,
            retry_after: None,
            final_: false,
        }
    }

    pub(super) fn broken(&self, error: &reqwest::Error) -> Failure {
        let kind = match error {
            _ if error.is_connect() => FailureKind::Unreachable,
            _ if error.is_timeout() => FailureKind::TimedOut,
            _ if error.is_body() || error.is_decode() => FailureKind::Cut,
            _ => FailureKind::Unreachable,
        };
        let status = if kind == FailureKind::TimedOut { 504 } else { 502 };
        let origin = self.api_base.origin().ascii_serialization();
        let mut message = format!("no answer from {origin}: {}", answer::chain(error));
        self.redactor.string(&mut message);
        Failure {
            kind,
            status: Some(status),
            message,
        }
    }

    /// The refusal of a call that the provider would not understand.
    pub(super) fn not_spoken(&self, dialect: Dialect) -> Reply {
        let names: Vec<&str> = self.dialects.iter().map(|dialect| dialect.name()).collect();
        let message = format!("the model is called in {}, not in {dialect}", names.join(" and "));
        let reply = Reply::failed(Failure {
            kind: FailureKind::Rejected,
            status: Some(400),
            message,
        });
        Reply { attempts: 0, ..reply }
    }
}
