//! What legitimately differs between two sessions of the same conversation, and what is left that differs.

use std::collections::HashMap;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Map, Value};
use similar::{ChangeTag, TextDiff};

use super::secret::{Redactor, edit_texts};

/// Members of a request that say how the model is to be run, and not what it is asked.
const SETTINGS: [&str; 12] = [
    "model",
    "temperature",
    "top_p",
    "reasoning_effort",
    "reasoning",
    "include",
    "thinking",
    "extra_body",
    "max_tokens",
    "max_completion_tokens",
    "max_output_tokens",
    "stream_options",
];

/// Members of a request that name the session to the provider, and are no part of what the model is asked.
const SESSION: [&str; 2] = ["prompt_cache_key", "metadata"];

/// Where a request holds its conversation, in each dialect.
const CONVERSATION: [&str; 2] = ["messages", "input"];

/// Where a message says something.
const SAID: [&str; 4] = ["content", "output", "arguments", "text"];

/// Most lines of a difference that are shown, and most characters of each.
const LINES: usize = 12;
const WIDTH: usize = 200;

/// Routes and their tokens. The record has `[redacted]` for the token.
static ROUTE: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"http://127\.0\.0\.1:\d+/t/(?:[0-9a-f]{48}|\[redacted\])").ok());
static TOKEN: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\b[0-9a-f]{48}\b").ok());

/// Patterns of texts that are another in each session.
#[derive(Debug, Clone, Default)]
pub struct Varying {
    /// Where the agent's folders are. An answer that names a place of the recorded session is given with that of the new.
    pub places: Option<Regex>,
    /// What the agent itself puts in, such as the date.
    pub texts: Vec<Regex>,
}

impl Varying {
    /// A request with everything that varies made equal, and without its settings if they are not to count.
    pub fn settled(&self, mut request: Value, without_settings: bool) -> Value {
        if let Some(members) = request.as_object_mut() {
            let settings = SETTINGS.iter().filter(|_| without_settings);
            let dropped = SESSION.iter().chain(settings);
            dropped.for_each(|name| drop(members.shift_remove(*name)));
        }
        // As older records were made.
        let redactor = Redactor::new([]);
        edit_texts(&mut request, &|text| redactor.text(text));
        let patterns = [
            (ROUTE.as_ref(), "<route>"),
            (TOKEN.as_ref(), "[redacted]"),
            (self.places.as_ref(), "<place>"),
        ];
        let own = self.texts.iter().map(|pattern| (Some(pattern), "<varies>"));
        let patterns: Vec<_> = patterns.into_iter().chain(own).collect();
        edit_texts(&mut request, &|text| {
            let mut settled: Option<String> = None;
            for (pattern, name) in &patterns {
                let current = settled.as_deref().unwrap_or(text);
                if let Some(pattern) = pattern.filter(|pattern| pattern.is_match(current)) {
                    settled = Some(pattern.replace_all(current, *name).into_owned());
                }
            }
            settled
        });
        request
    }

    /// Pairs the places that two requests name; the two differ in nothing but what varies.
    pub fn learn_places(&self, recorded: &Value, said: &Value, places: &mut HashMap<String, String>) {
        let Some(pattern) = &self.places else { return };
        let found = |value: &Value| {
            let mut found = Vec::new();
            walk(value, &mut |text| {
                found.extend(pattern.find_iter(text).map(|place| place.as_str().to_owned()))
            });
            found
        };
        let pairs = found(recorded).into_iter().zip(found(said));
        places.extend(pairs.filter(|(old, new)| old != new));
    }
}

/// Every text of the messages, in order; a record may have its members in another order, the messages may not.
fn walk(value: &Value, take: &mut dyn FnMut(&str)) {
    match value {
        Value::String(text) => take(text),
        Value::Array(items) => items.iter().for_each(|item| walk(item, take)),
        Value::Object(members) => {
            let mut names: Vec<&String> = members.keys().collect();
            names.sort();
            names.into_iter().for_each(|name| walk(&members[name], take));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The first difference between two settled requests, in words: a message, or a member beside the messages.
pub fn difference(recorded: &Value, said: &Value) -> Option<String> {
    if recorded == said {
        return None;
    }
    let none = Map::new();
    let (before, now) = (recorded.as_object().unwrap_or(&none), said.as_object().unwrap_or(&none));
    let messages = |request| conversation(request).unwrap_or_default();
    let (old, new) = (messages(before), messages(now));
    for (index, (old, new)) in old.iter().zip(new).enumerate() {
        if old != new {
            let role = new.get("role").or_else(|| new.get("type"));
            let role = role.and_then(Value::as_str).unwrap_or("?");
            return Some(format!(
                "message {} ({role}):\n{}",
                index + 1,
                diff(&text(old), &text(new))
            ));
        }
    }
    if old.len() != new.len() {
        return Some(format!("{} messages, {} are recorded", new.len(), old.len()));
    }
    let names = before.keys().chain(now.keys());
    for name in names {
        if before.get(name) != now.get(name) {
            let shown =
                |value: Option<&Value>| value.map_or_else(|| "nothing".to_owned(), |value| cut(&value.to_string()));
            return Some(format!(
                "`{name}` is {}, and {} is recorded",
                shown(now.get(name)),
                shown(before.get(name))
            ));
        }
    }
    Some("the request is not as recorded".to_owned())
}

/// The messages of a request, or the items of its input.
fn conversation(request: &Map<String, Value>) -> Option<&[Value]> {
    let mut named = CONVERSATION.iter().filter_map(|name| request.get(*name)?.as_array());
    named.next().map(Vec::as_slice)
}

/// What a message says, as lines of text, below what else there is to it.
fn text(message: &Value) -> String {
    let mut rest = message.clone();
    let mut said = Vec::new();
    take_said(&mut rest, &mut said);
    let rest = match message.get("content") {
        Some(Value::Array(_)) => serde_json::to_string_pretty(&rest).unwrap_or_default(),
        _ => rest.to_string(),
    };
    std::iter::once(rest).chain(said).collect::<Vec<_>>().join("\n")
}

/// Takes the texts out of a message or of a part of one.
fn take_said(value: &mut Value, said: &mut Vec<String>) {
    let Some(members) = value.as_object_mut() else { return };
    for name in SAID {
        match members.get_mut(name) {
            Some(Value::String(text)) => {
                said.push(std::mem::take(text));
                members.shift_remove(name);
            }
            Some(Value::Array(parts)) => parts.iter_mut().for_each(|part| take_said(part, said)),
            _ => {}
        }
    }
}

/// The lines that differ, as many as are worth showing.
fn diff(old: &str, new: &str) -> String {
    let diff = TextDiff::from_lines(old, new);
    let changes = diff
        .iter_all_changes()
        .filter(|change| change.tag() != ChangeTag::Equal);
    let lines: Vec<String> = changes
        .map(|change| format!("{} {}", change.tag(), cut(change.value().trim_end_matches('\n'))))
        .collect();
    let mut text = lines.iter().take(LINES).cloned().collect::<Vec<_>>().join("\n");
    if lines.len() > LINES {
        text.push_str(&format!("\n… and {} more lines", lines.len() - LINES));
    }
    text
}

/// A line that is short and harmless: what agents and models wrote may hold control sequences.
fn cut(line: &str) -> String {
    let mut visible = String::new();
    for c in line.chars() {
        match c {
            '\t' => visible.push(c),
            c if c.is_control() => visible.extend(c.escape_default()),
            c => visible.push(c),
        }
    }
    let line = visible;
    match line.char_indices().nth(WIDTH) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn varying() -> Varying {
        Varying {
            places: Regex::new(r"/tmp/run-[a-z]+").ok(),
            texts: vec![Regex::new(r"Current date: \S+").unwrap()],
        }
    }

    fn request(text: &str) -> Value {
        json!({"model": "m", "temperature": 0, "messages": [{"role": "user", "content": text}]})
    }

    #[test]
    fn only_what_varies_is_made_equal() {
        let token = "ab".repeat(24);
        let old = request("in /tmp/run-old/workspace\nCurrent date: 2026-01-01\nhttp://127.0.0.1:4000/t/[redacted]/v1");
        let new = request(&format!(
            "in /tmp/run-new/workspace\nCurrent date: 2026-12-31\nhttp://127.0.0.1:4999/t/{token}/v1"
        ));
        let varying = varying();
        assert_eq!(
            difference(
                &varying.settled(old.clone(), false),
                &varying.settled(new.clone(), false)
            ),
            None
        );
        let mut places = HashMap::new();
        varying.learn_places(&old, &new, &mut places);
        assert_eq!(
            places.into_iter().collect::<Vec<_>>(),
            [("/tmp/run-old".into(), "/tmp/run-new".into())]
        );
    }

    #[test]
    fn the_first_difference_is_told_in_short() {
        let varying = varying();
        let told = |old: Value, new: Value, settings| {
            difference(&varying.settled(old, settings), &varying.settled(new, settings))
        };
        let lines = told(request("a\nb\nc\n"), request("a\n\u{1b}[2JB\nc\n"), false).unwrap();
        assert_eq!(lines, "message 1 (user):\n- b\n+ \\u{1b}[2JB");
        let mut warm = request("a");
        warm["temperature"] = json!(1);
        assert_eq!(
            told(request("a"), warm.clone(), false).unwrap(),
            "`temperature` is 1, and 0 is recorded"
        );
        assert_eq!(told(request("a"), warm, true), None);
        let mut more = request("a");
        more["messages"].as_array_mut().unwrap().push(json!({"role": "user"}));
        assert_eq!(told(request("a"), more, false).unwrap(), "2 messages, 1 are recorded");
        let input = |text: &str| {
            let part = json!({"type": "input_text", "text": text});
            json!({"prompt_cache_key": text, "input": [{"type": "message", "role": "user", "content": [part]}]})
        };
        assert_eq!(
            told(input("a\nb"), input("a\nc"), false).unwrap(),
            "message 1 (user):\n- b\n+ c"
        );
        let output = |text: &str| json!({"input": [{"type": "function_call_output", "output": text}]});
        assert_eq!(
            told(output("x"), output("y"), false).unwrap(),
            "message 1 (function_call_output):\n- x\n+ y"
        );
        let long = told(request(&"x\n".repeat(50)), request(&"y\n".repeat(50)), false).unwrap();
        assert!(
            long.lines().count() == LINES + 2 && long.ends_with("more lines"),
            "{long}"
        );
    }
}
