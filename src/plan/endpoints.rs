//! Where models are called, where that is not at their providers.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The endpoints that a user names. What a name stands for, `ModelCatalogue::endpoint` knows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Endpoints {
    /// None: every model is called at its provider.
    #[default]
    Own,
    /// One for all models.
    All(String),
    /// By the names of models or providers; other models are called at their providers.
    Named(BTreeMap<String, String>),
}

/// One endpoint as it is typed: `URL` or `NAME=URL`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Of a model or a provider; `None`: for all models.
    pub name: Option<String>,
    pub url: String,
}

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, url) = match text.split_once('=') {
            // What follows the host is for the reader of addresses to refuse.
            Some((name, url)) if !name.contains("://") => (Some(name.to_owned()), url),
            _ => (None, text),
        };
        match name.as_deref() == Some("") || url.is_empty() {
            true => Err("expected URL, or NAME=URL with the name of a model or a provider".to_owned()),
            false => Ok(Self {
                name,
                url: url.to_owned(),
            }),
        }
    }
}

impl Endpoints {
    /// Those that were typed.
    ///
    /// # Errors
    /// They say two things of one model.
    pub fn of(typed: &[Endpoint]) -> Result<Self, String> {
        let mut named = BTreeMap::new();
        for endpoint in typed {
            match &endpoint.name {
                None if typed.len() == 1 => return Ok(Self::All(endpoint.url.clone())),
                None => {
                    return Err("--api-base URL is for all models: beside others give it a name, NAME=URL".to_owned());
                }
                Some(name) => {
                    if named.insert(name.clone(), endpoint.url.clone()).is_some() {
                        return Err(format!("--api-base names `{name}` twice"));
                    }
                }
            }
        }
        Ok(match named.is_empty() {
            true => Self::Own,
            false => Self::Named(named),
        })
    }

    /// Those of `self`, or of `other` where it names none.
    pub fn or(self, other: &Self) -> Self {
        match self {
            Self::Own => other.clone(),
            _ => self,
        }
    }

    /// The names that are given, in their order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let named = match self {
            Self::Named(named) => Some(named),
            Self::Own | Self::All(_) => None,
        };
        named.into_iter().flat_map(BTreeMap::keys).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(texts: &[&str]) -> Result<Endpoints, String> {
        let typed: Result<Vec<Endpoint>, String> = texts.iter().map(|text| text.parse()).collect();
        Endpoints::of(&typed?)
    }

    #[test]
    fn what_is_typed_is_for_all_or_by_name() {
        assert_eq!(typed(&[]), Ok(Endpoints::Own));
        let odd = "http://h/v1?a=b";
        assert_eq!(typed(&[odd]), Ok(Endpoints::All(odd.to_owned())));
        let named = typed(&["local=http://a/v1", "qwen2.5:7b=http://b/v1"]).unwrap();
        assert_eq!(named.names().collect::<Vec<_>>(), ["local", "qwen2.5:7b"]);
        for bad in [
            &["local="][..],
            &["=http://a"],
            &[""],
            &["http://a", "http://b"],
            &["http://a", "local=http://b"],
            &["local=http://a", "local=http://b"],
        ] {
            assert!(typed(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn run_folders_have_them_as_null_an_address_or_a_mapping() {
        for (json, wanted) in [
            ("null", Endpoints::Own),
            ("\"http://a/v1\"", Endpoints::All("http://a/v1".to_owned())),
            (
                "{\"local\":\"http://a/v1\"}",
                Endpoints::Named(BTreeMap::from([("local".to_owned(), "http://a/v1".to_owned())])),
            ),
        ] {
            assert_eq!(serde_json::from_str::<Endpoints>(json).unwrap(), wanted);
            assert_eq!(serde_json::to_string(&wanted).unwrap(), json);
        }
    }
}
