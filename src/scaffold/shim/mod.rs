//! The driver of agents that have no terminal and no command line of their own: a program of ours around their library,
//! that is told and heard in JSON lines (`protocol`).
//!
//! It is started inside the containment (cold), or forked from a process that has imported the library once (`zygote`,
//! warm) and then enters the containment; nothing else differs.

mod protocol;
mod session;
mod start;
mod wire;
mod zygote;

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;

use self::session::{Heard, ShimSession};
use self::start::{Kept, Started, start};
use super::deadlines::{Began, Deadlines, Moment};
use super::install::Installed;
use super::message::Refusal;
use super::{OpenError, Scaffold, Session, Stage};
use crate::plan::Limits;
use crate::process::Containment;
use crate::recipe::{Recipe, ShimRules};

/// An agent behind a driver.
pub struct ShimScaffold {
    recipe: Arc<Recipe>,
    rules: Arc<ShimRules>,
    installed: Installed,
    /// Our own executable, which knows the hidden shepherd command.
    program: PathBuf,
    containment: Arc<dyn Containment>,
    /// Kept as long as the scaffold: the next session is forked from it, too.
    zygote: Kept,
}

impl ShimScaffold {
    /// `rules` are those of the recipe, `program` is our own executable.
    pub fn new(
        recipe: Arc<Recipe>,
        rules: Arc<ShimRules>,
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
            zygote: Kept::default(),
        }
    }
}

#[async_trait]
impl Scaffold for ShimScaffold {
    fn carries(&self, _prompt: &str) -> Result<(), Refusal> {
        // A JSON text carries any.
        Ok(())
    }

    async fn open(&self, stage: &Stage, limits: &Limits) -> Result<Box<dyn Session>, OpenError> {
        let began = Began {
            trial: stage.clocks.trial,
            session: Moment::now(stage.clocks.model.as_ref()),
        };
        let deadlines = Deadlines::of_start(limits, began);
        let started: Started = tokio::select! {
            biased;
            () = stage.cancel.cancelled() => return Err(OpenError::Cancelled),
            started = start(&self.recipe, &self.rules, &self.installed, &self.program, &self.containment, &self.zygote, stage) => started?,
        };
        let mut session = ShimSession::new(self.recipe.clone(), self.rules.clone(), started, stage, began);
        let heard = session.until_ready(&deadlines).await;
        if heard == Heard::Ready {
            session.remember_who_waits();
            return Ok(Box::new(session));
        }
        let exit = session.stop().await;
        let tail = match &heard {
            Heard::Failed(message) => message.clone(),
            _ => session.last_words(),
        };
        Err(match heard {
            Heard::Cancelled => OpenError::Cancelled,
            Heard::Limit(_) => OpenError::NotReady {
                seconds: began.session.at.elapsed().as_secs_f64(),
                tail,
            },
            _ => OpenError::Exited {
                code: match exit {
                    super::Exit::Code(code) => code,
                    super::Exit::Killed => -libc::SIGKILL,
                },
                tail,
            },
        })
    }
}
