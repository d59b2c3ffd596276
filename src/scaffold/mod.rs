//! Agents that can be driven: one trait for the agent, one for its live session.

mod answers;
mod api;
mod deadlines;
mod dialogue;
mod driver;
mod endings;
mod exec;
pub mod install;
mod installed;
mod launch;
mod message;
mod pty;
mod repository;
mod session;
mod shim;
mod ward;

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use crate::conversation::Interaction;
use crate::plan::{Limits, Options};
use crate::recipe::Dialect;
use crate::trial::{Answer, Ending};

pub use crate::process::tree::Killed;
pub use api::{Caller, Said, Unanswered};
pub use deadlines::{Clocks, ModelClock, Moment, NoCalls};
pub use driver::driver;
pub use install::{Hold, InstallError, Installed, Installer, Progress, Status, asked};
pub use installed::{PATH, shown};
pub use message::Refusal;

/// Everything an agent is given: its places, its model, its options.
#[derive(Debug, Clone)]
pub struct Stage {
    /// The trial, as its record is named: for labels only.
    pub trial: String,
    pub interaction: Interaction,
    /// The folder the agent works in.
    pub workspace: PathBuf,
    /// Files of the workspace that the agent is told of, relative to it.
    pub files: Vec<PathBuf>,
    /// Private home and temporary folder: exist, empty, writable.
    pub home: PathBuf,
    pub tmp: PathBuf,
    /// Outside the workspace: configuration, histories and recordings of the session.
    pub logs: PathBuf,
    /// The gateway's route of this trial, such as `http://127.0.0.1:4000/t/TOKEN/v1`.
    pub api_base: String,
    /// The gateway's Unix socket, for agents that have no network.
    pub gateway: PathBuf,
    /// The dummy key that this trial's route accepts.
    pub api_key: String,
    /// A text that occurs nowhere else, such as `mtsec-guard-` and 16 hexadecimal digits. It is put before a prompt whose
    /// first character the agent would take for a command; the gateway takes it out of every request again.
    pub guard: String,
    pub model: AgentModel,
    pub options: Options,
    pub clocks: Clocks,
    pub cancel: CancellationToken,
}

/// What an agent must know of its model.
#[derive(Debug, Clone, PartialEq)]
pub struct AgentModel {
    /// As the model is named on the wire, such as `o3-2025-04-16`.
    pub name: String,
    pub max_input_tokens: u32,
    pub max_output_tokens: u32,
    /// US dollars per token.
    pub input_price: Option<f64>,
    pub output_price: Option<f64>,
    /// `None`: the agent must not send a temperature.
    pub temperature: Option<f64>,
    pub accepts_reasoning_effort: bool,
    /// What the agent is to speak on its route.
    pub dialect: Dialect,
}

/// What happened in one turn, as the session saw it.
#[derive(Debug, Clone, PartialEq)]
pub struct TurnEnd {
    pub ending: Ending,
    pub answers: Vec<Answer>,
    /// Things a user must be told of, such as a question that no rule knows.
    pub warnings: Vec<String>,
    /// The agent called the whole work done, where it could have waited for the next turn. In the last turn that is as it
    /// should be.
    pub finished_early: bool,
}

/// How the agent's process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It left by itself with this status.
    Code(i32),
    /// It had to be killed.
    Killed,
}

/// The agent did not come up: an infrastructure failure.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("cannot start {program}: {source}")]
    Spawn { program: String, source: std::io::Error },
    #[error("the agent was not ready within {seconds} s; its last output: {tail}")]
    NotReady { seconds: f64, tail: String },
    #[error("the agent left with status {code} before it was ready; its last output: {tail}")]
    Exited { code: i32, tail: String },
    #[error("`{command}` {how} where the agent is to run: {tail}\n{remedy}")]
    Preflight {
        command: String,
        how: String,
        tail: String,
        remedy: String,
    },
    #[error("cannot prepare {path}: {source}")]
    Prepare { path: PathBuf, source: std::io::Error },
    #[error("interrupted")]
    Cancelled,
}

/// An agent that can be driven.
#[async_trait]
pub trait Scaffold: Send + Sync {
    /// Whether a prompt can arrive at the model byte for byte (a line end may be added at its end).
    fn carries(&self, prompt: &str) -> Result<(), Refusal>;

    /// Whether the agent can work where it is to run; before a run begins, in a folder that lives only for this.
    ///
    /// # Errors
    /// It cannot, and what to do about it.
    async fn check(&self, _scratch: &Path) -> Result<(), OpenError> {
        Ok(())
    }

    /// Waits until what all sessions share is there, in the run's own `scratch` folder, or cannot be had. Called before each
    /// session and before any clock of its trial begins: this is time of the run, and no agent's. Can be given up at any time.
    async fn ready(&self, _scratch: &Path) {}

    /// Ends what was prepared: no session follows.
    async fn dismiss(&self) {}

    /// Starts the agent on a stage and waits until it takes its first turn.
    async fn open(&self, stage: &Stage, limits: &Limits) -> Result<Box<dyn Session>, OpenError>;
}

/// One live agent working through one conversation.
#[async_trait]
pub trait Session: Send {
    /// Says one turn and waits until the agent is done with it. A failure of the agent is a result, never an error.
    async fn say(&mut self, turn: usize, prompt: &str, limits: &Limits) -> TurnEnd;
    /// Kills everything that the session's turns left running except the waiting agent itself, and looks that nothing is
    /// left.
    async fn settle(&mut self) -> Killed;
    /// Ends the agent and everything it started, and looks that nothing is left. What was killed besides the agent
    /// counts.
    async fn close(self: Box<Self>) -> (Exit, Killed);
}
