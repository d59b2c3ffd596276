//! Which of the endpoints that a user names serves a model.

use super::{Backend, ModelCatalogue, ModelSpec, ResolvedModel};
use crate::plan::Endpoints;

/// The endpoint of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Served<'a> {
    pub url: &'a str,
    /// Whether it was named for the model's provider: a name that the table does not know begins with that provider.
    pub by_provider: bool,
}

/// What stands for the provider of a model that has an endpoint of its own.
pub(super) const API_BASE: &str = "api-base";

impl ResolvedModel {
    /// The address that a user has named for it.
    pub fn endpoint(&self) -> Option<&str> {
        match &self.backend {
            Backend::Upstream { api_base, .. } if self.provider == API_BASE => Some(api_base.as_str()),
            _ => None,
        }
    }
}

impl ModelCatalogue {
    /// The address at which a model is called instead of at its provider. By name as it is typed, by its name or checkpoint in
    /// the table, or by its provider, in this order. Scripted models are called nowhere.
    pub fn endpoint<'a>(&self, endpoints: &'a Endpoints, model: &str) -> Option<&'a str> {
        self.served(endpoints, model).map(|served| served.url)
    }

    pub(super) fn served<'a>(&self, endpoints: &'a Endpoints, model: &str) -> Option<Served<'a>> {
        if ModelSpec::parse(model).is_scripted() {
            return None;
        }
        let found = |url: &'a String, by_provider| Served { url, by_provider };
        let named = match endpoints {
            Endpoints::Own => return None,
            Endpoints::All(url) => return Some(found(url, false)),
            Endpoints::Named(named) => named,
        };
        let entry = self.find(model);
        let names = entry.map_or([None; 2], |entry| [&entry.name, &entry.checkpoint].map(Some));
        let names = std::iter::once(model).chain(names.into_iter().flatten().map(String::as_str));
        let mut by_name = names.filter_map(|name| named.get(name));
        let provider = match entry {
            Some(entry) => Some(entry.provider.as_str()),
            None => model.split_once('/').map(|(provider, _)| provider),
        };
        let provider = provider.filter(|name| self.table.providers.contains_key(*name));
        let by_provider = || Some(found(named.get(provider?)?, true));
        by_name.next().map(|url| found(url, false)).or_else(by_provider)
    }

    /// The first name of an endpoint that is nobody's: no provider's, none of the table's models' and none of `models`.
    pub fn nobodys<'a>(&self, endpoints: &'a Endpoints, models: &[&str]) -> Option<&'a str> {
        let is_listed = |name: &str| {
            let mut entries = self.table.models.iter();
            entries.any(|entry| entry.name == name || entry.checkpoint == name)
        };
        let is_known =
            |name: &str| self.table.providers.contains_key(name) || models.contains(&name) || is_listed(name);
        endpoints.names().find(|name| !is_known(name))
    }

    /// What is wrong with a name that is [nobody's](Self::nobodys).
    pub fn told_nobodys(&self, name: &str) -> String {
        let providers: Vec<&str> = self.providers().map(|(provider, _)| provider).collect();
        format!(
            "`{name}` is neither a model of this run or of the table nor a provider; providers are {}",
            providers.join(", ")
        )
    }
}
