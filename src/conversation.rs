//! How a task becomes turns.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The turns of `random` that are about other tasks.
pub const DISTRACTIONS: usize = 2;

/// How the seed prompt is spread over the turns of a conversation (MT-Sec paper, section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Interaction {
    Single,
    Expansion,
    Editing,
    Refactor,
    /// The turns of `expansion` in one message: "First, do …" (paper, table 6).
    LongerSingle,
    /// The single prompt after those of [`DISTRACTIONS`] tasks of other weaknesses (paper, figure 3: MT-Random).
    Random,
    /// The single prompt, then the failures of held-out tests (paper, appendix J).
    DebuggingTests,
    /// The same, put in words by a second model.
    DebuggingNatural,
}

impl Interaction {
    pub const ALL: [Interaction; 8] = [
        Self::Single,
        Self::Expansion,
        Self::Editing,
        Self::Refactor,
        Self::LongerSingle,
        Self::Random,
        Self::DebuggingTests,
        Self::DebuggingNatural,
    ];

    /// Those of the paper's main tables, in their order: what is run where nobody names an interaction.
    pub const USUAL: [Interaction; 4] = [Self::Single, Self::Expansion, Self::Editing, Self::Refactor];

    /// Those of three turns.
    pub const CONVERSATIONS: [Interaction; 3] = [Self::Expansion, Self::Editing, Self::Refactor];

    /// Whether its turns stand in the task itself; those of the others are made from it.
    pub fn is_written(self) -> bool {
        Self::CONVERSATIONS.contains(&self)
    }

    /// Whether what is said after the first turn depends on what held-out tests have shown.
    pub fn is_debugging(self) -> bool {
        matches!(self, Self::DebuggingTests | Self::DebuggingNatural)
    }

    /// The one name used in code, YAML, CLI and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Single => "single",
            Self::Expansion => "expansion",
            Self::Editing => "editing",
            Self::Refactor => "refactor",
            Self::LongerSingle => "longer-single",
            Self::Random => "random",
            Self::DebuggingTests => "debugging-tests",
            Self::DebuggingNatural => "debugging-natural",
        }
    }
}

impl fmt::Display for Interaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// How the user asks for the code.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// To be written to a file of the workspace: the user talks to an agent.
    #[default]
    Workspace,
    /// To be given in the answer: the user talks to a model.
    Answer,
    /// In the first answer as a whole, in the others as differences.
    Differences,
}

/// How the user of an agent speaks, whatever the task.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Manner {
    pub delivery: Delivery,
    /// The first of several turns is opened by how the work will come.
    pub preamble: bool,
    /// Where the task's security policy is said.
    pub policy: Policy,
    /// How many turns the conversation has; `None`: as many as the task's own.
    pub turns: Option<u32>,
    /// Decides what is chosen by chance, such as the first turns of `random`.
    pub seed: u64,
}

/// Where the task's security policy is said (paper, table 2).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Policy {
    #[default]
    None,
    /// In the model's system prompt: added by the gateway, whatever the agent's own is.
    System,
    /// At the end of the first turn.
    First,
    /// At the end of the last turn.
    Last,
    /// At the end of every turn.
    Every,
}

impl Policy {
    pub const ALL: [Self; 5] = [Self::None, Self::System, Self::First, Self::Last, Self::Every];

    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::System => "system",
            Self::First => "first",
            Self::Last => "last",
            Self::Every => "every",
        }
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Policy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.into_iter().find(|policy| policy.name() == text);
        known.ok_or_else(|| format!("unknown policy placement `{text}`: expected none, system, first, last or every"))
    }
}

/// The text names no interaction.
#[derive(Debug, thiserror::Error)]
#[error(
    "unknown interaction `{0}`: expected one of single, expansion, editing, refactor, longer-single, random, debugging-tests, debugging-natural"
)]
pub struct UnknownInteraction(pub String);

impl FromStr for Interaction {
    type Err = UnknownInteraction;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|interaction| interaction.name() == text)
            .ok_or_else(|| UnknownInteraction(text.to_owned()))
    }
}

/// The rendered turns of one task under one interaction: at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversation {
    pub interaction: Interaction,
    /// What the user says, turn by turn, exactly as the model must receive it.
    pub turns: Vec<String>,
    /// What the gateway adds to the model's system prompt, whatever the agent's own is.
    pub system: Option<String>,
}
