//! Tells what of a request is new: agents send the whole history with each one.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use similar::{Algorithm, DiffOp, capture_diff_slices_deadline};

use super::Part;

/// Most beginnings that are looked at of one text.
const MOST_BEGINNINGS: usize = 1000;
/// Requests that the next one is compared with: agents also ask for something else in between, such as a summary.
const KEPT: usize = 3;
/// How long the best comparison is looked for; then one that shows too much will do.
const PATIENCE: Duration = Duration::from_millis(200);
/// The same for all requests of a trial: whoever has its key may make requests that take long to compare.
const MOST_PATIENCE: Duration = Duration::from_secs(10);

/// Digest of a part; long histories are not kept themselves.
type Mark = [u8; 16];

/// A part of a request or an answer.
#[derive(Debug, Clone)]
struct Held {
    mark: Mark,
    /// What a text of the user would be without what stands behind one of its blank lines: some agents add reminders to the
    /// last message, and leave them out when it has become history.
    beginnings: Vec<Mark>,
}

/// What the latest requests of a trial, and the answers to them, have said.
#[derive(Debug, Default)]
pub struct Known {
    latest: VecDeque<Vec<Held>>,
    /// Time that comparing took so far.
    spent: Duration,
}

impl Known {
    /// The parts that are new, and the whole exchange learned. In the `first` exchange of a turn the last text of the user
    /// is new in any case: it is the turn's prompt, whatever it is like.
    pub fn new_parts(&mut self, said: Vec<Part>, answer: &[Part], first: bool) -> Vec<Part> {
        let mut held: Vec<Held> = said.iter().map(hold).collect();
        let began = Instant::now();
        let patience = PATIENCE.min(MOST_PATIENCE.saturating_sub(self.spent));
        let compared = self.latest.iter().map(|before| added(before, &held, patience));
        // Of equally good ones the latest.
        let added = compared
            .min_by_key(HashSet::len)
            .unwrap_or_else(|| (0..said.len()).collect());
        self.spent += began.elapsed();
        let prompt = said.iter().rposition(is_users).filter(|_| first);
        let parts = said.into_iter().enumerate();
        let new = parts.filter(|(index, _)| added.contains(index) || prompt == Some(*index));
        let new = new.map(|(_, part)| part).collect();
        held.extend(answer.iter().map(hold));
        self.latest.push_front(held);
        self.latest.truncate(KEPT);
        new
    }
}

/// Which parts of `now` are not, in the same order, in `before`.
fn added(before: &[Held], now: &[Held], patience: Duration) -> HashSet<usize> {
    let alike = Alike::of(before.iter().chain(now));
    let marks = |of: &[Held]| -> Vec<Mark> { of.iter().map(|held| alike.name(held.mark)).collect() };
    let deadline = Some(Instant::now() + patience);
    let changes = capture_diff_slices_deadline(Algorithm::Myers, &marks(before), &marks(now), deadline);
    let new = changes.iter().filter(|change| !matches!(change, DiffOp::Equal { .. }));
    new.flat_map(DiffOp::new_range).collect()
}

/// Texts that are the same, but for what was added to them.
struct Alike {
    names: HashMap<Mark, Mark>,
}

impl Alike {
    fn of<'a>(all: impl Iterator<Item = &'a Held> + Clone) -> Self {
        let whole: HashSet<Mark> = all.clone().map(|held| held.mark).collect();
        let mut alike = Self { names: HashMap::new() };
        for held in all {
            for beginning in held.beginnings.iter().filter(|beginning| whole.contains(*beginning)) {
                let (one, other) = (alike.name(held.mark), alike.name(*beginning));
                if one != other {
                    alike.names.insert(one, other);
                }
            }
        }
        alike
    }

    fn name(&self, mut mark: Mark) -> Mark {
        while let Some(next) = self.names.get(&mark) {
            mark = *next;
        }
        mark
    }
}

fn hold(part: &Part) -> Held {
    Held {
        mark: mark(part),
        beginnings: beginnings(part),
    }
}

fn beginnings(part: &Part) -> Vec<Mark> {
    let Part::Text { speaker, text } = part else {
        return Vec::new();
    };
    if !is_users(part) {
        return Vec::new();
    }
    let text = text.trim();
    let (mut hasher, mut hashed, mut marks) = (begin("text", speaker), 0, Vec::new());
    for (end, _) in text.match_indices("\n\n").take(MOST_BEGINNINGS) {
        let beginning = text[..end].trim_end();
        if beginning.len() > hashed {
            hasher.update(&text[hashed..beginning.len()]);
            hashed = beginning.len();
            marks.push(finish(hasher.clone()));
        }
    }
    marks
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

    #[test]
    fn the_same_words_again_and_again_are_new_each_time() {
        let mut known = Known::default();
        let (reminded, plain) = (
            text("user", "It failed.\n\nReply in diffs!"),
            text("user", "It failed."),
        );
        let answer = text("assistant", "Again.");
        // Each message with its answer, the last one with a reminder.
        let request = |times: usize| {
            let mut said: Vec<Part> = vec![text("user", "Do it.")];
            for _ in 1..times {
                said.extend([plain.clone(), answer.clone()]);
            }
            said.push(reminded.clone());
            said
        };
        known.new_parts(vec![text("user", "Do it.")], &[], true);
        for times in 1..5 {
            let new = known.new_parts(request(times), std::slice::from_ref(&answer), false);
            assert_eq!(new, std::slice::from_ref(&reminded), "{times}");
        }
        let mut later = request(5);
        later.pop();
        later.push(text("user", "Next."));
        assert_eq!(known.new_parts(later, &[], true), [text("user", "Next.")]);
    }
}
