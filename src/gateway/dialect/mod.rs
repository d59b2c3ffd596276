//! The wire dialects between agents, gateway and providers: each is a [`Form`], found by its [`Dialect`].

mod assembler;
mod chat;
mod form;
mod messages;
mod own;
mod responses;

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub(super) use assembler::Assembler;
pub(super) use form::{Form, Heading, Said, cut};

/// A form of request and answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dialect {
    /// OpenAI chat completions.
    OpenaiChat,
    /// OpenAI responses.
    OpenaiResponses,
    /// Anthropic messages.
    AnthropicMessages,
}

impl Dialect {
    pub const ALL: [Self; 3] = [Self::OpenaiChat, Self::OpenaiResponses, Self::AnthropicMessages];

    pub fn name(self) -> &'static str {
        match self {
            Self::OpenaiChat => "openai-chat",
            Self::OpenaiResponses => "openai-responses",
            Self::AnthropicMessages => "anthropic-messages",
        }
    }

    /// Whose API it is, as clients of many providers put it before a model's name.
    pub fn family(self) -> &'static str {
        match self {
            Self::OpenaiChat | Self::OpenaiResponses => "openai",
            Self::AnthropicMessages => "anthropic",
        }
    }

    /// Where it is spoken, below `/v1` of a route and below the API base of a provider.
    pub fn path(self) -> &'static str {
        match self {
            Self::OpenaiChat => "chat/completions",
            Self::OpenaiResponses => "responses",
            Self::AnthropicMessages => "messages",
        }
    }

    /// The dialect of a path below a route's `/v1`.
    pub fn of_path(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dialect| dialect.path() == path)
    }

    /// Everything that a request says, message by message: instructions, prompts, and what tools have said.
    pub fn prompt_texts(self, body: &Map<String, Value>) -> impl Iterator<Item = &str> {
        self.form().prompt_texts(body).into_iter()
    }

    /// How it is read and written.
    pub(super) fn form(self) -> &'static dyn Form {
        match self {
            Self::OpenaiChat => &chat::Chat,
            Self::OpenaiResponses => &responses::Responses,
            Self::AnthropicMessages => &messages::Messages,
        }
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
