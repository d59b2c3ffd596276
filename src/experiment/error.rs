//! What is wrong with an experiment file, and where.

use std::path::PathBuf;

use super::mapping::Place;
use crate::yaml::YamlError;

/// An experiment file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ExperimentError {
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Yaml(#[from] YamlError),
    /// It is YAML of the right form, and what it says makes no sense; the message names the remedy.
    #[error("{file}:{line}:{column}: {message}")]
    Wrong {
        file: String,
        line: u64,
        column: u64,
        message: String,
    },
}

/// Something that is wrong at a place of the file.
#[derive(Debug)]
pub struct Wrong {
    pub place: Place,
    pub message: String,
}

impl Wrong {
    pub fn new(place: Place, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { place, message }
    }

    /// As an error of `file`.
    pub fn in_file(self, file: &str) -> ExperimentError {
        let (line, column) = self.place;
        ExperimentError::Wrong {
            file: file.to_owned(),
            line,
            column,
            message: self.message,
        }
    }
}
