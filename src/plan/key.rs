//! By what cells and their interactions are told apart: in experiment files, in tables, on the command line.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Cell, CellRequest, Options};
use crate::conversation::Interaction;

/// One thing in which cells, or the interactions that they are run with, differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Key {
    Scaffold,
    Model,
    Interaction,
    EditFormat,
    NoLint,
    NoShellCommands,
    RepoMap,
    ReasoningEffort,
    ThinkingTokens,
    Concat,
    CodeDiff,
    NoPreamble,
    Policy,
    Turns,
    Seed,
    Feedback,
    Reveal,
    HeldOut,
    Critic,
}

impl Key {
    pub const ALL: [Self; 19] = [
        Self::Scaffold,
        Self::Model,
        Self::Interaction,
        Self::EditFormat,
        Self::NoLint,
        Self::NoShellCommands,
        Self::RepoMap,
        Self::ReasoningEffort,
        Self::ThinkingTokens,
        Self::Concat,
        Self::CodeDiff,
        Self::NoPreamble,
        Self::Policy,
        Self::Turns,
        Self::Seed,
        Self::Feedback,
        Self::Reveal,
        Self::HeldOut,
        Self::Critic,
    ];

    /// As it is written in YAML.
    pub fn name(self) -> &'static str {
        match self {
            Self::Scaffold => "scaffold",
            Self::Model => "model",
            Self::Interaction => "interaction",
            Self::EditFormat => "edit_format",
            Self::NoLint => "no_lint",
            Self::NoShellCommands => "no_shell_commands",
            Self::RepoMap => "repo_map",
            Self::ReasoningEffort => "reasoning_effort",
            Self::ThinkingTokens => "thinking_tokens",
            Self::Concat => "concat",
            Self::CodeDiff => "code_diff",
            Self::NoPreamble => "no_preamble",
            Self::Policy => "policy",
            Self::Turns => "turns",
            Self::Seed => "seed",
            Self::Feedback => "feedback",
            Self::Reveal => "reveal",
            Self::HeldOut => "held_out",
            Self::Critic => "critic",
        }
    }

    /// What a cell has under an interaction, as it is written in YAML; empty where it is left to the recipe, the model or the task.
    pub fn value(self, cell: &Cell, interaction: Interaction) -> String {
        self.of(&cell.scaffold, &cell.model, &cell.options, interaction)
    }

    /// The same of a cell that is asked for: what is left to the recipe is empty.
    pub fn asked(self, asked: &CellRequest, interaction: Interaction) -> String {
        self.of(&asked.scaffold, &asked.model, &asked.options, interaction)
    }

    fn of(self, scaffold: &str, model: &str, options: &Options, interaction: Interaction) -> String {
        let told = |value: Option<String>| value.unwrap_or_default();
        match self {
            Self::Scaffold => scaffold.to_owned(),
            Self::Model => model.to_owned(),
            Self::Interaction => interaction.to_string(),
            Self::EditFormat => told(options.edit_format.map(|format| format.to_string())),
            Self::NoLint => options.no_lint.to_string(),
            Self::NoShellCommands => options.no_shell_commands.to_string(),
            Self::RepoMap => options.repo_map.to_string(),
            Self::ReasoningEffort => told(options.reasoning_effort.clone()),
            Self::ThinkingTokens => told(options.thinking_tokens.map(|tokens| tokens.to_string())),
            Self::Concat => options.concat.to_string(),
            Self::CodeDiff => options.code_diff.to_string(),
            Self::NoPreamble => options.no_preamble.to_string(),
            Self::Policy => options.policy.to_string(),
            Self::Turns => told(options.turns.map(|turns| turns.to_string())),
            Self::Seed => options.seed.to_string(),
            Self::Feedback => options.feedback.retries.to_string(),
            Self::Reveal => options.feedback.reveal.to_string(),
            Self::HeldOut => options.held_out.to_string(),
            Self::Critic => told(options.critic.clone()),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Key {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.into_iter().find(|key| key.name() == text);
        known.ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.into_iter().map(Self::name).collect();
            format!("unknown key `{text}`: expected one of {}", names.join(", "))
        })
    }
}
