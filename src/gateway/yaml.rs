//! YAML read into types, with the place of what is wrong.

use serde::de::DeserializeOwned;

/// What is wrong and where, both from 1; 0 where the reader does not know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct YamlError {
    pub line: u64,
    pub column: u64,
    /// Shows the lines in question.
    pub message: String,
}

/// Reads one document.
pub fn read<T: DeserializeOwned>(text: &str) -> Result<T, YamlError> {
    serde_yaml::from_str(text).map_err(|error| {
        let place = error.location();
        let (line, column) = place.map_or((0, 0), |place| (place.line(), place.column()));
        YamlError {
            line,
            column,
            message: error.to_string(),
        }
    })
}
