//! The wire dialects between agents, gateway and providers.

pub mod chat;

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A form of request and answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dialect {
    /// OpenAI chat completions.
    OpenaiChat,
    /// OpenAI responses. Not served yet.
    OpenaiResponses,
    /// Anthropic messages. Not served yet.
    AnthropicMessages,
}

impl Dialect {
    pub fn name(self) -> &'static str {
        match self {
            Self::OpenaiChat => "openai-chat",
            Self::OpenaiResponses => "openai-responses",
            Self::AnthropicMessages => "anthropic-messages",
        }
    }

    /// Whether the gateway speaks it.
    pub fn is_served(self) -> bool {
        self == Self::OpenaiChat
    }

    /// The dialect of a path below a route's `/v1`.
    pub fn of_path(path: &str) -> Option<Self> {
        match path {
            "chat/completions" => Some(Self::OpenaiChat),
            "responses" => Some(Self::OpenaiResponses),
            "messages" => Some(Self::AnthropicMessages),
            _ => None,
        }
    }

    /// Everything that a request says, message by message.
    pub fn prompt_texts(self, body: &Map<String, Value>) -> impl Iterator<Item = &str> {
        chat::prompt_texts(body)
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
