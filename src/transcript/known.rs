//! Tells what of a request is new: agents send the whole history with each one.

use std::collections::{HashMap, HashSet};

use sha2::{Digest, Sha256};

use super::Part;

/// Most beginnings that are kept of one text.
const MOST_BEGINNINGS: usize = 1000;

/// Digest of a part; long histories are not kept themselves.
type Mark = [u8; 16];

/// What the requests and answers of a trial have said so far.
#[derive(Debug, Default)]
pub struct Known {
    /// How often one request, with its answer, held the part.
    counts: HashMap<Mark, usize>,
    /// Texts of users up to each of their blank lines: some agents add reminders to the last message, and leave them out
    /// when it has become history.
    beginnings: HashSet<Mark>,
}

impl Known {
    /// The parts that are new, and the whole exchange learned. In the `first` exchange of a turn the last text of the user
    /// is new in any case: it is the turn's prompt, which may be what another one was.
    pub fn new_parts(&mut self, said: Vec<Part>, answer: &[Part], first: bool) -> Vec<Part> {
        let mut counts: HashMap<Mark, usize> = HashMap::new();
        let prompt = said.iter().rposition(is_users).filter(|_| first);
        let mut new = Vec::new();
        for (index, part) in said.into_iter().enumerate() {
            let mark = mark(&part);
            let count = counts.entry(mark).or_default();
            *count += 1;
            let held = self.counts.get(&mark).is_some_and(|known| *known >= *count);
            let begun = is_users(&part) && *count == 1 && self.beginnings.contains(&mark);
            if prompt == Some(index) || !(held || begun) {
                new.push(part);
            }
        }
        new.iter().for_each(|part| self.learn_beginnings(part));
        for part in answer {
            *counts.entry(mark(part)).or_default() += 1;
        }
        for (mark, count) in counts {
            let known = self.counts.entry(mark).or_default();
            *known = count.max(*known);
        }
        new
    }

    fn learn_beginnings(&mut self, part: &Part) {
        let Part::Text { speaker, text } = part else { return };
        if !is_users(part) {
            return;
        }
        let mut hasher = begin("text", speaker);
        let text = text.trim();
        let mut hashed = 0;
        for (end, _) in text.match_indices("\n\n").take(MOST_BEGINNINGS) {
            let beginning = text[..end].trim_end();
            if beginning.len() > hashed {
                hasher.update(&text[hashed..beginning.len()]);
                hashed = beginning.len();
                self.beginnings.insert(finish(hasher.clone()));
            }
        }
    }
}

fn is_users(part: &Part) -> bool {
    matches!(part, Part::Text { speaker, .. } if speaker == "user")
}

fn begin(kind: &str, of: &str) -> Sha256 {
    let mut hasher = Sha256::new();
    for text in [kind, of] {
        hasher.update((text.len() as u64).to_le_bytes());
        hasher.update(text);
    }
    hasher
}

fn finish(hasher: Sha256) -> Mark {
    let mut mark = Mark::default();
    mark.copy_from_slice(&hasher.finalize()[..16]);
    mark
}

fn mark(part: &Part) -> Mark {
    // White space around a text is lost on many ways, and arguments are often written anew.
    let (mut hasher, text) = match part {
        Part::Text { speaker, text } => (begin("text", speaker), text.trim().to_owned()),
        Part::Reasoning { text } => (begin("reasoning", ""), text.trim().to_owned()),
        Part::Refusal { text } => (begin("refusal", ""), text.trim().to_owned()),
        Part::Call { id, tool, arguments } => {
            let value = serde_json::from_str::<serde_json::Value>(arguments);
            let arguments = value.map_or_else(|_| arguments.clone(), |value| value.to_string());
            (begin(id, tool), arguments)
        }
        Part::Result { id, text, .. } => (begin("result", id), text.trim().to_owned()),
        Part::Other { speaker, kind } => (begin("other", speaker), kind.clone()),
    };
    hasher.update(text);
    finish(hasher)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(speaker: &str, text: &str) -> Part {
        Part::Text {
            speaker: speaker.to_owned(),
            text: text.to_owned(),
        }
    }

    #[test]
    fn the_history_is_not_new_and_what_is_said_twice_is() {
        let mut known = Known::default();
        let first = vec![text("system", "S"), text("user", "go on")];
        assert_eq!(known.new_parts(first.clone(), &[text("assistant", "ok ")], true), first);
        let mut second = first.clone();
        second.extend([text("assistant", "ok"), text("user", "go on"), text("user", "really")]);
        let new = known.new_parts(second.clone(), &[], false);
        assert_eq!(new, [text("user", "go on"), text("user", "really")]);
        // The same request again, as after a failure.
        assert_eq!(known.new_parts(second, &[], false), []);
        // A request of another conversation in between makes nothing old new again.
        known.new_parts(vec![text("user", "summarise")], &[], false);
        assert_eq!(known.new_parts(first, &[], false), []);
    }

    #[test]
    fn a_prompt_without_its_reminder_is_history_and_the_same_prompt_again_is_not() {
        let mut known = Known::default();
        known.new_parts(
            vec![text("user", "Do it.\n\nNow.\n\n\nReply in diffs!")],
            &[text("assistant", "a")],
            true,
        );
        let again = vec![
            text("user", "Do it.\n\nNow.\n"),
            text("assistant", "a"),
            text("user", "Do it.\n\nNow.\n\n\nReply in diffs!"),
        ];
        assert_eq!(known.new_parts(again.clone(), &[], true), again[2..]);
        assert_eq!(
            known.new_parts(vec![text("user", "Do")], &[], false),
            [text("user", "Do")]
        );
    }
}
