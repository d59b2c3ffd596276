//! What is set in a request before it is forwarded: the same wishes, said in the words of each dialect.

use serde_json::{Map, Value, json};

use super::config::{Settings, Temperature};
use crate::gateway::dialect::Dialect;
use crate::gateway::model::Call;

/// The least budget that Anthropic takes for thinking, in tokens.
pub const LEAST_THINKING: u64 = 1024;

/// The least that is asked of Gemini where a limit is tight: less is refused by some of its models.
const LEAST_GEMINI_THINKING: u64 = 128;

impl Settings {
    /// Sets what is to be set; returns the members that changed, `null` where one was removed. `thinks`: whether Claude is made
    /// to think, as far as its earlier thoughts are concerned.
    pub(super) fn apply(&self, body: &mut Map<String, Value>, call: &Call, thinks: bool) -> Map<String, Value> {
        let before = body.clone();
        let form = call.dialect.form();
        body.insert("model".to_owned(), json!(call.wire_model));
        match self.temperature {
            Temperature::Set(temperature) => drop(body.insert("temperature".to_owned(), json!(temperature))),
            Temperature::Omit => drop(body.shift_remove("temperature")),
        }
        for (name, value) in &self.extra {
            body.entry(name.clone()).or_insert_with(|| value.clone());
        }
        if call.dialect == Dialect::OpenaiChat {
            self.rename_limit(body);
        }
        // A budget has the last word.
        match call.max_output {
            Some(most) => {
                let limits = form.limit_output(body, most, self.output_limit);
                body.extend(limits);
            }
            None => self.raise_limits(body, call.dialect, thinks),
        }
        match call.dialect {
            Dialect::OpenaiChat => self.apply_chat(body, call),
            Dialect::OpenaiResponses => self.apply_responses(body),
            Dialect::AnthropicMessages => self.apply_messages(body, thinks),
        }
        changes(&before, body)
    }

    /// Says a limit by the name that the provider heeds, unless the agent has said it by that name as well.
    fn rename_limit(&self, body: &mut Map<String, Value>) {
        if let Some(limit) = self.unheeded_limit.and_then(|name| body.shift_remove(name)) {
            body.entry(self.output_limit).or_insert(limit);
        }
    }

    fn apply_chat(&self, body: &mut Map<String, Value>, call: &Call) {
        let gemini = self.gemini_thinks(body);
        if let Some(effort) = &self.reasoning_effort {
            body.entry("reasoning_effort").or_insert_with(|| json!(effort));
        }
        if let Some(wanted) = gemini {
            let budget = match call.dialect.form().max_output(body) {
                Some(most) if most <= wanted => wanted.min((most / 2).max(LEAST_GEMINI_THINKING)),
                _ => wanted,
            };
            let config = json!({"google": {"thinking_config": {"thinking_budget": budget}}});
            body.insert("extra_body".to_owned(), config);
        }
        // Where an OpenAI-compatible server of these models takes a budget, it takes it in Anthropic's words.
        self.apply_thinking(body, &["max_completion_tokens", "max_tokens"]);
        if call.stream {
            set_within(body, "stream_options", "include_usage", json!(true));
        }
    }

    fn apply_responses(&self, body: &mut Map<String, Value>) {
        let effort = body.get("reasoning").and_then(|reasoning| reasoning.get("effort"));
        if let Some(wanted) = self
            .reasoning_effort
            .as_ref()
            .filter(|_| effort.is_none_or(Value::is_null))
        {
            set_within(body, "reasoning", "effort", json!(wanted));
        }
    }

    fn apply_messages(&self, body: &mut Map<String, Value>, thinks: bool) {
        body.entry("max_tokens").or_insert_with(|| json!(self.max_output));
        match thinks {
            true => self.apply_thinking(body, &["max_tokens"]),
            false => drop_temperature(body),
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
    fn gemini_thinks(&self, body: &Map<String, Value>) -> Option<u64> {
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
    fn raise_limits(&self, body: &mut Map<String, Value>, dialect: Dialect, thinks: bool) {
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
    fn apply_thinking(&self, body: &mut Map<String, Value>, limits: &[&str]) {
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

/// Whether a request asks Anthropic for thoughts.
pub(super) fn thinks(body: &Map<String, Value>) -> bool {
    let thinks = body.get("thinking").and_then(|thinking| thinking.get("type"));
    thinks.and_then(Value::as_str) == Some("enabled")
}

/// With thinking Anthropic takes no temperature.
fn drop_temperature(body: &mut Map<String, Value>) {
    if thinks(body) {
        body.shift_remove("temperature");
    }
}

/// Sets a member of a member, which may have to be made.
fn set_within(body: &mut Map<String, Value>, outer: &str, inner: &str, value: Value) {
    let mut members = body.get(outer).and_then(Value::as_object).cloned().unwrap_or_default();
    members.insert(inner.to_owned(), value);
    body.insert(outer.to_owned(), Value::Object(members));
}

/// The members of `now` that are not as before, `null` where there is none any more.
fn changes(before: &Map<String, Value>, now: &Map<String, Value>) -> Map<String, Value> {
    let unset = Value::Null;
    let differs = |name: &&String| before.get(*name).unwrap_or(&unset) != now.get(*name).unwrap_or(&unset);
    let removed = before.keys().filter(|name| !now.contains_key(*name));
    let names = now.keys().chain(removed).filter(differs);
    names
        .map(|name| (name.clone(), now.get(name).cloned().unwrap_or_default()))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn applied(settings: &Settings, dialect: Dialect, body: Value, max_output: Option<u64>) -> Value {
        let mut body = body.as_object().cloned().expect("an object");
        let call = Call {
            turn: 1,
            number: 1,
            dialect,
            body: Arc::new(body.clone()),
            stream: false,
            wire_model: "m".to_owned(),
            max_output,
            retry: true,
            asks: Arc::default(),
        };
        settings.apply(&mut body, &call, settings.makes_claude_think(dialect, &call.body));
        Value::Object(body)
    }

    fn settings() -> Settings {
        Settings {
            temperature: Temperature::Set(0.0),
            reasoning_effort: Some("low".to_owned()),
            thinking_tokens: None,
            max_output: 9000,
            output_limit: "max_tokens",
            unheeded_limit: None,
            extra: Map::new(),
            gemini_thinking_tokens: None,
        }
    }

    #[test]
    fn responses_are_told_of_efforts_within_what_they_say_of_reasoning() {
        let said = |body| applied(&settings(), Dialect::OpenaiResponses, body, Some(50));
        assert_eq!(
            said(json!({"input": "x", "reasoning": {"summary": "auto"}})),
            json!({"input": "x", "reasoning": {"summary": "auto", "effort": "low"}, "model": "m", "temperature": 0.0,
                "max_output_tokens": 50})
        );
        assert_eq!(
            said(json!({"reasoning": {"effort": "high"}}))["reasoning"],
            json!({"effort": "high"})
        );
    }

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
    fn a_limit_has_the_name_that_the_provider_heeds() {
        let deepseek = Settings {
            unheeded_limit: Some("max_completion_tokens"),
            ..settings()
        };
        let said = |body: Value, most| {
            let said = applied(&deepseek, Dialect::OpenaiChat, body, most);
            (said["max_tokens"].as_u64(), said.get("max_completion_tokens").is_some())
        };
        assert_eq!(said(json!({"max_completion_tokens": 800}), None), (Some(800), false));
        assert_eq!(said(json!({"max_completion_tokens": 800}), Some(50)), (Some(50), false));
        assert_eq!(
            said(json!({"max_completion_tokens": 800, "max_tokens": 700}), None),
            (Some(700), false)
        );
        assert_eq!(said(json!({}), None), (None, false));
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
