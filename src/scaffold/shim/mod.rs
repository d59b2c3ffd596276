//! The driver of agents that have no terminal and no command line of their own: a program of ours around their library,
//! that is told and heard in JSON lines (`protocol`).
//!
//! It is started inside the containment (cold), or forked from a process that has imported the library once (`zygote`,
//! warm) and then enters the containment; nothing else differs.

mod nursery;
mod protocol;
mod session;
mod start;
mod wire;
mod zygote;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;

use self::nursery::Nursery;
use self::session::{Heard, ShimSession};
use self::start::Starter;
use super::deadlines::{Began, Deadlines, Moment};
use super::install::Installed;
use super::message::Refusal;
use super::{OpenError, Scaffold, Session, Stage};
use crate::plan::Limits;
use crate::process::Containment;
use crate::recipe::{Recipe, ShimDriver, ShimRules};

/// By which the user of OpenHands ends a conversation.
const EXIT: &str = "/exit";

/// An agent behind a driver.
pub struct ShimScaffold {
    starter: Arc<Starter>,
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
        let nursery = Arc::new(Nursery::new(&recipe, &installed, &program));
        Self {
            starter: Arc::new(Starter {
                recipe,
                rules,
                installed,
                program,
                containment,
                nursery,
            }),
        }
    }
}

#[async_trait]
impl Scaffold for ShimScaffold {
    fn carries(&self, prompt: &str) -> Result<(), Refusal> {
        // What Python takes for a blank, and Rust does not, is there as well.
        let blank = |letter: char| letter.is_whitespace() || ('\x1c'..='\x1f').contains(&letter);
        let is_openhands = self.starter.rules.source.driver == Some(ShimDriver::Openhands);
        // All else is carried by a JSON text.
        match is_openhands && prompt.trim_matches(blank) == EXIT {
            true => Err(Refusal::Command),
            false => Ok(()),
        }
    }

    async fn ready(&self, scratch: &Path) {
        if self.starter.entry().is_some() {
            self.starter.nursery.ready(scratch).await;
        }
    }

    async fn dismiss(&self) {
        self.starter.nursery.close().await;
    }

    async fn open(&self, stage: &Stage, limits: &Limits) -> Result<Box<dyn Session>, OpenError> {
        let began = Began {
            trial: stage.clocks.trial,
            session: Moment::now(stage.clocks.model.as_ref()),
        };
        let deadlines = Deadlines::of_start(limits, began);
        let started = self.starter.start(stage).await?;
        let mut session = ShimSession::new(&self.starter, started, stage, began);
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
