//! What is to be run: cells, and the trials that they and the tasks span.

mod concat;
mod endpoints;
mod feedback;
mod key;
mod limits;
mod lock;
mod options;

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::conversation::Interaction;
use crate::task::Task;

pub use concat::Concat;
pub use endpoints::{Endpoint, Endpoints};
pub use feedback::{Feedback, Reveal};
pub use key::Key;
pub use limits::Limits;
pub use lock::{ContainmentKind, InstalledAgent, Lock, SandboxKind, Settings, TestTurns};
pub(crate) use options::is_default;
pub use options::{EFFORTS, EditFormat, Options};

/// One configuration: scaffold, model and options. Identified by the hash of its content.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// Recipe name, such as `aider`.
    pub scaffold: String,
    /// Pinned agent version, such as `0.82.1`.
    pub version: String,
    /// SHA-256 of the recipe, where it is none that comes with the program: those are told by its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipe: Option<String>,
    /// What the user typed, such as `o3` or `oracle:insecure`.
    pub model: String,
    /// SHA-256 of the scripts that its model and its critic answer from, where they do: their paths do not tell what they say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scripts: Option<String>,
    pub options: Options,
    pub limits: Limits,
    /// Set when recorded answers are given instead of the model's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay: Option<Replay>,
}

/// Which record a cell's conversations are answered from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replay {
    /// The name of the recorded run.
    pub run: String,
    /// SHA-256 of the recorded run's `lock.json`: tells runs of the same name apart.
    pub lock_digest: String,
    /// The recorded cell.
    pub cell: String,
    /// The recorded cell's model.
    pub model: String,
    /// The last turn that is answered from the record, the cell's own model answers from there on; `None`: all turns are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<usize>,
}

impl fmt::Display for Replay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.until {
            None => write!(f, "replay of {}", self.run),
            Some(turn) => write!(f, "after turn {turn} of {} ({})", self.run, self.model),
        }
    }
}

impl Cell {
    /// What the answers come from, such as `o3`, `o3, replay of RUN`, or `o3, after turn 1 of RUN (gpt-5)`.
    pub fn answered_by(&self) -> String {
        match &self.replay {
            None => self.model.clone(),
            Some(replay) => format!("{}, {replay}", self.model),
        }
    }

    /// Whether every answer is a recorded one: no model is called.
    pub fn is_only_replayed(&self) -> bool {
        self.replay.as_ref().is_some_and(|replay| replay.until.is_none())
    }

    /// The first eight hex digits of the SHA-256 of the cell's canonical JSON.
    pub fn id(&self) -> String {
        // A struct of plain values always serialises; an empty text would only make ids collide visibly.
        let json = serde_json::to_string(self).unwrap_or_default();
        hex::encode(&Sha256::digest(json.as_bytes())[..4])
    }
}

/// A cell as it is asked for, before recipe and catalogue are applied: no edit format is the recipe's default.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CellRequest {
    /// A name, or the path of a recipe.
    pub scaffold: String,
    pub model: String,
    pub options: Options,
}

/// The trials that tasks and cells span, each cell under its own interactions; task by task, so that a limited run covers every
/// cell. What a task cannot be run with is left out.
pub fn trials<'a>(
    tasks: &[Task],
    cells: impl IntoIterator<Item = (&'a Cell, &'a [Interaction])> + Clone,
    attempts: u32,
) -> Vec<TrialKey> {
    let mut wanted: Vec<Interaction> = Vec::new();
    for interaction in cells.clone().into_iter().flat_map(|(_, interactions)| interactions) {
        if !wanted.contains(interaction) {
            wanted.push(*interaction);
        }
    }
    let mut trials: Vec<TrialKey> = Vec::new();
    for task in tasks {
        for interaction in &wanted {
            for (cell, interactions) in cells.clone() {
                if !interactions.contains(interaction) || !task.offers(*interaction, &cell.options) {
                    continue;
                }
                trials.extend((1..=attempts).map(|attempt| TrialKey {
                    task: task.id.clone(),
                    interaction: *interaction,
                    cell: cell.id(),
                    attempt,
                }));
            }
        }
    }
    trials
}

/// Names one trial: task × interaction × cell × attempt.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TrialKey {
    pub task: String,
    pub interaction: Interaction,
    /// [`Cell::id`].
    pub cell: String,
    /// From 1.
    pub attempt: u32,
}

impl fmt::Display for TrialKey {
    /// The name of the trial's folder: unique, and a single path component whatever the task's id contains.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}__{}__{}__{}",
            file_name(&self.task),
            self.interaction,
            self.cell,
            self.attempt
        )
    }
}

/// An injective mapping of any text to one safe path component; `/` becomes `~`, other odd bytes `%XX`.
/// Texts too long for a file name keep their head and gain the hash of the whole.
fn file_name(text: &str) -> String {
    let mut name = String::new();
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            b'/' => name.push('~'),
            b'.' if index == 0 => name.push_str("%2E"),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => name.push(byte as char),
            _ => name.push_str(&format!("%{byte:02X}")),
        }
    }
    if name.len() > 150 {
        name.truncate(120);
        name.push('%');
        name.push_str(&hex::encode(&Sha256::digest(text.as_bytes())[..8]));
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_of_runs_that_were_made_before_keep_their_names() {
        // From a lock of the first version.
        let text = r#"{"scaffold": "aider", "version": "0.82.1", "model": "oracle", "options": {"edit_format": "diff",
            "no_lint": false, "no_shell_commands": false, "repo_map": 0, "reasoning_effort": null, "thinking_tokens": null},
            "limits": {"ready_seconds": 120.0, "turn_seconds": 900.0, "session_seconds": 3600.0, "quiet_seconds": 660.0,
            "answers": 50}}"#;
        let cell: Cell = serde_json::from_str(text).unwrap();
        assert_eq!(cell.id(), "180c3332");
        let mut other = cell.clone();
        other.options.concat = Concat::All;
        assert_ne!(other.id(), cell.id());
        assert_eq!(other.options.to_string(), "diff concat=all");
        let mut other = cell.clone();
        other.options.dialects = vec!["openai-chat".into()];
        assert_ne!(other.id(), cell.id());
        assert_eq!(other.options.to_string(), "diff dialect=openai-chat");
        let mut other = cell.clone();
        other.limits.disk_bytes = 1 << 20;
        assert_ne!(other.id(), cell.id());
    }

    #[test]
    fn odd_task_ids_become_distinct_single_components() {
        let ids = [
            "CWE-74/0",
            "CWE-74~0",
            "..",
            ".",
            "a b",
            "a%20b",
            "é",
            &"x".repeat(400),
            &"x".repeat(401),
        ];
        let names: std::collections::BTreeSet<String> = ids.iter().map(|id| file_name(id)).collect();
        assert_eq!(names.len(), ids.len());
        for name in names {
            assert!(
                !name.contains('/') && !name.starts_with('.') && name.len() < 200,
                "{name}"
            );
        }
    }
}
