//! What a user types as a model → who answers, under which name, with which settings, at which price.

mod base;
mod resolved;
mod served;

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::gateway::dialect::Dialect;
use crate::gateway::model::Pricing;
use crate::gateway::secret::Secret;
use crate::plan::Endpoints;

pub(super) use base::is_loopback;
use base::{is_local, parse_base};
pub use resolved::{Backend, ModelError, ModelSpec, ResolvedModel};
use resolved::{OutputLimit, Thinking, ThinkingRange, scripted};

/// The built-in table.
const BUILT_IN: &str = include_str!("../../../scaffolds/models.yaml");

/// Variables that hold the key of the one API base of all models, in order; of one that has a name, the first.
const API_BASE_KEYS: &str = "MTSEC_API_KEY or OPENAI_API_KEY";
const OWN_KEY: &str = "MTSEC_API_KEY";

/// Limits that an agent is told of a model that the table does not know.
const UNKNOWN_MAX_INPUT: u32 = 128_000;
const UNKNOWN_MAX_OUTPUT: u32 = 16_384;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    providers: BTreeMap<String, Provider>,
    models: Vec<Entry>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Provider {
    /// What it speaks, best first.
    dialects: Vec<Dialect>,
    /// `None`: the user must name it.
    api_base: Option<String>,
    /// The variable with the key; `None`: as for any API base that the user names.
    key: Option<String>,
    #[serde(default)]
    thinking: Thinking,
    #[serde(default)]
    output_limit: OutputLimit,
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
    thinking_range: ThinkingRange,
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
        let table: Table = crate::yaml::read("scaffolds/models.yaml", text).map_err(|error| ModelError::Table {
            line: error.line,
            column: error.column,
            message: error.message,
        })?;
        if let Some((name, _)) = table
            .providers
            .iter()
            .find(|(_, provider)| provider.dialects.is_empty())
        {
            let message = format!("provider `{name}`: it speaks no dialect");
            return Err(ModelError::Table {
                line: 0,
                column: 0,
                message,
            });
        }
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

    /// What a provider speaks, best first.
    pub fn dialects(&self, provider: &str) -> &[Dialect] {
        let provider = self.table.providers.get(provider);
        provider.map_or(&[], |provider| &provider.dialects)
    }

    /// All models, in the order of the table.
    pub fn models(&self) -> &[Entry] {
        &self.table.models
    }

    /// Every provider, and the variable that holds its key; `None` where the key is that of any API base.
    pub fn providers(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        let providers = self.table.providers.iter();
        providers.map(|(name, provider)| (name.as_str(), provider.key.as_deref()))
    }

    /// Resolves a name with the keys of the environment; `api_base` serves every model that is not scripted.
    ///
    /// A name of the table, or its checkpoint, may be preceded by its provider (`openai/o3`). Otherwise the text before
    /// the first `/` names a provider, and the rest the model there. With an API base every other name is the model's
    /// name at that server, as typed.
    pub fn resolve(&self, name: &str, api_base: Option<&str>) -> Result<ResolvedModel, ModelError> {
        self.resolve_with(name, api_base, &crate::keys::get)
    }

    /// [`Self::resolve`] with another source of keys.
    pub fn resolve_with(
        &self,
        name: &str,
        api_base: Option<&str>,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<ResolvedModel, ModelError> {
        let endpoints = api_base.map_or(Endpoints::Own, |base| Endpoints::All(base.to_owned()));
        self.resolve_at(name, &endpoints, variable)
    }

    /// [`Self::resolve_with`] where only some models may have an endpoint of their own.
    ///
    /// # Errors
    /// The name is unknown, or its model cannot be called.
    pub fn resolve_at(
        &self,
        name: &str,
        endpoints: &Endpoints,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<ResolvedModel, ModelError> {
        let backend = match ModelSpec::parse(name) {
            ModelSpec::Oracle => Backend::Oracle { insecure: false },
            ModelSpec::OracleInsecure => Backend::Oracle { insecure: true },
            ModelSpec::Nop => Backend::Nop,
            ModelSpec::Script(path) => Backend::Script(path),
            ModelSpec::Named(_) => return self.named(name, endpoints, variable),
        };
        Ok(scripted(name, backend))
    }

    fn named(
        &self,
        name: &str,
        endpoints: &Endpoints,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<ResolvedModel, ModelError> {
        let served = self.served(endpoints, name);
        let api_base = served.map(|served| served.url);
        let variable = |name: &str| variable(name).and_then(|key| Some(Secret::of_key(&key)?.out_of(name)));
        let entry = self.find(name);
        let prefixed = name
            .split_once('/')
            .and_then(|(prefix, rest)| Some((self.table.providers.get_key_value(prefix)?, rest)));
        let whole = served.is_some_and(|served| !served.by_provider);
        let (provider_name, wire_model) = match (entry, prefixed) {
            (Some(entry), _) => (entry.provider.as_str(), entry.checkpoint.as_str()),
            (None, _) if whole => ("", name),
            (None, Some(((provider, _), rest))) if !rest.is_empty() => (provider.as_str(), rest),
            (None, ..) => {
                return Err(ModelError::Unknown {
                    name: name.to_owned(),
                    nearest: self.nearest(name),
                });
            }
        };
        let provider = self.table.providers.get(provider_name);
        let base = api_base.or_else(|| provider.and_then(|provider| provider.api_base.as_deref()));
        let dialects = match (api_base, provider) {
            (None, Some(provider)) => provider.dialects.clone(),
            // What a server of one's own speaks is for its owner to know.
            _ => Dialect::ALL.to_vec(),
        };
        let base = parse_base(base.ok_or_else(|| ModelError::NeedsApiBase { name: name.to_owned() })?)?;
        let own_key = provider
            .and_then(|provider| provider.key.as_deref())
            .filter(|_| api_base.is_none());
        let (key, wanted) = match own_key {
            Some(own) => (variable(own), own),
            // Beside models of OpenAI its key must not reach another server.
            None if matches!(endpoints, Endpoints::Named(_)) => (variable(OWN_KEY), OWN_KEY),
            None => (variable(OWN_KEY).or_else(|| variable("OPENAI_API_KEY")), API_BASE_KEYS),
        };
        if key.is_none() && (own_key.is_some() || !is_local(&base)) {
            return Err(ModelError::MissingKey {
                name: name.to_owned(),
                variable: wanted.to_owned(),
            });
        }
        if key.as_ref().is_some_and(|key| !key.can_be_sent()) {
            return Err(ModelError::BadKey {
                name: name.to_owned(),
                variable: wanted.to_owned(),
            });
        }
        let provider_name = if api_base.is_some() {
            served::API_BASE
        } else {
            provider_name
        };
        Ok(ResolvedModel {
            name: name.to_owned(),
            backend: Backend::Upstream { api_base: base, key },
            provider: provider_name.to_owned(),
            wire_model: wire_model.to_owned(),
            dialects,
            home: provider.map_or_else(Vec::new, |provider| provider.dialects.clone()),
            reasoning: entry.is_some_and(|entry| entry.reasoning),
            effort: entry.and_then(|entry| entry.effort.clone()),
            thinking_tokens: entry.and_then(|entry| entry.thinking_tokens),
            thinking_range: entry.map(|entry| entry.thinking_range).unwrap_or_default(),
            thinks_as: entry.and_then(|entry| self.thinks_as(entry)),
            temperature: entry.map_or(Some(0.0), |entry| entry.temperature),
            max_input_tokens: entry.map_or(UNKNOWN_MAX_INPUT, |entry| entry.max_input_tokens),
            max_output_tokens: entry.map_or(UNKNOWN_MAX_OUTPUT, |entry| entry.max_output_tokens),
            // A server of one's own has a price of its own.
            pricing: entry
                .filter(|_| api_base.is_none())
                .map_or(Pricing::default(), |entry| entry.price),
            thinking: provider.map_or(Thinking::None, |provider| provider.thinking),
            output_limit: provider.map_or(OutputLimit::Unknown, |provider| provider.output_limit),
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

    /// The row that runs the same checkpoint with a budget for thinking, of one that has none.
    fn thinks_as(&self, entry: &Entry) -> Option<String> {
        let same = |other: &&Entry| (&other.provider, &other.checkpoint) == (&entry.provider, &entry.checkpoint);
        let mut others = self.table.models.iter().filter(same);
        let thinking = others.find(|other| other.thinking_tokens.is_some())?;
        entry.thinking_tokens.is_none().then(|| thinking.name.clone())
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
