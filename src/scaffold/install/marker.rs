//! The mark of a finished installation.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{InstallError, io};

/// Written last: a folder without it is half an installation.
pub(super) const MARKER: &str = ".complete";

/// What was installed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Marker {
    pub version: String,
    /// What identified the installation when it was finished.
    #[serde(default)]
    pub digest: Option<String>,
}

impl Marker {
    pub(super) fn write(&self, folder: &Path) -> Result<(), InstallError> {
        let path = folder.join(MARKER);
        let text = serde_json::to_string(self).map_err(std::io::Error::from);
        text.and_then(|text| fs::write(&path, text)).map_err(io(&path))
    }

    /// The mark of a folder; markers of the first version hold less, and say that it was finished all the same.
    pub(super) fn read(folder: &Path) -> Result<Self, InstallError> {
        match fs::read(folder.join(MARKER)) {
            Ok(text) => Ok(serde_json::from_slice(&text).unwrap_or_default()),
            Err(_) => Err(InstallError::Incomplete(format!(
                "{} has not been finished",
                folder.display()
            ))),
        }
    }
}
