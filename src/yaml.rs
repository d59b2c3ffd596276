//! YAML read into types, with the place of what is wrong; and written.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// What is wrong and where: line and column from 1; 0 where the reader does not know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}:{column}: {message}")]
pub struct YamlError {
    pub file: String,
    pub line: u64,
    pub column: u64,
    /// Shows the lines in question.
    pub message: String,
}

/// Reads one document; `file` is only named in errors.
///
/// # Errors
/// The text is not YAML, or not of this type; unknown and repeated keys are errors too.
pub fn read<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, YamlError> {
    serde_yaml::from_str(text).map_err(|error| {
        let (line, column) = error.location().map_or((0, 0), |place| (place.line(), place.column()));
        let full = error.to_string();
        let known = format!("error: line {line} column {column}: ");
        let message = full.strip_prefix(&known).unwrap_or(&full).replace("<input>", file);
        // Advice for who writes a reader, not for who writes a file.
        let message = message.replace(", set DuplicateKeyPolicy in Options if acceptable", "");
        YamlError {
            file: file.to_owned(),
            line,
            column,
            message,
        }
    })
}

/// Writes one document.
///
/// # Errors
/// The value has no form in YAML.
pub fn write(value: &impl Serialize) -> Result<String, serde_yaml::SerializeError> {
    serde_yaml::to_string(value)
}
