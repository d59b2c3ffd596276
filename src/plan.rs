//! What is to be run: cells, and the trials that they and the tasks span.

mod concat;
mod limits;
mod lock;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::conversation::Interaction;
use crate::task::Task;

pub use concat::Concat;
pub use limits::Limits;
pub use lock::{ContainmentKind, InstalledAgent, Lock, SandboxKind, Settings, TestTurns};

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

/// The knobs of a scaffold. What a recipe cannot set is refused before any work starts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Options {
    /// `None`: the recipe's default.
    pub edit_format: Option<EditFormat>,
    /// `--no-lint`: the agent does not lint its own edits.
    pub no_lint: bool,
    /// `--no-shell-commands`: the agent neither suggests nor runs shell commands.
    pub no_shell_commands: bool,
    /// Repo-map budget in tokens; 0 is off, the paper's base setting.
    pub repo_map: u32,
    pub reasoning_effort: Option<String>,
    /// Thinking budget in tokens.
    pub thinking_tokens: Option<u32>,
    /// `--concat`: whether the code of all turns so far counts, or that of the last one; for models without an agent.
    #[serde(default, skip_serializing_if = "is_default")]
    pub concat: Concat,
    /// `--code-diff`: after the first turn the model is asked for what changes, not for the whole program.
    #[serde(default, skip_serializing_if = "is_default")]
    pub code_diff: bool,
    /// `--no-preamble`: the agent is not told how the work will come.
    #[serde(default, skip_serializing_if = "is_default")]
    pub no_preamble: bool,
    /// `--dialect`: the wire dialects that the model's server is said to speak, by name; none: what is known of it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub dialects: Vec<String>,
}

/// Options that came later are not written unless they are set, so that the cells of earlier runs keep their names.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl fmt::Display for Options {
    /// Only what was asked for, such as `whole no-lint`; nothing for the recipe's defaults.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = Vec::new();
        words.extend(self.edit_format.map(|format| format.to_string()));
        words.extend(self.no_lint.then(|| "no-lint".to_owned()));
        words.extend(self.no_shell_commands.then(|| "no-shell-commands".to_owned()));
        words.extend((self.repo_map > 0).then(|| format!("repo-map={}", self.repo_map)));
        words.extend(self.reasoning_effort.as_ref().map(|effort| format!("effort={effort}")));
        words.extend(self.thinking_tokens.map(|tokens| format!("thinking={tokens}")));
        words.extend((!is_default(&self.concat)).then(|| format!("concat={}", self.concat)));
        words.extend(self.code_diff.then(|| "code-diff".to_owned()));
        words.extend(self.no_preamble.then(|| "no-preamble".to_owned()));
        words.extend((!self.dialects.is_empty()).then(|| format!("dialect={}", self.dialects.join(","))));
        f.write_str(&words.join(" "))
    }
}

/// How the agent asks the model to write edits (paper, table 11).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EditFormat {
    Diff,
    Udiff,
    Whole,
}

impl EditFormat {
    pub const ALL: [EditFormat; 3] = [Self::Diff, Self::Udiff, Self::Whole];

    /// The agent's own name of the format.
    pub fn name(self) -> &'static str {
        match self {
            Self::Diff => "diff",
            Self::Udiff => "udiff",
            Self::Whole => "whole",
        }
    }
}

impl fmt::Display for EditFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for EditFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|format| format.name() == text)
            .ok_or_else(|| format!("unknown edit format `{text}`: expected diff, udiff or whole"))
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

/// The trials that tasks and cells span, task by task so that a limited run covers every cell.
pub fn trials(tasks: &[Task], interactions: &[Interaction], cells: &[Cell], attempts: u32) -> Vec<TrialKey> {
    let mut trials = Vec::new();
    let mut wanted: Vec<Interaction> = Vec::new();
    for interaction in interactions {
        if !wanted.contains(interaction) {
            wanted.push(*interaction);
        }
    }
    for task in tasks {
        for interaction in wanted.iter().filter(|wanted| task.interactions().contains(wanted)) {
            for cell in cells {
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
