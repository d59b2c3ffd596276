//! What a recipe's YAML may say. Unknown fields are refused.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

use crate::plan::{EditFormat, Limits};
use crate::trial::Failure;

/// A recipe as it is written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    pub name: String,
    pub mode: Mode,
    pub version: String,
    pub install: Install,
    #[serde(default)]
    pub supports: Supports,
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
    #[serde(default)]
    pub terminal: Terminal,
    pub prompts: Prompts,
    #[serde(default)]
    pub answers: Vec<AnswerRule>,
    /// What a question is told that no rule knows.
    pub default_answer: String,
    pub message: Message,
    /// Ends an answer.
    pub enter: String,
    /// Makes the waiting agent leave.
    pub exit: String,
    /// The line that ends a reply of the model.
    #[serde(default)]
    pub reply_end: Option<String>,
    #[serde(default)]
    pub failures: Vec<FailureLine>,
    #[serde(default)]
    pub calls: Option<Calls>,
    #[serde(default)]
    pub give_up: Option<GiveUp>,
    #[serde(default)]
    pub commands: Option<Commands>,
    pub limits: Limits,
    /// Time to leave after the exit command, and after SIGTERM, in seconds.
    pub exit_seconds: f64,
    pub grace_seconds: f64,
}

/// How an agent is driven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// One interactive process per conversation, through a terminal.
    Pty,
}

/// How the agent gets onto the machine.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "InstallFields")]
pub enum Install {
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

/// Size of the agent's terminal, in characters.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terminal {
    pub rows: u16,
    pub columns: u16,
}

impl Default for Terminal {
    fn default() -> Self {
        Self {
            rows: 50,
            columns: 4000,
        }
    }
}

/// How the end of what the agent has printed looks when it waits.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prompts {
    /// It waits for the next turn.
    pub ready: String,
    /// It asks; the group `question` is the question.
    #[serde(default)]
    pub questions: Vec<String>,
}

/// How one kind of question is answered.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnswerRule {
    pub rule: String,
    pub question: String,
    pub answer: String,
    #[serde(default)]
    pub only_if: Option<Condition>,
    /// The answer when `only_if` does not hold.
    #[serde(default)]
    pub otherwise: Option<String>,
    /// After `answer`, a command of the model's choice runs until the next prompt.
    #[serde(default)]
    pub runs_command: bool,
    /// The turn has failed when this is asked.
    #[serde(default)]
    pub failure: Option<Failure>,
}

/// When the first answer of a rule holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// The subject is one line, a path whose real path is in the workspace.
    InsideWorkspace,
    /// Shell commands are enabled.
    ShellCommands,
}

/// How a message of several lines is entered. `TAG` stands for a text that does not occur in the message.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Message {
    pub open: String,
    pub close: String,
    /// First characters that would make the message a command.
    #[serde(default)]
    pub commands: String,
    /// A character of which the agent swallows one before each end of a line; it is entered once more there.
    #[serde(default)]
    pub swallowed: Option<char>,
}

/// A line that tells of a failure.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FailureLine {
    pub kind: Failure,
    pub line: String,
    /// It counts only when the log of calls says that the last call failed.
    #[serde(default)]
    pub failed_call: bool,
    /// It stands before the end of the reply that it speaks of.
    #[serde(default)]
    pub before_reply_end: bool,
}

/// The agent's own log of its calls of the model: JSON lines.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calls {
    /// A template of its path.
    pub log: String,
    /// The field that names the event.
    pub event: String,
    pub started: String,
    pub finished: String,
    /// The agent itself failed during the call: it has crashed, whether it goes on or not.
    #[serde(default)]
    pub crashed: Option<String>,
    /// The failure when a call failed and no line says why.
    pub failure: Failure,
}

/// When the agent's own retries are cut short.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GiveUp {
    pub line: String,
    /// How many of these lines are allowed for one reply.
    pub after: u32,
}

/// Commands that the agent runs for the model.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Commands {
    /// Longest run, in seconds.
    pub seconds: f64,
    /// What is written to the terminal each time that this has passed.
    pub keys: Vec<String>,
}
