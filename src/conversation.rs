//! How a task becomes turns.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How the seed prompt is spread over the turns of a conversation (MT-Sec paper, section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Interaction {
    Single,
    Expansion,
    Editing,
    Refactor,
}

impl Interaction {
    /// Every interaction, in the order of the paper's tables.
    pub const ALL: [Interaction; 4] = [Self::Single, Self::Expansion, Self::Editing, Self::Refactor];

    /// Those of three turns.
    pub const CONVERSATIONS: [Interaction; 3] = [Self::Expansion, Self::Editing, Self::Refactor];

    /// The one name used in code, YAML, CLI and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Single => "single",
            Self::Expansion => "expansion",
            Self::Editing => "editing",
            Self::Refactor => "refactor",
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
}

/// The text names no interaction.
#[derive(Debug, thiserror::Error)]
#[error("unknown interaction `{0}`: expected one of single, expansion, editing, refactor")]
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
}
