//! Published cells: numbers that others have printed, kept so that a table can set ours beside them.

use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::store::{StoreError, write_atomic};

/// The one file of a folder of published cells.
const FILE: &str = "published.json";

/// What was taken from one publication.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Published {
    /// The folder, as it was named.
    #[serde(skip)]
    pub name: String,
    /// The files that it was read from.
    pub sources: Vec<String>,
    pub lines: Vec<PublishedLine>,
}

/// One line of a published table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublishedLine {
    /// As it is printed, such as `Aider + GPT-5 [thinking]`.
    pub name: String,
    pub cells: Vec<PublishedCell>,
}

/// What is printed of one setting.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublishedCell {
    /// An interaction's own name, or any other text.
    pub setting: String,
    /// Where it is printed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n: Option<usize>,
    #[serde(default)]
    pub correct_secure: Number,
    #[serde(default)]
    pub correct_insecure: Number,
}

/// A printed percentage.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Number {
    pub percent: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standard_error: Option<f64>,
    /// As it is printed: of a test of the publication's.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub marker: String,
}

impl Published {
    /// Reads a folder of published cells; `None` where it is none.
    ///
    /// # Errors
    /// Its file cannot be read, or is damaged.
    pub fn read(folder: &Path) -> Result<Option<Self>, StoreError> {
        let path = folder.join(FILE);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(source) => return Err(StoreError::Read { path, source }),
        };
        let mut published: Self = serde_json::from_slice(&text).map_err(|error| StoreError::Damaged {
            path,
            message: error.to_string(),
        })?;
        published.name = folder.display().to_string();
        Ok(Some(published))
    }

    /// Writes a new folder.
    ///
    /// # Errors
    /// It exists, or cannot be written.
    pub fn write(&self, folder: &Path) -> Result<(), StoreError> {
        let failed = |source| StoreError::Write {
            path: folder.to_owned(),
            source,
        };
        if let Some(jobs) = folder.parent() {
            fs::create_dir_all(jobs).map_err(failed)?;
        }
        fs::create_dir(folder).map_err(failed)?;
        let text = serde_json::to_vec_pretty(self).map_err(|error| failed(error.into()))?;
        write_atomic(&folder.join(FILE), &text).map_err(failed)
    }

    pub fn cells(&self) -> impl Iterator<Item = &PublishedCell> {
        self.lines.iter().flat_map(|line| &line.cells)
    }
}

impl PublishedCell {
    /// Whether it belongs to a column of this title.
    pub fn is_of(&self, title: &str) -> bool {
        setting(&self.setting).eq_ignore_ascii_case(&setting(title))
    }
}

/// A setting by its interaction's own name, where it is one.
pub fn setting(text: &str) -> String {
    let known = match text.trim().to_lowercase().as_str() {
        "st" | "single turn" | "single-turn" => "single",
        "ex" | "mt-expansion" => "expansion",
        "ed" | "mt-editing" => "editing",
        "re" | "mt-refactor" => "refactor",
        "mt-random" => "random",
        _ => text.trim(),
    };
    known.to_owned()
}
