//! What is set in a request before it is forwarded: the same wishes, said in the words of each dialect.

use serde_json::{Map, Value, json};

use super::config::{Settings, Temperature};
use super::thinking::{apply_gemini_thinking, drop_temperature};
use crate::gateway::dialect::Dialect;
use crate::gateway::model::Call;

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
            apply_gemini_thinking(wanted, call.dialect.form().max_output(body), body);
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
pub(super) mod tests {
    use std::sync::Arc;

    use super::*;

    /// The body as it is forwarded.
    pub fn applied(settings: &Settings, dialect: Dialect, body: Value, max_output: Option<u64>) -> Value {
        let mut body = body.as_object().cloned().expect("an object");
        let call = Call {
            turn: 1,
            number: 1,
            dialect,
            body: Arc::new(body.clone()),
            sent: Arc::default(),
            stream: false,
            wire_model: "m".to_owned(),
            max_output,
            retry: true,
            asks: Arc::default(),
        };
        settings.apply(&mut body, &call, settings.makes_claude_think(dialect, &call.body));
        Value::Object(body)
    }

    pub fn settings() -> Settings {
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
}
