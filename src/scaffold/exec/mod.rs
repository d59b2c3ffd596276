//! The driver of agents without a terminal: one process per turn, which goes on with the session of the turn before.

mod events;
mod log;
mod preflight;
mod process;
mod rollout;
mod session;
mod written;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;

use self::session::ExecSession;
use self::written::Written;
use super::deadlines::Began;
use super::install::Installed;
use super::launch::Prepared;
use super::message::{self, Refusal};
use super::{OpenError, Scaffold, Session, Stage};
use crate::plan::Limits;
use crate::process::Containment;
use crate::recipe::{ExecRules, Recipe};

/// What every process of an agent is started with.
pub(super) struct Agent {
    recipe: Arc<Recipe>,
    rules: Arc<ExecRules>,
    installed: Installed,
    /// Our own executable, which knows the hidden shepherd command.
    program: PathBuf,
    containment: Arc<dyn Containment>,
}

/// An agent that is started anew for each turn.
pub struct ExecScaffold {
    agent: Arc<Agent>,
}

impl ExecScaffold {
    /// `rules` are those of the recipe, `program` is our own executable.
    pub fn new(
        recipe: Arc<Recipe>,
        rules: Arc<ExecRules>,
        installed: Installed,
        program: PathBuf,
        containment: Arc<dyn Containment>,
    ) -> Self {
        let agent = Agent {
            recipe,
            rules,
            installed,
            program,
            containment,
        };
        Self { agent: Arc::new(agent) }
    }
}

#[async_trait]
impl Scaffold for ExecScaffold {
    /// Through a pipe everything arrives as it is.
    fn carries(&self, prompt: &str) -> Result<(), Refusal> {
        message::carries(prompt)
    }

    /// By the preflight of its recipe: all sessions run in the same containment.
    async fn check(&self, scratch: &Path) -> Result<(), OpenError> {
        preflight::check(&self.agent, scratch).await
    }

    /// Lays out the session's places. The agent's first process is that of the first turn.
    async fn open(&self, stage: &Stage, _limits: &Limits) -> Result<Box<dyn Session>, OpenError> {
        let began = Began::now(&stage.clocks);
        let (agent, room) = (self.agent.clone(), stage.clone());
        // Large folders take their time, in which other sessions go on.
        let prepared = tokio::task::spawn_blocking(move || {
            let prepared = Prepared::new(&agent.recipe, &agent.installed, agent.containment.as_ref(), &room)?;
            let more = session::more(None, 1);
            let rendered = prepared.render(&agent.recipe, more)?;
            let written = Written::of(&rendered).map_err(|source| OpenError::Prepare {
                path: prepared.logs.clone(),
                source,
            })?;
            Ok((prepared, written))
        });
        let (prepared, written) = prepared.await.unwrap_or_else(|error| {
            Err(OpenError::Spawn {
                program: self.agent.recipe.source.name.clone(),
                source: std::io::Error::other(error),
            })
        })?;
        let session = ExecSession::new(self.agent.clone(), prepared, written, stage, began)?;
        Ok(Box::new(session))
    }
}
