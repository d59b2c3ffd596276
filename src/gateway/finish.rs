//! Why a model's answer ended, as the record of its call tells.

use serde_json::Value;

use super::dialect::Dialect;

/// Whether an answer was broken off because it used up the tokens that it may have. `recorded` is its record: the body, or of a
/// stream what its events add up to.
pub(super) fn ran_out(dialect: Dialect, recorded: &Value) -> bool {
    // Of a stream of chat completions the reason stands beside the message, else within.
    let whole = recorded.get("message").unwrap_or(recorded);
    let (reason, limit) = match dialect {
        Dialect::OpenaiChat => {
            let of_stream = recorded.get("finish_reason");
            (
                of_stream.or_else(|| recorded.pointer("/choices/0/finish_reason")),
                "length",
            )
        }
        Dialect::OpenaiResponses => (whole.pointer("/incomplete_details/reason"), "max_output_tokens"),
        Dialect::AnthropicMessages => (whole.get("stop_reason"), "max_tokens"),
    };
    reason.and_then(Value::as_str) == Some(limit)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_dialect_says_in_its_own_words_that_the_tokens_are_used_up() {
        let says = |reason: &str| {
            [
                (
                    Dialect::OpenaiChat,
                    json!({"choices": [{"message": {}, "finish_reason": reason}]}),
                ),
                (
                    Dialect::OpenaiChat,
                    json!({"events": "", "message": {}, "finish_reason": reason}),
                ),
                (
                    Dialect::OpenaiResponses,
                    json!({"output": [], "incomplete_details": {"reason": reason}}),
                ),
                (
                    Dialect::OpenaiResponses,
                    json!({"message": {"incomplete_details": {"reason": reason}}}),
                ),
                (
                    Dialect::AnthropicMessages,
                    json!({"content": [], "stop_reason": reason}),
                ),
                (
                    Dialect::AnthropicMessages,
                    json!({"events": "", "message": {"stop_reason": reason}}),
                ),
            ]
        };
        let limits = [
            "length",
            "length",
            "max_output_tokens",
            "max_output_tokens",
            "max_tokens",
            "max_tokens",
        ];
        for (index, limit) in limits.into_iter().enumerate() {
            let (dialect, recorded) = says(limit).into_iter().nth(index).unwrap();
            assert!(ran_out(dialect, &recorded), "{recorded}");
            let (dialect, recorded) = says("stop").into_iter().nth(index).unwrap();
            assert!(!ran_out(dialect, &recorded), "{recorded}");
        }
        assert!(!ran_out(Dialect::OpenaiChat, &json!("<html>")));
    }
}
