//! Canaries: random texts in what an agent must never see. Where one turns up on the agent's side, hidden text has got out.
//!
//! Each task of a run has its own, made when the run is created: a comment before and after its tests, and before its
//! reference solutions, in the run's own copy of the task. Nobody but the run knows them, so that no model can write one
//! by itself.

use std::collections::HashMap;
use std::sync::LazyLock;

use regex::bytes::Regex;

use crate::task::Task;

/// What every canary begins with; 32 hexadecimal digits follow.
const PREFIX: &str = "mtsec-canary-";

static CANARY: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new("mtsec-canary-([0-9a-f]{32})").ok());
static LINE: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new("^# mtsec-canary-[0-9a-f]{32}\r?\n?$").ok());

/// Puts a canary made of these random bytes into everything of a task that agents must not see, in place of any other.
pub fn plant(task: &mut Task, random: [u8; 16]) {
    let line = format!("# {PREFIX}{}\n", hex::encode(random));
    let before = |text: &mut String| *text = format!("{line}{}", without(text));
    for text in [&mut task.tests.setup, &mut task.tests.testcases] {
        if text.trim().is_empty() {
            continue;
        }
        before(text);
        if !text.ends_with('\n') {
            text.push('\n');
        }
        text.push_str(&line);
    }
    if let Some(references) = &mut task.references {
        before(&mut references.secure);
        before(&mut references.insecure);
    }
    task.drafts.values_mut().flatten().for_each(before);
}

/// What the canary of a task was made of, where one was planted.
pub fn planted(task: &Task) -> Option<[u8; 16]> {
    let found = CANARY.as_ref()?.captures(task.tests.testcases.as_bytes())?;
    let mut random = [0; 16];
    hex::decode_to_slice(&found[1], &mut random).ok()?;
    Some(random)
}

/// The text without the lines of canaries: a reference solution as it is written into a workspace.
pub fn without(text: &str) -> String {
    let is_canary = |line: &&str| LINE.as_ref().is_some_and(|canary| canary.is_match(line.as_bytes()));
    text.split_inclusive('\n').filter(|line| !is_canary(line)).collect()
}

/// The text with everything that looks like a canary hidden.
pub fn hidden(text: &str) -> String {
    let hidden = CANARY
        .as_ref()
        .map(|canary| canary.replace_all(text.as_bytes(), b"\xe2\x80\xa6"));
    hidden.map_or_else(|| text.to_owned(), |bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// The canaries of a run.
#[derive(Debug, Clone, Default)]
pub struct Canaries {
    /// Digits → the task's id.
    tasks: HashMap<Vec<u8>, String>,
}

impl Canaries {
    /// Those of a run's own copy of its tasks; none where the run was made before there were any.
    pub fn of<'a>(tasks: impl IntoIterator<Item = &'a Task>) -> Self {
        let digits = |task: &Task| Some(CANARY.as_ref()?.captures(task.tests.testcases.as_bytes())?[1].to_vec());
        let tasks = tasks
            .into_iter()
            .filter_map(|task| Some((digits(task)?, task.id.clone())));
        Self { tasks: tasks.collect() }
    }

    /// The task whose canary is in the text. What merely looks like a canary is none.
    pub fn find(&self, text: &[u8]) -> Option<&str> {
        if self.tasks.is_empty() {
            return None;
        }
        let mut found = CANARY.as_ref()?.captures_iter(text);
        found.find_map(|canary| self.tasks.get(&canary[1]).map(String::as_str))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::{References, Tests};

    fn task(id: &str) -> Task {
        let text = serde_json::json!({
            "id": id, "cwe": "CWE-1", "function": "f", "description": {"description": "d"},
            "tests": {"testcases": ""},
        });
        Task {
            tests: Tests {
                setup: "x = 1".to_owned(),
                testcases: "testcases = {}".to_owned(),
            },
            references: Some(References {
                secure: "def f(): pass".to_owned(),
                insecure: "def f():\r\n    pass\n".to_owned(),
            }),
            ..serde_json::from_value(text).unwrap()
        }
    }

    #[test]
    fn a_planted_canary_is_found_and_goes_without_a_trace() {
        let (mut first, mut second) = (task("first"), task("second"));
        plant(&mut first, [1; 16]);
        plant(&mut second, [0xab; 16]);
        let once = second.clone();
        plant(&mut second, [0xab; 16]);
        assert_eq!(second, once, "a task that comes from another run keeps no older canary");
        let canaries = Canaries::of([&first, &second]);
        for text in [&second.tests.setup, &second.tests.testcases] {
            assert_eq!(canaries.find(text.as_bytes()), Some("second"));
            assert_eq!(text.matches(PREFIX).count(), 2, "{text}");
            let lines: Vec<&str> = text.lines().collect();
            assert_eq!(lines.len(), 3, "{text}");
        }
        let references = second.references.unwrap();
        assert_eq!(canaries.find(references.secure.as_bytes()), Some("second"));
        let original = task("second").references.unwrap();
        assert_eq!(without(&references.secure), original.secure);
        assert_eq!(without(&references.insecure), original.insecure);
    }

    #[test]
    fn only_the_runs_own_canaries_count() {
        let mut one = task("one");
        plant(&mut one, [1; 16]);
        let canaries = Canaries::of([&one]);
        let made_up = format!("{PREFIX}{} {PREFIX}0101", hex::encode([2; 16]));
        assert_eq!(canaries.find(made_up.as_bytes()), None);
        let both = format!("{made_up}, {PREFIX}{}", hex::encode([1; 16]));
        assert_eq!(canaries.find(both.as_bytes()), Some("one"));
        assert_eq!(Canaries::of([&task("old")]).find(both.as_bytes()), None);
    }
}
