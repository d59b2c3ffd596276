//! What is refused here, and never reaches a model, in the words of its dialect.

use axum::response::Response;

use super::dialect::Dialect;
use super::failure::{Failure, FailureKind};
use super::pending::{End, Pending};
use super::purse::Refusal;
use super::record::RecordedError;
use super::reply::json_response;
use crate::budget::Scope;

/// Answers a request that never reaches the model.
pub(super) fn refuse(mut pending: Pending, status: u16, message: String) -> Response {
    let response = pending.dialect.form().error(status, &message, None);
    let answer = json_response(status, &[], &response);
    let error = Some(RecordedError {
        kind: "bad_request".to_owned(),
        message,
    });
    pending.finish(End {
        status,
        response,
        error,
        ..End::default()
    });
    answer
}

/// Answers a call that a budget has no room for, as agents do not retry it: to wait would not help.
pub(super) fn refuse_for_budget(mut pending: Pending, refusal: &Refusal) -> Response {
    let status = 400;
    let message = refusal.to_string();
    let form = pending.dialect.form();
    let response = form.error(status, &message, Some("budget_used_up"));
    let headers = [("x-should-retry".to_owned(), "false".to_owned())];
    let answer = json_response(status, &headers, &response);
    let kind = match refusal.scope {
        Scope::Run if refusal.used_up => FailureKind::RunBudget,
        // What a run has no room for while enough is left is its own trial's doing, and ends that one.
        Scope::Run | Scope::Trial => FailureKind::TrialBudget,
    };
    let failure = Some(Failure {
        kind,
        status: Some(status),
        message,
    });
    pending.finish(End {
        status,
        response,
        failure,
        ..End::default()
    });
    answer
}

/// An error of the gateway's own, that is no call's.
pub(super) fn error(dialect: Dialect, status: u16, headers: &[(String, String)], message: &str) -> Response {
    json_response(status, headers, &dialect.form().error(status, message, None))
}
