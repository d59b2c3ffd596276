//! `snapshot.json`: what a workspace held at one moment.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Every path of a workspace, relative to it, sorted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    pub entries: BTreeMap<String, Entry>,
    /// Set when the snapshot is not the whole workspace, with the reason: too many entries, or no workspace at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incomplete: Option<String>,
}

/// One file, link or folder. Paths that are not UTF-8 have their odd bytes written as `\xNN`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Permission bits, as in `chmod`.
    pub mode: u32,
    #[serde(flatten)]
    pub kind: Kind,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Kind {
    File {
        /// SHA-256 of the content, in hex: its name in the blob store.
        digest: String,
        size: u64,
    },
    Folder,
    /// Kept as a link: its target is recorded and never read.
    Symlink {
        target: String,
    },
    /// A socket, FIFO or device: noted, never opened.
    Special {
        what: String,
    },
    /// A file that could not be kept, with the reason.
    Unkept {
        size: u64,
        reason: String,
    },
}

impl Manifest {
    /// How many files could not be kept.
    pub fn unkept(&self) -> usize {
        self.entries
            .values()
            .filter(|entry| matches!(entry.kind, Kind::Unkept { .. }))
            .count()
    }

    /// The regular files whose content is kept: path, digest and size.
    pub fn files(&self) -> impl Iterator<Item = (&str, &str, u64)> {
        self.entries.iter().filter_map(|(path, entry)| match &entry.kind {
            Kind::File { digest, size } => Some((path.as_str(), digest.as_str(), *size)),
            _ => None,
        })
    }
}
