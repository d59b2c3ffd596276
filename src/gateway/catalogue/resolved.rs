//! A model that can be called, and why one cannot.

use std::path::PathBuf;

use reqwest::Url;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::gateway::dialect::Dialect;
use crate::gateway::model::Pricing;
use crate::gateway::secret::Secret;
use crate::gateway::upstream::{LEAST_THINKING, Settings, Temperature};

/// A model as the user types it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelSpec {
    Oracle,
    OracleInsecure,
    Nop,
    Script(PathBuf),
    /// A name for the catalogue.
    Named(String),
}

impl ModelSpec {
    pub fn parse(text: &str) -> Self {
        match (text, text.strip_prefix("script:")) {
            ("oracle", _) => Self::Oracle,
            ("oracle:insecure", _) => Self::OracleInsecure,
            ("nop", _) => Self::Nop,
            (_, Some(path)) => Self::Script(path.into()),
            _ => Self::Named(text.to_owned()),
        }
    }

    /// Whether its answers are made up here: numbers that come from it say nothing about any model.
    pub fn is_scripted(&self) -> bool {
        !matches!(self, Self::Named(_))
    }
}

/// Who answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Backend {
    Oracle { insecure: bool },
    Nop,
    Script(PathBuf),
    Upstream { api_base: Url, key: Option<Secret> },
}

/// A model that can be called.
#[derive(Debug, Clone, PartialEq)]
pub struct ResolvedModel {
    /// As typed.
    pub name: String,
    pub backend: Backend,
    /// `scripted`, `api-base`, or the provider's name in the table.
    pub provider: String,
    /// The model's name at its provider.
    pub wire_model: String,
    /// What its provider speaks, best first.
    pub(super) dialects: Vec<Dialect>,
    /// What the provider that the table names for it speaks, also where another server answers; nothing: there is none.
    pub(super) home: Vec<Dialect>,
    /// Whether it is run as a reasoning model.
    pub reasoning: bool,
    /// The effort asked for by default; `None`: the model takes none.
    pub effort: Option<String>,
    /// The thinking budget asked for by default; `None`: the model takes none.
    pub thinking_tokens: Option<u32>,
    /// `None`: the model takes none.
    pub temperature: Option<f64>,
    pub max_input_tokens: u32,
    pub max_output_tokens: u32,
    pub pricing: Pricing,
    pub(super) thinking: Thinking,
    pub(super) thinking_range: ThinkingRange,
    /// The row that runs the same checkpoint with a budget for thinking, where this one has none.
    pub(super) thinks_as: Option<String>,
    pub(super) output_limit: OutputLimit,
    pub(super) extra: Map<String, Value>,
    /// Whether the table knows it.
    pub(super) listed: bool,
}

impl ResolvedModel {
    pub fn is_scripted(&self) -> bool {
        !matches!(self.backend, Backend::Upstream { .. })
    }

    /// What it can be called in, best first.
    pub fn dialects(&self) -> &[Dialect] {
        &self.dialects
    }

    /// Whether it can be called in a dialect.
    pub fn serves(&self, dialect: Dialect) -> bool {
        self.dialects.contains(&dialect)
    }

    /// The first dialect of an agent's own that the model is called in; rather one in which its settings can be said, and of
    /// these one that its provider in the table speaks: a server that stands for that provider speaks the same.
    pub fn common(&self, speaks: &[Dialect], settings: &Settings) -> Option<Dialect> {
        let served = speaks.iter().copied().filter(|dialect| self.serves(*dialect));
        served.min_by_key(|dialect| (settings.unsaid(*dialect).is_some(), !self.home.contains(dialect)))
    }

    /// The model where its server speaks these dialects and no other; nothing is changed where none is named. The server of a
    /// user is theirs to know; of a provider in the table it is known what it speaks.
    ///
    /// # Errors
    /// The provider speaks none of them.
    pub fn said_to_speak(mut self, said: &[Dialect]) -> Result<Self, ModelError> {
        if said.is_empty() {
            return Ok(self);
        }
        let known = std::mem::take(&mut self.dialects);
        self.dialects = known.iter().copied().filter(|dialect| said.contains(dialect)).collect();
        match self.dialects.is_empty() {
            true => Err(ModelError::NotSpoken {
                names: said.iter().map(|dialect| dialect.name()).collect::<Vec<_>>().join(","),
                served: known
                    .iter()
                    .map(|dialect| dialect.name())
                    .collect::<Vec<_>>()
                    .join(" and "),
                name: self.name,
            }),
            false => Ok(self),
        }
    }

    /// The most tokens that it writes, where that is known and no guess.
    pub fn known_max_output(&self) -> Option<u32> {
        (self.listed || self.is_scripted()).then_some(self.max_output_tokens)
    }

    /// What the gateway sets in every request; `effort` and `thinking_tokens` are the user's wishes, the latter as
    /// [`Self::check_thinking`] lets pass.
    pub fn settings(&self, effort: Option<&str>, thinking_tokens: Option<u32>) -> Result<Settings, ModelError> {
        let unsupported = |setting| {
            Err(ModelError::UnsupportedSetting {
                name: self.name.clone(),
                setting,
            })
        };
        // A model that is not in the table may well take an effort: the user knows. Messages have no word for one.
        let says_effort = self.serves(Dialect::OpenaiChat) || self.serves(Dialect::OpenaiResponses);
        if effort.is_some() && (self.listed && self.effort.is_none() || !says_effort) {
            return unsupported("a reasoning effort");
        }
        let budget = thinking_tokens.or(self.thinking_tokens);
        let said_to = |whom| budget.filter(|_| self.thinking == whom);
        let thinking_tokens = said_to(Thinking::Anthropic);
        let temperature = match self.temperature {
            // Run without thinking it takes a temperature after all.
            None if thinking_tokens == Some(0) => Some(0.0),
            temperature => temperature,
        };
        Ok(Settings {
            temperature: temperature.map_or(Temperature::Omit, Temperature::Set),
            reasoning_effort: effort.map(str::to_owned).or_else(|| self.effort.clone()),
            thinking_tokens,
            gemini_thinking_tokens: said_to(Thinking::Google),
            max_output: self.max_output_tokens,
            output_limit: self.output_limit.name(),
            unheeded_limit: self.output_limit.unheeded(),
            extra: self.extra.clone(),
        })
    }

    /// Whether the model can be given a budget for thinking, and this one.
    ///
    /// # Errors
    /// It cannot.
    pub fn check_thinking(&self, wanted: Option<u32>) -> Result<(), ModelError> {
        let Some(wanted) = wanted.filter(|_| !self.is_scripted()) else {
            return Ok(());
        };
        let is_off = wanted == 0;
        if self.thinking == Thinking::None || !is_off && self.listed && self.thinking_tokens.is_none() {
            let name = self.name.clone();
            return Err(match self.thinks_as.clone() {
                Some(instead) => ModelError::RunWithoutThinking { name, instead },
                None => ModelError::UnsupportedSetting {
                    name,
                    setting: "a thinking budget",
                },
            });
        }
        let ThinkingRange { least, most, always } = self.thinking_range;
        let least = least.unwrap_or(match self.thinking {
            Thinking::Anthropic => u32::try_from(LEAST_THINKING).unwrap_or(u32::MAX),
            _ => 1,
        });
        // The budget is part of what the model writes, and something must be left for the answer.
        let written = self.known_max_output().unwrap_or(u32::MAX).saturating_sub(1);
        let most = most.unwrap_or(u32::MAX).min(written);
        match is_off && !always || (least..=most).contains(&wanted) {
            true => Ok(()),
            false => Err(ModelError::ThinkingBudget {
                name: self.name.clone(),
                wanted,
                least,
                most,
                none: if always {
                    ", and always thinks"
                } else {
                    ", or 0 for none"
                },
            }),
        }
    }
}

/// A name that leads to no model that can be called.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    #[error("malformed model table, line {line}, column {column}: {message}")]
    Table { line: u64, column: u64, message: String },
    #[error("unknown model `{name}`; near it: {}. For a server of your own add --api-base URL, or NAME=URL with the name of the model", .nearest.join(", "))]
    Unknown { name: String, nearest: Vec<String> },
    #[error("`{name}` needs a key: set {variable}")]
    MissingKey { name: String, variable: String },
    #[error(
        "`{name}` runs on a server of your own: name it with --api-base URL, or beside other models with --api-base NAME=URL, by the name of the model or of its provider"
    )]
    NeedsApiBase { name: String },
    #[error("`{url}` is not an API base: {reason}")]
    BadApiBase { url: String, reason: String },
    #[error("--dialect {names}: `{name}` is served in {served}; leave the option out, or name one of these")]
    NotSpoken {
        name: String,
        names: String,
        served: String,
    },
    #[error("`{name}` does not take {setting}")]
    UnsupportedSetting { name: String, setting: &'static str },
    #[error("`{name}` does not take a thinking budget: with thinking the same model is `{instead}`")]
    RunWithoutThinking { name: String, instead: String },
    #[error("`{name}` takes a thinking budget from {least} to {most} tokens{none}: {wanted} is no such budget")]
    ThinkingBudget {
        name: String,
        wanted: u32,
        least: u32,
        most: u32,
        /// What is said of 0.
        none: &'static str,
    },
    #[error(
        "the key for `{name}` cannot be sent: {variable} must hold printable ASCII characters only, without line breaks between them"
    )]
    BadKey { name: String, variable: String },
}

/// How a thinking budget is said to a provider.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Thinking {
    #[default]
    None,
    /// `extra_body.google.thinking_config.thinking_budget`, in chat completions.
    Google,
    /// `thinking.budget_tokens`, in messages, and in chat completions of servers that pass it on.
    Anthropic,
}

/// What budgets for thinking a model takes, where that is not told by its provider and by what it writes; tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ThinkingRange {
    #[serde(default)]
    least: Option<u32>,
    #[serde(default)]
    most: Option<u32>,
    /// Whether it thinks with every request, so that 0 is refused.
    #[serde(default)]
    always: bool,
}

/// The member that limits an answer in chat completions. Reasoning models of OpenAI refuse `max_tokens`. Every other provider
/// takes it, and DeepSeek and older servers pass over `max_completion_tokens` without a word, so that no budget could be kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum OutputLimit {
    #[default]
    MaxTokens,
    MaxCompletionTokens,
    /// Nobody knows what a server of one's own takes, so what an agent says stays.
    #[serde(skip)]
    Unknown,
}

impl OutputLimit {
    fn name(self) -> &'static str {
        match self {
            Self::MaxTokens | Self::Unknown => "max_tokens",
            Self::MaxCompletionTokens => "max_completion_tokens",
        }
    }

    fn unheeded(self) -> Option<&'static str> {
        (self == Self::MaxTokens).then_some("max_completion_tokens")
    }
}

/// A model that is answered here.
pub(super) fn scripted(name: &str, backend: Backend) -> ResolvedModel {
    ResolvedModel {
        name: name.to_owned(),
        backend,
        provider: "scripted".to_owned(),
        wire_model: "scripted".to_owned(),
        dialects: Dialect::ALL.to_vec(),
        home: Vec::new(),
        reasoning: false,
        effort: None,
        thinking_tokens: None,
        temperature: Some(0.0),
        max_input_tokens: 1_000_000,
        max_output_tokens: 100_000,
        pricing: Pricing::FREE,
        thinking: Thinking::None,
        thinking_range: ThinkingRange::default(),
        thinks_as: None,
        output_limit: OutputLimit::Unknown,
        extra: Map::new(),
        listed: false,
    }
}
