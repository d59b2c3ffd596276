//! What Claude thought before its calls of tools, kept for agents that do not send it back.
//!
//! With thinking on, Anthropic refuses a request whose last chain of calls of tools and their results does not begin with the
//! thoughts that the model answered with, unchanged and signed. Agents that did not ask for thinking know nothing of them, so
//! they are kept here, in the memory of one trial's model, by the ids of the calls, and put back where they are missing.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt};
use serde_json::{Map, Value, json};

use crate::gateway::dialect::{Assembler, Dialect};
use crate::gateway::failure::Failure;

/// Most bytes that are kept of one trial's thoughts: hundreds of answers with the paper's budget. The oldest go first.
const MOST_BYTES: usize = 8 << 20;
/// What an answer takes besides its thoughts and ids, in bytes.
const EACH_ANSWER: usize = 128;

/// The thoughts of one trial's answers.
#[derive(Default)]
pub(super) struct Thoughts {
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    answers: VecDeque<Answer>,
    /// The number of the first of `answers`; each further one has the next.
    first: u64,
    /// Id of a call of a tool → the number of its answer.
    of_id: HashMap<String, u64>,
    bytes: usize,
}

/// An answer with calls of tools that was given with thinking on.
struct Answer {
    /// The number of the model's call, as in the record.
    call: u64,
    ids: Vec<String>,
    /// None: the model went on without thinking anew, as it does behind the results of its tools.
    blocks: Arc<[Value]>,
    bytes: usize,
}

/// Thoughts that a request lacks.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Missing {
    /// The place of the message in `messages`, from 0.
    message: usize,
    /// The model's call, as in the record, that was answered with them.
    call: u64,
    blocks: Arc<[Value]>,
}

impl Thoughts {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the thoughts of the answer to a call, given its `content`, if it calls tools.
    pub fn keep(&self, call: u64, content: &Value) {
        let blocks = content.as_array().map(Vec::as_slice).unwrap_or_default();
        let ids: Vec<String> = ids(blocks).map(str::to_owned).collect();
        let leading = blocks.iter().take_while(|block| is_thought(block)).count();
        let (thoughts, said) = blocks.split_at(leading);
        // Thoughts between calls cannot be put back where they were.
        if ids.is_empty() || said.iter().any(is_thought) {
            return;
        }
        let size = |block: &Value| block.to_string().len();
        let bytes = EACH_ANSWER + ids.iter().map(String::len).sum::<usize>() + thoughts.iter().map(size).sum::<usize>();
        if bytes > MOST_BYTES {
            return;
        }
        let mut kept = self.kept();
        let number = kept.first + kept.answers.len() as u64;
        kept.of_id.extend(ids.iter().map(|id| (id.clone(), number)));
        kept.bytes += bytes;
        kept.answers.push_back(Answer {
            call,
            ids,
            blocks: thoughts.into(),
            bytes,
        });
        while kept.bytes > MOST_BYTES {
            kept.forget_first();
        }
    }

    /// The thoughts that a conversation lacks; `None` where some that Anthropic insists on are not known: then nothing must be
    /// asked that needs them.
    pub fn missing(&self, body: &Map<String, Value>) -> Option<Vec<Missing>> {
        let messages = body.get("messages").and_then(Value::as_array);
        let messages = messages.map(Vec::as_slice).unwrap_or_default();
        // Before what the user has said last Anthropic does not insist on any.
        let last = messages.iter().rposition(is_users_own).unwrap_or(0);
        let kept = self.kept();
        let (mut missing, mut whole, mut is_first) = (Vec::new(), BTreeSet::new(), true);
        for (index, message) in messages.iter().enumerate() {
            let Some(blocks) = message.get("content").and_then(Value::as_array) else {
                continue;
            };
            if ids(blocks).next().is_none() {
                continue;
            }
            let number = ids(blocks).find_map(|id| kept.of_id.get(id).copied());
            let answer = number.and_then(|number| kept.answer(number));
            let mut begins = blocks.iter().any(is_thought);
            let is_known = begins || answer.is_some();
            // An answer may have become several messages: its thoughts are in the first.
            let is_new = number.is_none_or(|number| whole.insert(number));
            if let Some(answer) = answer.filter(|answer| is_new && !begins && !answer.blocks.is_empty()) {
                begins = true;
                missing.push(Missing {
                    message: index,
                    call: answer.call,
                    blocks: answer.blocks.clone(),
                });
            }
            if index >= last {
                let suffices = if is_first { begins } else { is_known };
                if !suffices {
                    return None;
                }
                is_first = false;
            }
        }
        Some(missing)
    }
}

impl Kept {
    fn answer(&self, number: u64) -> Option<&Answer> {
        let place = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.answers.get(place)
    }

    fn forget_first(&mut self) {
        let Some(answer) = self.answers.pop_front() else { return };
        self.bytes = self.bytes.saturating_sub(answer.bytes);
        for id in answer.ids {
            // A provider may have given an id twice.
            if self.of_id.get(&id) == Some(&self.first) {
                self.of_id.remove(&id);
            }
        }
        self.first += 1;
    }
}

impl Missing {
    /// How long its thoughts are, in bytes.
    pub fn size(&self) -> usize {
        self.blocks.iter().map(|block| block.to_string().len()).sum()
    }
}

/// Puts thoughts back at the front of their messages; returns what the record says of it.
pub(super) fn put_back(missing: Vec<Missing>, body: &mut Map<String, Value>) -> Value {
    let mut told = Vec::new();
    for Missing { message, call, blocks } in missing {
        let said = body.get_mut("messages").and_then(|messages| messages.get_mut(message));
        let content = said.and_then(|said| said.get_mut("content")?.as_array_mut());
        if let Some(content) = content {
            content.splice(0..0, blocks.iter().cloned());
            told.push(json!({"message": message, "of_call": call}));
        }
    }
    Value::Array(told)
}

/// Passes a stream on, and keeps the thoughts of its answer before its end is passed on.
pub(super) fn kept_on_the_way(
    events: BoxStream<'static, Result<Bytes, Failure>>,
    thoughts: Arc<Thoughts>,
    call: u64,
) -> BoxStream<'static, Result<Bytes, Failure>> {
    let mut assembler = Some(Assembler::new(Dialect::AnthropicMessages));
    let passed = events.inspect(move |event| {
        let (Ok(event), Some(listening)) = (event, &mut assembler) else {
            return;
        };
        listening.push(event);
        if let Some(whole) = assembler.take_if(|assembler| assembler.is_whole()) {
            thoughts.keep(call, &whole.into_value()["message"]["content"]);
        }
    });
    passed.boxed()
}

/// The ids of a message's calls of tools.
fn ids(blocks: &[Value]) -> impl Iterator<Item = &str> {
    let calls = blocks.iter().filter(|block| kind(block) == "tool_use");
    calls.filter_map(|call| call.get("id")?.as_str())
}

fn is_thought(block: &Value) -> bool {
    matches!(kind(block), "thinking" | "redacted_thinking")
}

fn kind(block: &Value) -> &str {
    block.get("type").and_then(Value::as_str).unwrap_or_default()
}

/// Whether a message is one of the user's, and does not hand in what tools have said.
fn is_users_own(message: &Value) -> bool {
    let blocks = message.get("content").and_then(Value::as_array);
    let mut blocks = blocks.into_iter().flatten();
    message.get("role").and_then(Value::as_str) == Some("user") && !blocks.any(|block| kind(block) == "tool_result")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thought(text: &str) -> Value {
        json!({"type": "thinking", "thinking": text, "signature": format!("signed {text}")})
    }

    fn call(id: &str) -> Value {
        json!({"type": "tool_use", "id": id, "name": "f", "input": {}})
    }

    fn said(content: Value) -> Value {
        json!({"role": "assistant", "content": content})
    }

    fn result(id: &str) -> Value {
        json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": id, "content": "x"}]})
    }

    fn asked() -> Value {
        json!({"role": "user", "content": "please"})
    }

    /// Where thoughts of which call are missing.
    fn missing(thoughts: &Thoughts, messages: &[&Value]) -> Option<Vec<(usize, u64)>> {
        let body = Map::from_iter([("messages".to_owned(), json!(messages))]);
        let missing = thoughts.missing(&body)?;
        Some(missing.iter().map(|missing| (missing.message, missing.call)).collect())
    }

    #[test]
    fn a_chain_needs_the_thoughts_that_it_began_with() {
        let thoughts = Thoughts::default();
        thoughts.keep(1, &json!([thought("a"), call("a")]));
        thoughts.keep(2, &json!([call("b")]));
        let (a, b, other) = (
            said(json!([call("a")])),
            said(json!([call("b")])),
            said(json!([call("other")])),
        );
        let (ra, rb, ro, asked) = (result("a"), result("b"), result("other"), asked());
        let chain = [&asked, &a, &ra, &b, &rb];
        assert_eq!(missing(&thoughts, &chain), Some(vec![(1, 1)]));
        assert_eq!(missing(&thoughts, &[&asked, &b, &rb]), None, "it began without any");
        assert_eq!(missing(&thoughts, &[&asked, &a, &ra, &other, &ro]), None);
        // Before what the user has said last none are needed, and those that are known are put back.
        assert_eq!(
            missing(&thoughts, &[&asked, &a, &ra, &other, &ro, &asked]),
            Some(vec![(1, 1)])
        );
        assert_eq!(
            missing(&thoughts, &[&asked, &other, &ro, &asked, &a, &ra]),
            Some(vec![(4, 1)])
        );
        assert_eq!(missing(&thoughts, &[&asked]), Some(vec![]));
    }

    #[test]
    fn what_an_agent_sends_back_itself_is_left_alone_and_no_answer_thinks_twice() {
        let thoughts = Thoughts::default();
        thoughts.keep(1, &json!([thought("a"), call("a"), call("b")]));
        let (own, a, b) = (
            said(json!([thought("a"), call("a")])),
            said(json!([call("a")])),
            said(json!([call("b")])),
        );
        let (ra, rb, asked) = (result("a"), result("b"), asked());
        assert_eq!(missing(&thoughts, &[&asked, &own, &ra]), Some(vec![]));
        assert_eq!(missing(&thoughts, &[&asked, &a, &ra, &b, &rb]), Some(vec![(1, 1)]));
    }

    #[test]
    fn thoughts_between_calls_and_very_long_ones_are_not_kept() {
        let thoughts = Thoughts::default();
        thoughts.keep(1, &json!([thought("a"), call("a"), thought("b"), call("b")]));
        thoughts.keep(2, &json!([thought(&"x".repeat(MOST_BYTES)), call("c")]));
        assert!(thoughts.kept().answers.is_empty());
        for number in 0..20 {
            let long = "x".repeat(MOST_BYTES / 10);
            thoughts.keep(number, &json!([thought(&long), call(&number.to_string())]));
        }
        let kept = thoughts.kept();
        assert!(kept.bytes <= MOST_BYTES && kept.of_id.len() == kept.answers.len());
        assert!(!kept.of_id.contains_key("0"));
        assert_eq!(kept.answer(kept.of_id["19"]).map(|answer| answer.call), Some(19));
    }
}
