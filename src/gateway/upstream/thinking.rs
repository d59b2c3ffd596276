//! Budgets for thinking, said in the words of each provider, with room for the answer beside them.

use serde_json::{Map, Value, json};

use super::config::Settings;
use crate::gateway::dialect::Dialect;

/// The least budget that Anthropic takes for thinking, in tokens.
pub const LEAST_THINKING: u64 = 1024;

/// The least that is asked of Gemini where a limit is tight: less is refused by some of its models.
const LEAST_GEMINI_THINKING: u64 = 128;

impl Settings {
    /// A setting that has no words in a dialect: called in it the model would be run without, and yet be named as if with it.
    pub fn unsaid(&self, dialect: Dialect) -> Option<&'static str> {
        // None is what Claude does unless it is told to think; Gemini has to be told of none, too.
        let claude_thinks = self.thinking_tokens.is_some_and(|budget| budget > 0);
        let is_gemini = self.gemini_thinking_tokens.is_some();
        match dialect {
            Dialect::OpenaiChat => None,
            Dialect::OpenaiResponses if claude_thinks => Some("thinking budget"),
            Dialect::OpenaiResponses | Dialect::AnthropicMessages if is_gemini => Some("thinking budget"),
            Dialect::AnthropicMessages if self.reasoning_effort.is_some() => Some("reasoning effort"),
            Dialect::OpenaiResponses | Dialect::AnthropicMessages => None,
        }
    }

    /// Whether Claude is made to think in a request of messages: its agent says nothing of thinking, and nothing that Anthropic
    /// does not take together with it, as a tool that must be called.
    pub(super) fn makes_claude_think(&self, dialect: Dialect, body: &Map<String, Value>) -> bool {
        let choice = body.get("tool_choice").and_then(|choice| choice.get("type"));
        let is_forced = matches!(choice.and_then(Value::as_str), Some("any" | "tool"));
        dialect == Dialect::AnthropicMessages && self.claude_thinks(body).is_some() && !is_forced
    }

    /// The budget for thinking that is said in Anthropic's words, unless the agent has said one.
    fn claude_thinks(&self, body: &Map<String, Value>) -> Option<u64> {
        let wanted = self.thinking_tokens.filter(|wanted| *wanted > 0)?;
        (!body.contains_key("thinking")).then_some(wanted.into())
    }

    /// The same in Google's words; it is not taken together with an effort.
    pub(super) fn gemini_thinks(&self, body: &Map<String, Value>) -> Option<u64> {
        let wanted = self
            .gemini_thinking_tokens
            .filter(|_| self.reasoning_effort.is_none())?;
        let says = |name: &str| body.get(name).is_some_and(|value| !value.is_null());
        (!says("extra_body") && !says("reasoning_effort")).then_some(wanted.into())
    }

    /// Tokens that are added to what a request allows, for thinking that its agent knows nothing of: what it allows is
    /// meant for the answer.
    pub(super) fn adds_output(&self, dialect: Dialect, body: &Map<String, Value>, thinks: bool) -> u64 {
        let added = match dialect {
            Dialect::OpenaiChat => self.gemini_thinks(body).or_else(|| self.claude_thinks(body)),
            Dialect::OpenaiResponses => None,
            Dialect::AnthropicMessages => self.claude_thinks(body).filter(|_| thinks),
        };
        added.unwrap_or(0)
    }

    /// Raises the limits that a request names by what is added for thinking, up to what the model writes.
    pub(super) fn raise_limits(&self, body: &mut Map<String, Value>, dialect: Dialect, thinks: bool) {
        let (more, most) = (self.adds_output(dialect, body, thinks), u64::from(self.max_output));
        for name in dialect.form().output_limits() {
            let named = body.get(*name).and_then(Value::as_u64);
            if let Some(named) = named.filter(|named| more > 0 && *named < most) {
                body.insert((*name).to_owned(), json!(named.saturating_add(more).min(most)));
            }
        }
    }

    /// Sets a budget for thinking. It has to be less than the answer may have, which the thinking is part of: the first of
    /// `limits` that the request names.
    pub(super) fn apply_thinking(&self, body: &mut Map<String, Value>, limits: &[&str]) {
        if let Some(wanted) = self.claude_thinks(body) {
            let budget = match limits.iter().find_map(|limit| body.get(*limit)?.as_u64()) {
                Some(most) if most <= wanted => most / 2,
                _ => wanted,
            };
            if budget >= LEAST_THINKING {
                body.insert(
                    "thinking".to_owned(),
                    json!({"type": "enabled", "budget_tokens": budget}),
                );
            }
        }
        drop_temperature(body);
    }
}

/// Sets a budget for thinking in Google's words. It has to leave room for the answer, which the thinking is part of; `most`:
/// what the request allows.
pub(super) fn apply_gemini_thinking(wanted: u64, most: Option<u64>, body: &mut Map<String, Value>) {
    let budget = match most {
        Some(most) if most <= wanted => wanted.min((most / 2).max(LEAST_GEMINI_THINKING)),
        _ => wanted,
    };
    let config = json!({"google": {"thinking_config": {"thinking_budget": budget}}});
    body.insert("extra_body".to_owned(), config);
}

/// Whether a request asks Anthropic for thoughts.
pub(super) fn thinks(body: &Map<String, Value>) -> bool {
    let thinks = body.get("thinking").and_then(|thinking| thinking.get("type"));
    thinks.and_then(Value::as_str) == Some("enabled")
}

/// With thinking Anthropic takes no temperature.
pub(super) fn drop_temperature(body: &mut Map<String, Value>) {
    if thinks(body) {
        body.shift_remove("temperature");
    }
}

#[cfg(test)]
mod tests {
    use super::super::apply::tests::{applied, settings};
    use super::*;

    #[test]
    fn thinking_fits_into_the_answer_and_takes_no_temperature() {
        let thinking = Settings {
            thinking_tokens: Some(4000),
            ..settings()
        };
        let said = |body, most| applied(&thinking, Dialect::AnthropicMessages, body, most);
        assert_eq!(
            said(json!({"temperature": 1}), None),
            json!({"model": "m", "max_tokens": 9000, "thinking": {"type": "enabled", "budget_tokens": 4000}})
        );
        let tight = said(json!({"max_tokens": 8000}), Some(3000));
        assert_eq!(
            (&tight["max_tokens"], &tight["thinking"]["budget_tokens"]),
            (&json!(3000), &json!(1500))
        );
        let raised = said(json!({"max_tokens": 4096}), None);
        assert_eq!(
            (&raised["max_tokens"], &raised["thinking"]["budget_tokens"]),
            (&json!(8096), &json!(4000))
        );
        assert_eq!(said(json!({"max_tokens": 8000}), None)["max_tokens"], 9000);
        let chat = applied(&thinking, Dialect::OpenaiChat, json!({"max_tokens": 4096}), None);
        assert_eq!(
            (&chat["max_tokens"], &chat["thinking"]["budget_tokens"]),
            (&json!(8096), &json!(4000))
        );
        let none = said(json!({"max_tokens": 8000}), Some(1500));
        assert_eq!((none.get("thinking"), &none["temperature"]), (None, &json!(0.0)));
        let own = said(json!({"thinking": {"type": "disabled"}}), None);
        assert_eq!(
            (&own["thinking"]["type"], &own["temperature"]),
            (&json!("disabled"), &json!(0.0))
        );
    }

    #[test]
    fn a_tool_that_must_be_called_leaves_no_thinking() {
        let thinking = Settings {
            thinking_tokens: Some(4000),
            ..settings()
        };
        let asked = |choice: &str| {
            let body = json!({"max_tokens": 5000, "messages": [], "tool_choice": {"type": choice}});
            applied(&thinking, Dialect::AnthropicMessages, body, None)
        };
        assert_eq!(asked("auto")["thinking"]["budget_tokens"], 4000);
        let forced = asked("any");
        assert_eq!((forced.get("thinking"), &forced["max_tokens"]), (None, &json!(5000)));
    }

    #[test]
    fn geminis_thinking_is_added_to_the_answer_and_fits_into_it() {
        let thinking = Settings {
            gemini_thinking_tokens: Some(4000),
            reasoning_effort: None,
            ..settings()
        };
        let said = |body: Value, most| applied(&thinking, Dialect::OpenaiChat, body, most);
        let budget = |said: &Value| said["extra_body"]["google"]["thinking_config"]["thinking_budget"].clone();
        let limits = ["max_tokens", "max_completion_tokens"];
        for (name, other) in [(limits[0], limits[1]), (limits[1], limits[0])] {
            let raised = said(json!({name: 3000}), None);
            assert_eq!((&raised[name], raised.get(other)), (&json!(7000), None));
            assert_eq!(budget(&raised), 4000);
            assert_eq!(
                said(json!({name: 8000}), None)[name],
                9000,
                "no more than the model writes"
            );
            let tight = said(json!({name: 8000}), Some(3000));
            assert_eq!((&tight[name], budget(&tight)), (&json!(3000), json!(1500)));
        }
        let free = said(json!({}), None);
        assert_eq!((free.get(limits[0]), budget(&free)), (None, json!(4000)));
        assert_eq!(budget(&said(json!({}), Some(100))), 128);
        // What the agent says of thinking itself stays, and nothing is added for it.
        for own in [
            json!({"extra_body": {"google": {}}}),
            json!({"reasoning_effort": "low"}),
        ] {
            let mut body = own.clone();
            body["max_tokens"] = json!(3000);
            let said = said(body, None);
            assert_eq!(
                (&said["max_tokens"], budget(&said)),
                (&json!(3000), Value::Null),
                "{own}"
            );
        }
    }
}
