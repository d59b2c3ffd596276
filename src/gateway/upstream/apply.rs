//! What is set in a request before it is forwarded: the same wishes, said in the words of each dialect.

use serde_json::{Map, Value, json};

use super::config::{Settings, Temperature};
use crate::gateway::dialect::Dialect;
use crate::gateway::model::Call;

/// The least budget that Anthropic takes for thinking, in tokens.
const LEAST_THINKING: u64 = 1024;

impl Settings {
    /// Sets what is to be set; returns the members that changed, `null` where one was removed.
    pub(super) fn apply(&self, body: &mut Map<String, Value>, call: &Call) -> Map<String, Value> {
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
        if let Some(most) = call.max_output {
            body.extend(form.limit_output(&before, most, self.output_limit));
        }
        match call.dialect {
            Dialect::OpenaiChat => self.apply_chat(body, call),
            Dialect::OpenaiResponses => self.apply_responses(body),
            Dialect::AnthropicMessages => self.apply_messages(body, call),
        }
        changes(&before, body)
    }

    fn apply_chat(&self, body: &mut Map<String, Value>, call: &Call) {
        if let Some(effort) = &self.reasoning_effort {
            body.entry("reasoning_effort").or_insert_with(|| json!(effort));
        }
        for (name, value) in &self.chat_extra {
            body.entry(name.clone()).or_insert_with(|| value.clone());
        }
        if self.thinking_tokens.is_some() {
            // Where an OpenAI-compatible server of these models takes a budget, it takes it in Anthropic's words.
            self.apply_thinking(body, "max_completion_tokens");
        }
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

    /// Tokens that are added to what a request allows, for thinking that its agent knows nothing of: what it allows is
    /// meant for the answer.
    pub(super) fn adds_output(&self, dialect: Dialect, body: &Map<String, Value>) -> u64 {
        let thinking = self.thinking_tokens.filter(|_| dialect == Dialect::AnthropicMessages);
        match body.get("thinking") {
            None if forgets_thinking(body) => 0,
            None => thinking.map_or(0, u64::from),
            Some(_) => 0,
        }
    }

    fn apply_messages(&self, body: &mut Map<String, Value>, call: &Call) {
        let more = self.adds_output(call.dialect, body);
        let most = u64::from(self.max_output);
        match body.get("max_tokens").and_then(Value::as_u64) {
            None => drop(body.insert("max_tokens".to_owned(), json!(most))),
            // A budget has the last word.
            Some(named) if more > 0 && named < most && call.max_output.is_none() => {
                let raised = named.saturating_add(more).min(most);
                body.insert("max_tokens".to_owned(), json!(raised));
            }
            Some(_) => {}
        }
        // Anthropic refuses to think on behind calls of tools whose thoughts are gone.
        if !forgets_thinking(body) {
            self.apply_thinking(body, "max_tokens");
        }
    }

    /// Sets a budget for thinking. It has to be less than the answer may have, which the thinking is part of, and with it
    /// no temperature is taken.
    fn apply_thinking(&self, body: &mut Map<String, Value>, limit: &str) {
        if let Some(wanted) = self.thinking_tokens.map(u64::from).filter(|wanted| *wanted > 0) {
            let most = body
                .get(limit)
                .or_else(|| body.get("max_tokens"))
                .and_then(Value::as_u64);
            let budget = match most {
                Some(most) if most <= wanted => most / 2,
                _ => wanted,
            };
            if budget >= LEAST_THINKING {
                body.entry("thinking")
                    .or_insert_with(|| json!({"type": "enabled", "budget_tokens": budget}));
            }
        }
        let thinks = body.get("thinking").and_then(|thinking| thinking.get("type"));
        if thinks.and_then(Value::as_str) == Some("enabled") {
            body.shift_remove("temperature");
        }
    }
}

/// Whether a conversation of Anthropic's has calls of tools without the thoughts that came before them: its agent, which was not
/// the one to ask for any, does not send them back.
fn forgets_thinking(body: &Map<String, Value>) -> bool {
    let messages = body.get("messages").and_then(Value::as_array).into_iter().flatten();
    let mut contents = messages.filter_map(|message| message.get("content")?.as_array());
    contents.any(|blocks| {
        let kinds = || blocks.iter().filter_map(|block| block.get("type")?.as_str());
        kinds().any(|kind| kind == "tool_use") && !kinds().any(|kind| kind.contains("thinking"))
    })
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
        settings.apply(&mut body, &call);
        Value::Object(body)
    }

    fn settings() -> Settings {
        Settings {
            temperature: Temperature::Set(0.0),
            reasoning_effort: Some("low".to_owned()),
            thinking_tokens: None,
            max_output: 9000,
            output_limit: "max_tokens",
            extra: Map::new(),
            chat_extra: Map::new(),
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
        let none = said(json!({"max_tokens": 8000}), Some(1500));
        assert_eq!((none.get("thinking"), &none["temperature"]), (None, &json!(0.0)));
        let own = said(json!({"thinking": {"type": "disabled"}}), None);
        assert_eq!(
            (&own["thinking"]["type"], &own["temperature"]),
            (&json!("disabled"), &json!(0.0))
        );
    }

    #[test]
    fn no_thinking_is_asked_for_behind_calls_whose_thoughts_are_gone() {
        let thinking = Settings {
            thinking_tokens: Some(4000),
            ..settings()
        };
        let asked = |blocks: Value| {
            let body = json!({"max_tokens": 9000, "messages": [{"role": "assistant", "content": blocks}]});
            applied(&thinking, Dialect::AnthropicMessages, body, None)["thinking"].clone()
        };
        let call = json!({"type": "tool_use", "id": "a", "name": "f", "input": {}});
        assert_eq!(asked(json!([call])), Value::Null);
        let whole = json!([{"type": "thinking", "thinking": "", "signature": ""}, call]);
        assert_eq!(asked(whole)["budget_tokens"], 4000);
        assert_eq!(asked(json!([{"type": "text", "text": "x"}]))["budget_tokens"], 4000);
    }
}
