//! What a user types as a model → who answers, under which name, with which settings, at which price.

use std::collections::BTreeMap;
use std::path::PathBuf;

use reqwest::Url;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::dialect::Dialect;
use super::model::Pricing;
use super::secret::Secret;
use super::upstream::{Settings, Temperature};

/// The built-in table.
const BUILT_IN: &str = include_str!("../../scaffolds/models.yaml");

/// Variables that hold the key of an API base that the user names, in order.
const API_BASE_KEYS: &str = "MTSEC_API_KEY or OPENAI_API_KEY";

/// Limits that an agent is told of a model that the table does not know.
const UNKNOWN_MAX_INPUT: u32 = 128_000;
const UNKNOWN_MAX_OUTPUT: u32 = 16_384;

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
    /// `scripted`, or the provider's name in the table.
    pub provider: String,
    /// The model's name at its provider.
    pub wire_model: String,
    pub dialect: Dialect,
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
    thinking: Thinking,
    extra: Map<String, Value>,
    /// Whether the table knows it.
    listed: bool,
}

impl ResolvedModel {
    pub fn is_scripted(&self) -> bool {
        !matches!(self.backend, Backend::Upstream { .. })
    }

    /// What the gateway sets in every request; `effort` and `thinking_tokens` are the user's wishes.
    pub fn settings(&self, effort: Option<&str>, thinking_tokens: Option<u32>) -> Result<Settings, ModelError> {
        let unsupported = |setting| {
            Err(ModelError::UnsupportedSetting {
                name: self.name.clone(),
                setting,
            })
        };
        // A model that is not in the table may well take an effort: the user knows.
        if self.listed && effort.is_some() && self.effort.is_none() {
            return unsupported("a reasoning effort");
        }
        let mut extra = self.extra.clone();
        match (self.thinking, thinking_tokens.or(self.thinking_tokens)) {
            (Thinking::None, _) if thinking_tokens.is_some() && !self.is_scripted() => {
                return unsupported("a thinking budget over this dialect");
            }
            (Thinking::Google, Some(budget)) => {
                let config = json!({"google": {"thinking_config": {"thinking_budget": budget}}});
                extra.insert("extra_body".to_owned(), config);
            }
            _ => {}
        }
        Ok(Settings {
            temperature: self.temperature.map_or(Temperature::Omit, Temperature::Set),
            reasoning_effort: effort.map(str::to_owned).or_else(|| self.effort.clone()),
            extra,
        })
    }
}

/// A name that leads to no model that can be called.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    #[error("malformed model table, line {line}, column {column}: {message}")]
    Table { line: u64, column: u64, message: String },
    #[error("unknown model `{name}`; near it: {}. For a server of your own add --api-base URL", .nearest.join(", "))]
    Unknown { name: String, nearest: Vec<String> },
    #[error(
        "`{name}` speaks {dialect}, which the gateway does not pass on yet; an OpenAI-compatible server of it can be named with --api-base URL"
    )]
    UnsupportedDialect { name: String, dialect: Dialect },
    #[error("`{name}` needs a key: set {variable}")]
    MissingKey { name: String, variable: String },
    #[error("`{name}` runs on a server of your own: name it with --api-base URL")]
    NeedsApiBase { name: String },
    #[error("`{url}` is not an API base: {reason}")]
    BadApiBase { url: String, reason: String },
    #[error("`{name}` is answered here: --api-base means nothing for it")]
    ScriptedApiBase { name: String },
    #[error("`{name}` does not take {setting}")]
    UnsupportedSetting { name: String, setting: &'static str },
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    providers: BTreeMap<String, Provider>,
    models: Vec<Entry>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Provider {
    dialect: Dialect,
    /// `None`: the user must name it.
    api_base: Option<String>,
    /// The variable with the key; `None`: as for any API base that the user names.
    key: Option<String>,
    #[serde(default)]
    thinking: Thinking,
}

/// How a thinking budget is said in chat completions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Thinking {
    #[default]
    None,
    /// `extra_body.google.thinking_config.thinking_budget`.
    Google,
}

/// One model of the table.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    pub name: String,
    /// The paper's name for it (its table 5).
    #[serde(default)]
    pub paper: Option<String>,
    pub provider: String,
    pub checkpoint: String,
    #[serde(default)]
    pub reasoning: bool,
    #[serde(default)]
    pub effort: Option<String>,
    #[serde(default)]
    pub thinking_tokens: Option<u32>,
    #[serde(default)]
    pub temperature: Option<f64>,
    pub max_input_tokens: u32,
    pub max_output_tokens: u32,
    #[serde(default)]
    pub price: Pricing,
    /// Further members of every request.
    #[serde(default)]
    pub extra: Map<String, Value>,
}

/// The table of models.
#[derive(Debug, Clone)]
pub struct ModelCatalogue {
    table: Table,
}

impl ModelCatalogue {
    /// The table that comes with the program.
    pub fn built_in() -> Result<Self, ModelError> {
        Self::parse(BUILT_IN)
    }

    /// Reads and checks a table.
    pub fn parse(text: &str) -> Result<Self, ModelError> {
        let table: Table = super::yaml::read(text).map_err(|error| ModelError::Table {
            line: error.line,
            column: error.column,
            message: error.message,
        })?;
        let mut names = std::collections::BTreeSet::new();
        for entry in &table.models {
            let fault = match () {
                () if !table.providers.contains_key(&entry.provider) => {
                    format!("unknown provider `{}`", entry.provider)
                }
                () if !names.insert(entry.name.as_str()) => "the name occurs twice".to_owned(),
                () => continue,
            };
            let message = format!("model `{}`: {fault}", entry.name);
            return Err(ModelError::Table {
                line: 0,
                column: 0,
                message,
            });
        }
        Ok(Self { table })
    }

    /// All models, in the order of the table.
    pub fn models(&self) -> &[Entry] {
        &self.table.models
    }

    /// Resolves a name with the keys of the environment.
    ///
    /// A name of the table, or its checkpoint, may be preceded by its provider (`openai/o3`). Otherwise the text before
    /// the first `/` names a provider, and the rest the model there. With an API base every other name is the model's
    /// name at that server, as typed.
    pub fn resolve(&self, name: &str, api_base: Option<&str>) -> Result<ResolvedModel, ModelError> {
        self.resolve_with(name, api_base, &|variable| std::env::var(variable).ok())
    }

    /// [`Self::resolve`] with another source of keys.
    pub fn resolve_with(
        &self,
        name: &str,
        api_base: Option<&str>,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<ResolvedModel, ModelError> {
        let backend = match ModelSpec::parse(name) {
            ModelSpec::Oracle => Backend::Oracle { insecure: false },
            ModelSpec::OracleInsecure => Backend::Oracle { insecure: true },
            ModelSpec::Nop => Backend::Nop,
            ModelSpec::Script(path) => Backend::Script(path),
            ModelSpec::Named(_) => return self.named(name, api_base, variable),
        };
        match api_base {
            Some(_) => Err(ModelError::ScriptedApiBase { name: name.to_owned() }),
            None => Ok(scripted(name, backend)),
        }
    }

    fn named(
        &self,
        name: &str,
        api_base: Option<&str>,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<ResolvedModel, ModelError> {
        let variable = |name: &str| variable(name).filter(|key| !key.trim().is_empty()).map(Secret::new);
        let entry = self.find(name);
        let prefixed = name
            .split_once('/')
            .and_then(|(prefix, rest)| Some((self.table.providers.get_key_value(prefix)?, rest)));
        let (provider_name, wire_model) = match (entry, prefixed, api_base) {
            (Some(entry), ..) => (entry.provider.as_str(), entry.checkpoint.as_str()),
            (None, _, Some(_)) => ("", name),
            (None, Some(((provider, _), rest)), None) if !rest.is_empty() => (provider.as_str(), rest),
            (None, ..) => {
                return Err(ModelError::Unknown {
                    name: name.to_owned(),
                    nearest: self.nearest(name),
                });
            }
        };
        let provider = self.table.providers.get(provider_name);
        let base = api_base.or_else(|| provider.and_then(|provider| provider.api_base.as_deref()));
        let dialect = match api_base {
            Some(_) => Dialect::OpenaiChat,
            None => provider.map_or(Dialect::OpenaiChat, |provider| provider.dialect),
        };
        if !dialect.is_served() {
            return Err(ModelError::UnsupportedDialect {
                name: name.to_owned(),
                dialect,
            });
        }
        let base = parse_base(base.ok_or_else(|| ModelError::NeedsApiBase { name: name.to_owned() })?)?;
        let own_key = provider
            .and_then(|provider| provider.key.as_deref())
            .filter(|_| api_base.is_none());
        let (key, wanted) = match own_key {
            Some(own) => (variable(own), own),
            None => (
                variable("MTSEC_API_KEY").or_else(|| variable("OPENAI_API_KEY")),
                API_BASE_KEYS,
            ),
        };
        if key.is_none() && (own_key.is_some() || !is_local(&base)) {
            return Err(ModelError::MissingKey {
                name: name.to_owned(),
                variable: wanted.to_owned(),
            });
        }
        let provider_name = if api_base.is_some() { "api-base" } else { provider_name };
        Ok(ResolvedModel {
            name: name.to_owned(),
            backend: Backend::Upstream { api_base: base, key },
            provider: provider_name.to_owned(),
            wire_model: wire_model.to_owned(),
            dialect,
            reasoning: entry.is_some_and(|entry| entry.reasoning),
            effort: entry.and_then(|entry| entry.effort.clone()),
            thinking_tokens: entry.and_then(|entry| entry.thinking_tokens),
            temperature: entry.map_or(Some(0.0), |entry| entry.temperature),
            max_input_tokens: entry.map_or(UNKNOWN_MAX_INPUT, |entry| entry.max_input_tokens),
            max_output_tokens: entry.map_or(UNKNOWN_MAX_OUTPUT, |entry| entry.max_output_tokens),
            // A server of one's own has a price of its own.
            pricing: entry
                .filter(|_| api_base.is_none())
                .map_or(Pricing::default(), |entry| entry.price),
            thinking: provider.map_or(Thinking::None, |provider| provider.thinking),
            extra: entry.map(|entry| entry.extra.clone()).unwrap_or_default(),
            listed: entry.is_some(),
        })
    }

    /// The table's model of a name or a checkpoint, with or without its provider in front.
    fn find(&self, name: &str) -> Option<&Entry> {
        let models = &self.table.models;
        let is = |entry: &Entry, name: &str| entry.name == name || entry.checkpoint == name;
        let by_name = models.iter().find(|entry| entry.name == name);
        by_name
            .or_else(|| models.iter().find(|entry| entry.checkpoint == name))
            .or_else(|| {
                let (provider, rest) = name.split_once('/')?;
                models
                    .iter()
                    .find(|entry| entry.provider == provider && is(entry, rest))
            })
    }

    /// The names most like a text, best first.
    fn nearest(&self, text: &str) -> Vec<String> {
        let known = self.table.models.iter().map(|entry| entry.name.as_str());
        let known = known.chain(["oracle", "oracle:insecure", "nop", "script:FILE"]);
        let text = text.to_lowercase();
        let ratio = |name: &str| similar::TextDiff::from_chars(text.as_str(), name).ratio();
        let mut ranked: Vec<(f32, &str)> = known.map(|name| (ratio(name), name)).collect();
        ranked.sort_by(|left, right| right.0.total_cmp(&left.0));
        ranked.into_iter().take(3).map(|(_, name)| name.to_owned()).collect()
    }
}

fn scripted(name: &str, backend: Backend) -> ResolvedModel {
    ResolvedModel {
        name: name.to_owned(),
        backend,
        provider: "scripted".to_owned(),
        wire_model: "scripted".to_owned(),
        dialect: Dialect::OpenaiChat,
        reasoning: false,
        effort: None,
        thinking_tokens: None,
        temperature: Some(0.0),
        max_input_tokens: 1_000_000,
        max_output_tokens: 100_000,
        pricing: Pricing::FREE,
        thinking: Thinking::None,
        extra: Map::new(),
        listed: false,
    }
}

fn parse_base(text: &str) -> Result<Url, ModelError> {
    let bad = |reason: &str| ModelError::BadApiBase {
        url: text.to_owned(),
        reason: reason.to_owned(),
    };
    let url = Url::parse(text).map_err(|error| bad(&error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(bad("it must be an http or https address"));
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        // The text itself is not repeated: what stands there may be a secret.
        let url = url.origin().ascii_serialization();
        let reason = "it must not hold a user, a query or a fragment; keys come from the environment".to_owned();
        return Err(ModelError::BadApiBase { url, reason });
    }
    Ok(url)
}

/// Whether a URL leads to this machine.
pub(super) fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost"
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// Whether a URL leads to a machine nearby, whose servers often take no key.
fn is_local(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let private = host
        .parse::<std::net::Ipv4Addr>()
        .is_ok_and(|address| address.is_private() || address.is_link_local());
    is_loopback(url) || private || host.ends_with(".local") || !host.contains(['.', ':'])
}
