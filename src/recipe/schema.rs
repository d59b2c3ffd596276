//! What a recipe's YAML may say. Unknown fields are refused.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::exec::Exec;
use super::install::Install;
use super::shim::Shim;
use super::supports::Supports;
use super::terminal::Pty;
use super::traffic::Traffic;
use crate::conversation::Delivery;
use crate::diagnosis::SignsSource;
use crate::gateway::dialect::Dialect;
use crate::plan::Limits;

/// A recipe as it is written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    pub name: String,
    pub version: String,
    /// The program itself, where nothing is said.
    #[serde(default)]
    pub install: Install,
    /// What the agent can do; a request for anything else is refused.
    #[serde(default)]
    pub supports: Supports,
    /// Programs that the agent starts, by name, besides what its installation brings.
    #[serde(default)]
    pub needs: Vec<String>,
    /// The wire dialects that the agent can be told to speak, the preferred one first.
    #[serde(default = "chat")]
    pub speaks: Vec<Dialect>,
    /// In which form the scripted model `oracle` hands its edits to the agent.
    #[serde(default)]
    pub oracle: OracleForm,
    /// Where the user asks for the code.
    #[serde(default)]
    pub prompts: Delivery,
    #[serde(default)]
    pub argv: Vec<Arguments>,
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    #[serde(default)]
    pub files: Vec<File>,
    /// Paths in the workspace that are the agent's or the driver's own and no part of its work: snapshots leave them out.
    #[serde(default)]
    pub litter: Vec<String>,
    /// What the agent itself puts into its requests and is another in each session, such as the date: no difference when a
    /// run is replayed.
    #[serde(default)]
    pub varies: Vec<String>,
    /// By what words failures are known in this agent's traffic; added to those of `scaffolds/signs.yaml`.
    #[serde(default)]
    pub signs: SignsSource,
    /// What a run may use, for `sweep --dry-run`; says nothing of what the agent does.
    #[serde(default)]
    pub estimate: Option<Traffic>,
    pub drive: Drive,
    pub limits: Limits,
    /// Time to leave after having been told to, and after SIGTERM, in seconds.
    pub exit_seconds: f64,
    pub grace_seconds: f64,
}

fn chat() -> Vec<Dialect> {
    vec![Dialect::OpenaiChat]
}

/// The form of the edits that an agent takes from its model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OracleForm {
    /// Text in the cell's edit format, as Aider takes it.
    #[default]
    EditFormat,
    /// Calls of a `shell` tool with `apply_patch`, as Codex takes them.
    ApplyPatch,
    /// Calls of `str_replace_editor`, as OpenHands takes them.
    Editor,
    /// Fenced code.
    Fenced,
}

/// How an agent is driven.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Drive {
    /// One interactive process per conversation, through a terminal.
    Pty(Box<Pty>),
    /// One driver per conversation, which speaks JSON lines.
    Shim(Shim),
    /// One process per turn, without a terminal, that goes on with the session of the turn before.
    Exec(Box<Exec>),
    /// There is no agent: the conversation goes straight to the model, and code is taken from its answers.
    Api(Api),
}

/// What there is to know of a model without an agent: nothing.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Api {}

impl Drive {
    /// Whether an agent makes the requests to the model. Else this program does, and a request whose form a provider does not
    /// take says nothing of anybody.
    pub fn has_agent(&self) -> bool {
        !matches!(self, Self::Api(_))
    }

    /// As it is written in a recipe.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Pty(_) => "pty",
            Self::Exec(_) => "exec",
            Self::Api(_) => "api",
            Self::Shim(_) => "shim",
        }
    }
}

/// Some arguments of the command line.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arguments {
    /// A template expression; the arguments are left out when it is false.
    #[serde(default)]
    pub when: Option<String>,
    /// A template expression that gives a list; the arguments are repeated for each `item`.
    #[serde(default)]
    pub each: Option<String>,
    pub args: Vec<String>,
}

/// A file that is written before the agent starts, with the folders above it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    pub path: String,
    pub content: String,
}
