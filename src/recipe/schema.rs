//! What a recipe's YAML may say. Unknown fields are refused.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

use super::terminal::Pty;
use crate::gateway::dialect::Dialect;
use crate::plan::{EditFormat, Limits};
use crate::trial::Failure;

/// A recipe as it is written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    pub name: String,
    pub version: String,
    /// The program itself, where nothing is said.
    #[serde(default)]
    pub install: Install,
    #[serde(default)]
    pub supports: Supports,
    /// The wire dialects that the agent can be told to speak, the preferred one first.
    #[serde(default = "chat")]
    pub speaks: Vec<Dialect>,
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
    pub drive: Drive,
    pub limits: Limits,
    /// Time to leave after having been told to, and after SIGTERM, in seconds.
    pub exit_seconds: f64,
    pub grace_seconds: f64,
}

fn chat() -> Vec<Dialect> {
    vec![Dialect::OpenaiChat]
}

/// How an agent is driven.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Drive {
    /// One interactive process per conversation, through a terminal.
    Pty(Box<Pty>),
    /// One driver per conversation, which speaks JSON lines.
    Shim(Shim),
}

/// An agent behind a driver of our own: one process per conversation, told and heard in JSON lines.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shim {
    /// A driver that comes with the program, laid out as `driver.py` in the agent's own folder; `None`: the command line
    /// names one.
    #[serde(default)]
    pub driver: Option<ShimDriver>,
    /// Programs of the system without which it does not work.
    #[serde(default)]
    pub programs: Vec<String>,
    /// Most steps of the agent in one turn.
    pub iterations: u32,
    /// Longest command of the model, in seconds.
    pub command_seconds: u32,
    /// Longest call of the model, in seconds.
    pub call_seconds: u32,
    /// How often the agent itself tries a call: the gateway has its own tries.
    pub tries: u32,
    /// What its errors mean; the first that matches counts, and none means that the agent has crashed.
    #[serde(default)]
    pub failures: Vec<ShimFailure>,
}

/// The drivers that come with the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ShimDriver {
    Openhands,
}

/// An error of a driver, by a regular expression.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShimFailure {
    pub kind: Failure,
    pub error: String,
}

/// How the agent gets onto the machine.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(try_from = "InstallFields")]
pub enum Install {
    /// It is part of this program.
    #[default]
    Own,
    /// By pip, into an environment of its own.
    Pip(Pip),
    /// It is there already, and is used where it is.
    Present(Present),
}

/// A pinned agent that pip installs.
#[derive(Debug, Clone)]
pub struct Pip {
    /// Versions of Python that it runs on, such as `>=3.10,<3.13`.
    pub python: String,
    /// What pip is asked for.
    pub requirements: Vec<String>,
    /// The distribution whose version must be the recipe's.
    pub distribution: String,
    /// The program, relative to the installation.
    pub program: String,
    /// Arguments of the installation's Python, run once.
    pub prewarm: Vec<String>,
}

/// A program that is there already.
#[derive(Debug, Clone)]
pub struct Present {
    /// Absolute once the recipe is loaded; in the file it may be relative to the file's folder.
    pub program: PathBuf,
    /// What runs it, by path or by name; a program without one is executable itself.
    pub interpreter: Option<String>,
    /// Files and folders that the contained agent must see besides its program; placed as `program` is.
    pub needs: Vec<PathBuf>,
}

/// Both ways as they are written: with `distribution` it is pip's.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InstallFields {
    python: Option<String>,
    requirements: Option<Vec<String>>,
    distribution: Option<String>,
    program: String,
    prewarm: Option<Vec<String>>,
    interpreter: Option<String>,
    needs: Option<Vec<PathBuf>>,
}

impl TryFrom<InstallFields> for Install {
    type Error = String;

    fn try_from(fields: InstallFields) -> Result<Self, Self::Error> {
        let InstallFields {
            python,
            requirements,
            distribution,
            program,
            prewarm,
            interpreter,
            needs,
        } = fields;
        let present_only = interpreter.is_some() || needs.is_some();
        match (python, requirements, distribution) {
            (Some(python), Some(requirements), Some(distribution)) if !present_only => Ok(Self::Pip(Pip {
                python,
                requirements,
                distribution,
                program,
                prewarm: prewarm.unwrap_or_default(),
            })),
            (None, None, None) if prewarm.is_none() => Ok(Self::Present(Present {
                program: program.into(),
                interpreter,
                needs: needs.unwrap_or_default(),
            })),
            _ => Err(
                "`install` is either `python`, `requirements`, `distribution` and `program` (and `prewarm`), or \
                      `program`, `interpreter` and `needs` alone"
                    .to_owned(),
            ),
        }
    }
}

/// The options that can be set.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Supports {
    #[serde(default)]
    pub edit_formats: Vec<EditFormat>,
    #[serde(default)]
    pub default_edit_format: Option<EditFormat>,
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
