//! The scripted model `nop`: answers, and changes nothing.

use async_trait::async_trait;

use super::model::{Answer, Call, Model, Reply};

/// What it always says. Holds nothing that an agent could take for an edit, a file, an address or a command.
pub const TEXT: &str = "I have read the request and leave everything as it is.";

/// Answers every call with [`TEXT`].
#[derive(Debug, Clone, Copy)]
pub struct Nop;

#[async_trait]
impl Model for Nop {
    async fn complete(&self, call: &Call) -> Reply {
        Reply::answer(Answer::new(call, TEXT.to_owned()))
    }
}
