//! Texts that must never be shown or written down, and their removal from what is recorded.

use std::fmt;
use std::sync::LazyLock;

use serde_json::Value;

/// What stands where a secret stood.
pub const REDACTED: &str = "[redacted]";

/// Secrets shorter than this are not searched for: removing `x` from every text would destroy the record.
const SHORTEST: usize = 4;

/// So many characters from its beginning are a good part of a secret; of one with less than twice as many, half of it.
const GOOD_PART: usize = 8;

/// A text that neither `Debug` nor `Display` reveals.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    text: String,
    /// The variable that it came from.
    variable: Option<String>,
}

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            variable: None,
        }
    }

    /// A key out of a variable or a file, without the space and the line breaks around it; `None` where nothing else is there.
    pub fn of_key(text: &str) -> Option<Self> {
        let key = text.trim();
        (!key.is_empty()).then(|| Self::new(key))
    }

    /// The same, known to come from this variable of the environment.
    pub fn out_of(self, variable: &str) -> Self {
        let variable = Some(variable.to_owned());
        Self { variable, ..self }
    }

    /// The name of the variable that it came from, if that is known.
    pub fn variable(&self) -> Option<&str> {
        self.variable.as_deref()
    }

    /// Whether it can be the value of an HTTP header.
    pub fn can_be_sent(&self) -> bool {
        self.text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())
    }

    /// The text itself, for the one place that must send it.
    pub fn reveal(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

/// Compares without stopping at the first difference, so that the time taken tells nothing of the secret.
pub(crate) fn same(left: &str, right: &str) -> bool {
    let differences = left.bytes().zip(right.bytes()).fold(0, |sum, (a, b)| sum | (a ^ b));
    left.len() == right.len() && differences == 0
}

/// What an `Authorization` header holds.
static BEARER: LazyLock<Option<regex::Regex>> =
    LazyLock::new(|| regex::Regex::new(r"(?i)\bbearer\s+[A-Za-z0-9._~+/=\-]{8,}").ok());

/// Removes a fixed set of secrets, and anything that follows the word `Bearer`, from texts.
#[derive(Debug, Clone)]
pub struct Redactor {
    secrets: Vec<Secret>,
}

impl Redactor {
    pub fn new(secrets: impl IntoIterator<Item = Secret>) -> Self {
        Self {
            secrets: secrets
                .into_iter()
                .filter(|secret| secret.text.len() >= SHORTEST)
                .collect(),
        }
    }

    /// The text without secrets, and without anything that follows the word `Bearer`; `None` when it holds none.
    pub fn text(&self, text: &str) -> Option<String> {
        let mut clean = self.secrets(text);
        if let Some(bearer) = BEARER.as_ref() {
            let current = clean.as_deref().unwrap_or(text);
            if bearer.is_match(current) {
                clean = Some(bearer.replace_all(current, format!("Bearer {REDACTED}")).into_owned());
            }
        }
        clean
    }

    /// The text without the secrets themselves, all else as it is: what a model writes of bearers is its own matter.
    /// `None` when it holds none.
    pub fn secrets(&self, text: &str) -> Option<String> {
        let mut clean: Option<String> = None;
        for secret in &self.secrets {
            let current = clean.as_deref().unwrap_or(text);
            if current.contains(secret.reveal()) {
                clean = Some(current.replace(secret.reveal(), REDACTED));
            }
        }
        clean
    }

    /// Whether the text ends in a good part of a secret, from its beginning. Less is none: many keys begin with the same
    /// few characters, and every other word ends with one of them.
    pub fn may_go_on(&self, text: &str) -> bool {
        let begins = |secret: &Secret| {
            let most = secret.text.len().saturating_sub(1).min(text.len());
            let least = (secret.text.len() / 2).clamp(1, GOOD_PART);
            (least..=most).any(|length| text.as_bytes().ends_with(&secret.text.as_bytes()[..length]))
        };
        self.secrets.iter().any(begins)
    }

    /// What a text says from byte `from` on, without what is there of its secrets; `None` when it has none there.
    pub fn rest(&self, text: &str, from: usize) -> Option<String> {
        let mut spans: Vec<(usize, usize)> = Vec::new();
        for secret in self.secrets.iter().map(Secret::reveal) {
            let all = text.match_indices(secret).map(|(at, _)| (at, at + secret.len()));
            spans.extend(all.filter(|(_, end)| *end > from));
        }
        if spans.is_empty() {
            return None;
        }
        spans.sort_unstable();
        let (mut clean, mut at) = (String::new(), from);
        for (start, end) in spans {
            // Spans may overlap.
            if end <= at {
                continue;
            }
            if start >= at || at == from {
                clean.push_str(text.get(at..start).unwrap_or_default());
                clean.push_str(REDACTED);
            }
            at = end;
        }
        clean.push_str(text.get(at..).unwrap_or_default());
        Some(clean)
    }

    /// The end of a text that may belong to a secret which goes on.
    pub fn tail<'a>(&self, text: &'a str) -> &'a str {
        let longest = self.secrets.iter().map(|secret| secret.text.len()).max().unwrap_or(0);
        let mut start = text.len().saturating_sub(longest.saturating_sub(1));
        while !text.is_char_boundary(start) {
            start -= 1;
        }
        &text[start..]
    }

    /// Cleans a text in place.
    pub fn string(&self, text: &mut String) {
        if let Some(clean) = self.text(text) {
            *text = clean;
        }
    }

    /// Removes the secrets themselves from every text of a JSON value in place, the names of members included.
    pub fn value(&self, value: &mut Value) {
        edit_texts(value, &|text| self.secrets(text));
    }
}

/// The first answer of `find` for a text of a JSON value, member names included.
pub(crate) fn find_text<T>(value: &Value, find: &dyn Fn(&str) -> Option<T>) -> Option<T> {
    match value {
        Value::String(text) => find(text),
        Value::Array(items) => items.iter().find_map(|item| find_text(item, find)),
        Value::Object(members) => members
            .iter()
            .find_map(|(name, member)| find(name).or_else(|| find_text(member, find))),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

/// Replaces every text of a JSON value, member names included, for which `edit` has a replacement.
pub(crate) fn edit_texts(value: &mut Value, edit: &dyn Fn(&str) -> Option<String>) {
    match value {
        Value::String(text) => {
            if let Some(new) = edit(text) {
                *text = new;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| edit_texts(item, edit)),
        Value::Object(members) => {
            let renamed = members.keys().any(|name| edit(name).is_some());
            members.values_mut().for_each(|member| edit_texts(member, edit));
            if renamed {
                let old = std::mem::take(members);
                members.extend(
                    old.into_iter()
                        .map(|(name, member)| (edit(&name).unwrap_or(name), member)),
                );
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_vanish_from_texts_names_and_debug_output() {
        let redactor = Redactor::new([Secret::new("sk-live-123"), Secret::new("x")]);
        let mut value = json!({"a": ["key sk-live-123!", {"sk-live-123": "Authorization: Bearer abcdefgh12"}], "x": 1});
        // What a model writes of bearers is kept: a replay must say the same again.
        redactor.value(&mut value);
        assert_eq!(
            value,
            json!({"a": ["key [redacted]!", {"[redacted]": "Authorization: Bearer abcdefgh12"}], "x": 1})
        );
        let header = redactor.text("Authorization: Bearer abcdefgh12");
        assert_eq!(header.as_deref(), Some("Authorization: Bearer [redacted]"));
        assert_eq!(format!("{:?}", Secret::new("sk-live-123")), REDACTED);
    }

    #[test]
    fn comparison_needs_equal_length() {
        assert!(same("abc", "abc"));
        assert!(!same("abc", "abcd") && !same("abc", "abd") && !same("", "a"));
    }
}
