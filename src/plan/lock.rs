//! What a run was resolved to, and what it was held in.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Cell, Endpoints, TrialKey};
use crate::budget::Budget;

/// `lock.json`: what a run was resolved to. A run is resumed from it, never from the command line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Lock {
    /// Of this program.
    pub version: String,
    pub created: jiff::Timestamp,
    pub cells: Vec<Cell>,
    /// Those of an experiment that its file asks for no more are the last.
    pub trials: Vec<TrialKey>,
    /// How many those are.
    #[serde(default, skip_serializing_if = "is_none")]
    pub stay: usize,
    /// What an experiment file calls its cells, by their ids; those of a matrix have no names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub names: BTreeMap<String, String>,
    pub test_turns: TestTurns,
    /// SHA-256 of `tasks.jsonl`, the run's own copy of its tasks.
    pub tasks_digest: String,
    /// Rows that were left out because they have no dynamic tests.
    pub skipped_rows: usize,
    /// Whether any number of this run comes from a scripted model.
    pub scripted: bool,
    /// Other settings that decide what a trial does, by name.
    pub settings: Settings,
    /// The recorded run's folder, absolute, when this run replays one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replays: Option<std::path::PathBuf>,
    /// The agents as they lay on the machine; none in runs that were made before this was recorded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub agents: Vec<InstalledAgent>,
}

/// An agent as it lay on the machine when a run was started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstalledAgent {
    pub scaffold: String,
    pub version: String,
    /// What identifies its installation; `None` for an agent that is part of this program.
    pub digest: Option<String>,
}

/// Settings of the run that are the same for all its cells.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// The endpoints to use instead of the providers' own.
    #[serde(default)]
    pub api_base: Endpoints,
    /// How often an infrastructure failure is tried again.
    pub retries: u32,
    /// What the tester judges with, such as `CPython 3.11.2 (namespaces)`.
    pub tester: String,
    /// Of every try of a trial.
    #[serde(default)]
    pub trial_budget: Budget,
    #[serde(default)]
    pub run_budget: Budget,
    /// Where it does.
    #[serde(default)]
    pub sandbox: SandboxKind,
    /// What agents ran in. Runs made before there was any had none.
    #[serde(default = "no_containment")]
    pub containment: ContainmentKind,
}

fn is_none(count: &usize) -> bool {
    *count == 0
}

fn no_containment() -> ContainmentKind {
    ContainmentKind::None
}

/// What agents run in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ContainmentKind {
    /// Linux namespaces: no daemon, no root.
    #[default]
    Namespaces,
    /// A Docker container.
    Docker,
    /// Nothing: the agent can do what the user can.
    None,
}

impl ContainmentKind {
    pub const ALL: [Self; 3] = [Self::Namespaces, Self::Docker, Self::None];

    pub fn name(self) -> &'static str {
        match self {
            Self::Namespaces => "namespaces",
            Self::Docker => "docker",
            Self::None => "none",
        }
    }
}

impl fmt::Display for ContainmentKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for ContainmentKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|kind| kind.name() == text).ok_or_else(|| {
            let known: Vec<&str> = Self::ALL.into_iter().map(Self::name).collect();
            format!("unknown containment `{text}`: expected one of {}", known.join(", "))
        })
    }
}

/// What is around code under test.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SandboxKind {
    /// Linux namespaces of our own making.
    #[default]
    Namespaces,
    /// The same within a Docker container.
    Docker,
}

impl FromStr for SandboxKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "namespaces" => Ok(Self::Namespaces),
            "docker" => Ok(Self::Docker),
            _ => Err(format!("unknown sandbox `{text}`: expected namespaces or docker")),
        }
    }
}

/// Which snapshots are judged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TestTurns {
    /// The one that decides the outcome.
    #[default]
    Last,
    /// Every one: shows where in the conversation a solution was lost.
    All,
}

impl FromStr for TestTurns {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "last" => Ok(Self::Last),
            "all" => Ok(Self::All),
            _ => Err(format!("unknown turns `{text}`: expected last or all")),
        }
    }
}
