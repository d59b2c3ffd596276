//! The driver of agents that live at a terminal.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;

use super::deadlines::{Began, Deadlines};
use super::install::Installed;
use super::launch::launch;
use super::message::{self, Refusal};
use super::session::{Attended, PtySession};
use super::{Exit, OpenError, Scaffold, Session, Stage};
use crate::plan::Limits;
use crate::process::Containment;
use crate::recipe::{Recipe, TerminalRules};

/// An agent that is driven as its recipe says.
pub struct PtyScaffold {
    recipe: Arc<Recipe>,
    rules: Arc<TerminalRules>,
    installed: Installed,
    /// Our own executable, which knows the hidden shepherd command.
    program: PathBuf,
    containment: Arc<dyn Containment>,
}

impl PtyScaffold {
    /// `rules` are those of the recipe, `program` is our own executable.
    pub fn new(
        recipe: Arc<Recipe>,
        rules: Arc<TerminalRules>,
        installed: Installed,
        program: PathBuf,
        containment: Arc<dyn Containment>,
    ) -> Self {
        Self {
            recipe,
            rules,
            installed,
            program,
            containment,
        }
    }
}

#[async_trait]
impl Scaffold for PtyScaffold {
    fn carries(&self, prompt: &str) -> Result<(), Refusal> {
        message::carries(prompt)
    }

    async fn open(&self, stage: &Stage, limits: &Limits) -> Result<Box<dyn Session>, OpenError> {
        let began = Began::now(&stage.clocks);
        let (recipe, installed, program) = (self.recipe.clone(), self.installed.clone(), self.program.clone());
        let (containment, room) = (self.containment.clone(), stage.clone());
        // Git and large folders take their time, in which other sessions go on.
        let terminal = self.rules.source.terminal;
        let launched = tokio::task::spawn_blocking(move || {
            launch(&recipe, terminal, &installed, &program, containment.as_ref(), &room)
        });
        let launched = launched.await.unwrap_or_else(|error| {
            Err(OpenError::Spawn {
                program: self.recipe.source.name.clone(),
                source: std::io::Error::other(error),
            })
        })?;
        let mut session = PtySession::new(self.recipe.clone(), self.rules.clone(), launched, stage, began)?;
        let deadlines = Deadlines::of_start(limits, began);
        let came = session.attend(&deadlines, limits.answers).await;
        if came == Attended::Ready {
            return Ok(Box::new(session));
        }
        let tail = session.dialogue.excerpt();
        let exit = session.stop().await;
        Err(match (came, exit) {
            (Attended::Cancelled, _) => OpenError::Cancelled,
            (Attended::Ended, Exit::Code(code)) => OpenError::Exited { code, tail },
            (Attended::Ended, Exit::Killed) => OpenError::Exited {
                code: -libc::SIGKILL,
                tail,
            },
            _ => OpenError::NotReady {
                seconds: began.session.at.elapsed().as_secs_f64(),
                tail,
            },
        })
    }
}
