//! `api_base` as it is written: one endpoint, or a mapping of names to endpoints.

use std::fmt;

use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_yaml::Spanned;

use super::error::Wrong;
use super::mapping::{entries, place};
use crate::gateway::catalogue::ModelCatalogue;
use crate::plan::Endpoints;

/// [`Endpoints`], as they are written.
#[derive(Debug, Default)]
pub enum Bases {
    #[default]
    Own,
    All(String),
    Named(Vec<(Spanned<String>, String)>),
}

impl Bases {
    pub fn endpoints(&self) -> Endpoints {
        match self {
            Self::Own => Endpoints::Own,
            Self::All(url) => Endpoints::All(url.clone()),
            Self::Named(named) => {
                let entry = |(name, url): &(Spanned<String>, String)| (name.value.clone(), url.clone());
                Endpoints::Named(named.iter().map(entry).collect())
            }
        }
    }

    /// Refuses a name that is nobody's; `models` are those of the file.
    ///
    /// # Errors
    /// The first such name, at its place.
    pub fn check(&self, models: &[&str]) -> Result<(), Wrong> {
        let Self::Named(named) = self else {
            return Ok(());
        };
        let wrong = |error: &dyn fmt::Display| Wrong::new((1, 1), error.to_string());
        let catalogue = ModelCatalogue::built_in().map_err(|error| wrong(&error))?;
        let endpoints = self.endpoints();
        let Some(name) = catalogue.nobodys(&endpoints, models) else {
            return Ok(());
        };
        let written = named.iter().find(|(written, _)| written.value == name);
        let place = written.map_or((1, 1), |(written, _)| place(written));
        Err(Wrong::new(place, catalogue.told_nobodys(name)))
    }
}

impl<'de> Deserialize<'de> for Bases {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Bases;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an address, or a mapping of models' or providers' names to addresses")
            }

            fn visit_unit<E: Error>(self) -> Result<Bases, E> {
                Ok(Bases::Own)
            }

            fn visit_str<E: Error>(self, url: &str) -> Result<Bases, E> {
                Ok(Bases::All(url.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Bases, A::Error> {
                entries(serde::de::value::MapAccessDeserializer::new(map)).map(Bases::Named)
            }
        }
        source.deserialize_any(Either)
    }
}
