//! A tree of files to be judged.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use crate::task::SOLUTION_FILE;

/// The largest tree that fits into a run's folder, in bytes.
const MAX_BYTES: usize = 32 << 20;
/// The most files and folders of a tree, of the 20,000 that a run's folder holds. Each file counts with the folders above.
const MAX_ENTRIES: usize = 16_000;

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

    /// The files that a run gets beside its program, by the tree's own order, and how many it does not get.
    ///
    /// Left out are names that no program can import or mention, files larger than `most` bytes, which a run could not
    /// write either, and of the rest the largest until the others fit (in bytes and in number): what an agent leaves lying about must not cost
    /// the solution its verdict.
    fn kept(&self, most: u64) -> (Vec<(&str, &[u8])>, usize) {
        let plain = |path: &Path| path.components().all(|part| matches!(part, Component::Normal(_)));
        let mut kept: Vec<(&str, &[u8])> = self
            .files
            .iter()
            .filter(|(path, content)| plain(path) && content.len() as u64 <= most)
            .filter_map(|(path, content)| Some((path.to_str().filter(|name| !name.is_empty())?, content.as_slice())))
            .collect();
        kept.sort_by_key(|(name, content)| (*name != SOLUTION_FILE, content.len()));
        let (mut room, mut entries) = (MAX_BYTES, MAX_ENTRIES);
        let fitting = kept.iter().take_while(|(name, content)| {
            let parts = name.split('/').count();
            let fits = content.len() <= room && parts <= entries;
            room = room.saturating_sub(content.len());
            entries = entries.saturating_sub(parts);
            fits
        });
        let fitting = fitting.count();
        kept.truncate(fitting);
        kept.sort_unstable();
        (kept, self.files.len() - fitting)
    }

    /// Every file, if there are others than the solution: relative path and content in hex; and how many are left out.
    pub(super) fn others(&self, most: u64) -> (Vec<(&str, String)>, usize) {
        if self.files.len() < 2 {
            return (Vec::new(), 0);
        }
        let (kept, left_out) = self.kept(most);
        let hex = kept.into_iter().map(|(name, content)| (name, hex::encode(content)));
        (hex.collect(), left_out)
    }
}
