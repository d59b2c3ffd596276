//! A tree of files to be judged.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use crate::task::SOLUTION_FILE;

/// The largest tree that fits into a run's folder, in bytes.
const MAX_BYTES: usize = 32 << 20;

/// Regular files by relative path; the entry is [`SOLUTION_FILE`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    pub files: BTreeMap<PathBuf, Vec<u8>>,
}

impl Tree {
    /// A tree of the solution file alone.
    pub fn of(solution: impl Into<Vec<u8>>) -> Self {
        Self {
            files: BTreeMap::from([(PathBuf::from(SOLUTION_FILE), solution.into())]),
        }
    }

    /// The solution's text, or why there is none.
    pub(super) fn solution(&self) -> Result<&str, String> {
        let bytes = self
            .files
            .get(Path::new(SOLUTION_FILE))
            .ok_or_else(|| format!("there is no {SOLUTION_FILE}"))?;
        std::str::from_utf8(bytes).map_err(|error| format!("{SOLUTION_FILE} is not UTF-8: {error}"))
    }

    /// Every file, if there are others than the solution: relative path and content in hex. Left out are those larger
    /// than `most` bytes, which a run could not write either.
    pub(super) fn others(&self, most: u64) -> Result<Vec<(&str, String)>, String> {
        if self.files.len() < 2 {
            return Ok(Vec::new());
        }
        let mut others = Vec::new();
        let mut bytes = 0;
        for (path, content) in &self.files {
            let plain = path.components().all(|part| matches!(part, Component::Normal(_)));
            // A name that is not text cannot be imported or mentioned by the program: it is left out.
            let Some(name) = path.to_str().filter(|name| plain && !name.is_empty()) else {
                continue;
            };
            if content.len() as u64 > most {
                continue;
            }
            bytes += content.len();
            if bytes > MAX_BYTES {
                return Err(format!("the tree is larger than {} MiB", MAX_BYTES >> 20));
            }
            others.push((name, hex::encode(content)));
        }
        Ok(others)
    }
}
