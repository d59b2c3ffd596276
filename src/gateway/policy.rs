//! Refusals by a provider's content policy, told from the error that it answers with.

use serde_json::Value;

/// What providers call such a refusal, in `code`, `type` or `error_type`.
const CODES: [&str; 7] = [
    // OpenAI, OpenRouter
    "content_policy_violation",
    // Azure: the error, and its `innererror`
    "content_filter",
    "ResponsibleAIPolicyViolation",
    // OpenAI: a classifier, and what its newer models are asked about attacks and about biology
    "moderation_blocked",
    "cyber_policy",
    "bio_policy",
    // Alibaba
    "data_inspection_failed",
];

/// What they say of it under a code that malformed requests have as well.
const MESSAGES: [&str; 5] = [
    // OpenAI, `invalid_prompt`
    "violating our usage policy",
    "limited access to this content for safety reasons",
    // Anthropic, `invalid_request_error`
    "blocked by content filtering policy",
    // DeepSeek, `invalid_request_error`
    "Content Exists Risk",
    // LiteLLM, before whatever its own provider said
    "ContentPolicyViolationError",
];

/// Whether an error answer, or the error of a stream, tells of a content policy. `body` is all of its text. Only the error's own
/// members are looked at: other texts may be the request's.
pub(super) fn refuses(body: &str) -> bool {
    let Ok(answer) = serde_json::from_str::<Value>(body) else {
        return false;
    };
    // Google wraps errors in a list.
    let answer = answer.get(0).unwrap_or(&answer);
    let error = answer.get("error").unwrap_or(answer);
    let places = [
        Some(answer),
        Some(error),
        error.get("innererror"),
        error.get("metadata"),
    ];
    let code = places.into_iter().flatten().any(|place| {
        let members = ["code", "type", "error_type"].map(|name| place.get(name).and_then(Value::as_str));
        members.into_iter().flatten().any(|code| CODES.contains(&code))
    });
    let message = error.get("message").and_then(Value::as_str).unwrap_or_default();
    // OpenRouter's moderation has no code, but shows what it stopped at.
    let flagged = error.pointer("/metadata/flagged_input").is_some();
    code || flagged || MESSAGES.iter().any(|words| message.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn refusals_are_told_by_code_or_where_that_is_shared_by_message() {
        let error = |code: &str, message: &str| json!({"error": {"code": code, "message": message}}).to_string();
        let azure = json!({"error": {"code": null, "innererror": {"code": "ResponsibleAIPolicyViolation"}}});
        let moderated = json!({"error": {"code": 403, "message": "no", "metadata": {"flagged_input": "x"}}});
        let router = json!({"error": {"code": 400, "metadata": {"error_type": "content_policy_violation"}}});
        let flagged = "Invalid prompt: your prompt was flagged as potentially violating our usage policy.";
        for body in [
            error("content_policy_violation", "no"),
            error("cyber_policy", "no"),
            error("invalid_prompt", flagged),
            error("400", "litellm.BadRequestError: litellm.ContentPolicyViolationError: no"),
            json!([{"error": {"code": "content_filter"}}]).to_string(),
            // As in a stream: the error alone.
            json!({"code": "content_filter", "message": "no"}).to_string(),
            json!({"type": "error", "error": {"type": "invalid_request_error", "message": "Output blocked by content filtering policy"}}).to_string(),
            azure.to_string(),
            moderated.to_string(),
            router.to_string(),
        ] {
            assert!(refuses(&body), "{body}");
        }
        for body in [
            String::new(),
            "content_filter".to_owned(),
            error("invalid_prompt", "input[1]: field required"),
            error("invalid_request_error", "unknown parameter: content_filter"),
            json!({"error": {"message": "no"}, "request": {"code": "content_filter"}}).to_string(),
        ] {
            assert!(!refuses(&body), "{body}");
        }
    }
}
