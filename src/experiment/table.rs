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

impl Table {
    /// What lines are told apart by: as asked for, or everything in which the rows differ and by which no column selects.
    pub fn line_keys(&self, differs: impl Fn(Key) -> bool) -> Vec<Key> {
        if !self.lines.is_empty() {
            return self.lines.clone();
        }
        let selects = |key: Key| match self.columns.is_empty() {
            true => key == Key::Interaction,
            false => {
                let mut alternatives = self.columns.iter().flat_map(|column| &column.alternatives);
                alternatives.any(|wanted| wanted.contains_key(&key))
            }
        };
        let found: Vec<Key> = Key::ALL
            .into_iter()
            .filter(|key| !selects(*key) && differs(*key))
            .collect();
        match found.is_empty() {
            // One line only: it should not be without a name.
            true => vec![Key::Scaffold, Key::Model],
            false => found,
        }
    }
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
