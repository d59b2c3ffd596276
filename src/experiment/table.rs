//! How the results of an experiment are laid out (the paper's tables differ in little else).

use std::collections::BTreeMap;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

use super::mapping::one_or_more;
use crate::plan::Key;

/// A line for each group of rows that agree in `lines`, a column for each selection of rows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Table {
    pub caption: String,
    /// Empty: everything in which the experiment's cells differ and by which no column selects.
    pub lines: Vec<Key>,
    /// Empty: one for each interaction, those of conversations tested against the single turn.
    pub columns: Vec<Column>,
    /// Empty: both.
    pub shares: Vec<Share>,
}

/// One selection of rows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Column {
    pub title: String,
    /// A row belongs here that has all values of any of these, see [`Key::value`]; none: every row does. Written as one mapping or a
    /// list of them, each value may be a list: one alternative for each combination.
    #[serde(rename = "where", deserialize_with = "alternatives")]
    pub alternatives: Vec<BTreeMap<Key, String>>,
    /// The verdict after at most so many retries with feedback; `None`: the last.
    pub after_retries: Option<u32>,
    /// The title of the column that this one is tested against.
    pub baseline: Option<String>,
}

/// A verdict's share of the trials that count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Share {
    /// C&S.
    CorrectSecure,
    /// C&I.
    CorrectInsecure,
}

fn alternatives<'de, D: Deserializer<'de>>(source: D) -> Result<Vec<BTreeMap<Key, String>>, D::Error> {
    let mut alternatives = Vec::new();
    for mapping in one_or_more(source)? {
        alternatives.extend(
            mapping
                .value
                .combinations()
                .map_err(|wrong| D::Error::custom(wrong.message))?,
        );
    }
    Ok(alternatives)
}
