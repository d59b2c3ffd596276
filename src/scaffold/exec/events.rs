//! What an agent tells of a turn, line by line.
//!
//! The model's words stand inside of the lines and cannot make one of their own. A command of the model's that finds the
//! agent's own output can: what it forges changes how the turn is told of, never the verdict, and never makes an
//! infrastructure failure, which takes one that the gateway has seen.

use serde_json::Value;

use crate::recipe::ExecRules;

/// The longest line that is read: an event holds whole files, and whole outputs of commands.
const MAX_LINE: usize = 16 << 20;
/// How much of a text is told.
const TOLD: usize = 500;

/// What has been heard in a turn.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// The beginning of a line whose end has not come yet.
    partial: Vec<u8>,
    /// The line is too long, and its rest is not kept.
    too_long: bool,
    /// Events of any kind.
    pub events: u64,
    /// The agent has said something to the user.
    pub message: bool,
    /// The last error.
    pub error: Option<String>,
    /// Lines that are nothing that the agent should say, and the first of them.
    pub strange: u64,
    pub first_strange: String,
}

impl Heard {
    /// Takes a piece of output; whether it brought a line of the agent's.
    pub fn push(&mut self, rules: &ExecRules, bytes: &[u8]) -> bool {
        let mut any = false;
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            self.keep(&rest[..end]);
            rest = &rest[end + 1..];
            any |= self.end_line(rules);
        }
        self.keep(rest);
        any
    }

    /// The output has ended; a last line may lack its end.
    pub fn finish(&mut self, rules: &ExecRules) {
        if !self.partial.is_empty() || self.too_long {
            self.end_line(rules);
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        if self.too_long || self.partial.len() + bytes.len() > MAX_LINE {
            self.too_long = true;
            self.partial.truncate(TOLD);
            return;
        }
        self.partial.extend_from_slice(bytes);
    }

    /// Whether the line is one that the agent should say.
    fn end_line(&mut self, rules: &ExecRules) -> bool {
        let line = std::mem::take(&mut self.partial);
        let whole = !std::mem::take(&mut self.too_long);
        if whole && line.trim_ascii().is_empty() {
            return false;
        }
        match serde_json::from_slice::<Value>(&line) {
            Ok(event) if whole && event.is_object() => {
                self.event(rules, &event);
                true
            }
            _ => {
                self.strange += 1;
                if self.strange == 1 {
                    self.first_strange = short(&String::from_utf8_lossy(&line));
                }
                false
            }
        }
    }

    fn event(&mut self, rules: &ExecRules, event: &Value) {
        let known = &rules.source.events;
        let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str);
        let Some(kind) = text(&known.kind) else {
            return;
        };
        self.events += 1;
        if kind == known.message.kind {
            self.message |= text(&known.message.text).is_some_and(|text| !text.trim().is_empty());
        } else if kind == known.error.kind {
            self.error = Some(short(text(&known.error.text).unwrap_or("an error without a text")));
        }
    }
}

/// Its beginning.
pub(super) fn short(text: &str) -> String {
    text.chars().take(TOLD).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::{Driven, Recipe};

    fn heard(pieces: &[&[u8]]) -> Heard {
        let recipe = Recipe::builtin("codex").unwrap();
        let Driven::Exec(rules) = recipe.driven else {
            panic!("{:?}", recipe.driven)
        };
        let mut heard = Heard::default();
        for piece in pieces {
            heard.push(&rules, piece);
        }
        heard.finish(&rules);
        heard
    }

    #[test]
    fn lines_are_put_together_and_what_is_no_event_is_counted() {
        let one = heard(&[
            b"{\"prompt\":\"p\"}\nnoise\n\n[1]\n{\"id\":\"0\",\"msg\":{\"type\":\"agent_m",
            b"essage\",\"message\":\"done\"}}",
        ]);
        assert!(one.message && one.error.is_none());
        assert_eq!((one.events, one.strange, one.first_strange.as_str()), (1, 2, "noise"));

        let told = heard(&[b"{\"id\":\"0\",\"msg\":{\"type\":\"error\",\"message\":\"no\"}}\n"]);
        assert_eq!((told.error.as_deref(), told.message), (Some("no"), false));
        let blank = heard(&[b"{\"id\":\"0\",\"msg\":{\"type\":\"agent_message\",\"message\":\" \\n\"}}\n"]);
        assert!(!blank.message && blank.events == 1);
    }

    #[test]
    fn a_line_without_an_end_takes_no_more_memory_than_the_bound() {
        let recipe = Recipe::builtin("codex").unwrap();
        let Driven::Exec(rules) = recipe.driven else {
            panic!("{:?}", recipe.driven)
        };
        let mut heard = Heard::default();
        let piece = vec![b'x'; 1 << 20];
        for _ in 0..40 {
            assert!(!heard.push(&rules, &piece));
            assert!(heard.partial.len() <= MAX_LINE);
        }
        assert!(heard.push(&rules, b"\n{\"id\":\"0\",\"msg\":{\"type\":\"task_started\"}}\n"));
        assert_eq!((heard.events, heard.strange), (1, 1));
        assert_eq!(heard.first_strange.len(), TOLD);
    }
}
