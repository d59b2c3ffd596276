//! No agent: a conversation that goes straight to the model. Code is taken from its answers and written to the workspace.

mod caller;
mod change;
mod code;
mod files;
mod program;
mod session;
mod wire;

use async_trait::async_trait;

use super::message::{self, Refusal};
use super::{OpenError, Scaffold, Session, Stage};
use crate::plan::Limits;
pub use caller::{Caller, Said, Unanswered};
use session::ApiSession;

/// A model without an agent.
pub struct ApiScaffold;

#[async_trait]
impl Scaffold for ApiScaffold {
    fn carries(&self, prompt: &str) -> Result<(), Refusal> {
        message::carries(prompt)
    }

    async fn open(&self, stage: &Stage, _: &Limits) -> Result<Box<dyn Session>, OpenError> {
        Ok(Box::new(ApiSession::new(stage)?))
    }
}
