//! A tree of files to be judged.

use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path, PathBuf};

use crate::task::SOLUTION_FILE;

/// The largest tree that fits into a run's folder, in bytes.
const MAX_BYTES: u64 = 32 << 20;
/// The most files and folders of a tree, of the 20,000 that a run's folder holds. Each file counts with the folders above.
const MAX_ENTRIES: usize = 16_000;

/// Regular files by relative path; the entry is [`SOLUTION_FILE`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    pub files: BTreeMap<PathBuf, Vec<u8>>,
    /// How many others there are, which were not even read: no run could get them.
    pub left_out: usize,
}

impl Tree {
    /// A tree of the solution file alone.
    pub fn of(solution: impl Into<Vec<u8>>) -> Self {
        Self {
            files: BTreeMap::from([(PathBuf::from(SOLUTION_FILE), solution.into())]),
            left_out: 0,
        }
    }

    /// Reads the files that a run may get, of all that there are: path, digest and size.
    ///
    /// # Errors
    /// One of them cannot be read.
    pub fn read<'a>(
        all: impl Iterator<Item = (&'a str, &'a str, u64)>,
        read: impl Fn(&str) -> io::Result<Vec<u8>>,
    ) -> io::Result<Self> {
        let (mut files, mut others): (Vec<_>, Vec<_>) = all.partition(|(path, ..)| *path == SOLUTION_FILE);
        let there = others.len();
        others.retain(|(path, ..)| !path.is_empty() && is_plain(Path::new(path)));
        others.sort_by_key(|(path, _, size)| (*size, Path::new(*path)));
        others.truncate(fitting(others.iter().map(|(path, _, size)| (*path, *size))));
        let left_out = there - others.len();
        files.extend(others);
        let files = files.into_iter();
        let files = files.map(|(path, digest, _)| Ok((PathBuf::from(path), read(digest)?)));
        Ok(Self {
            files: files.collect::<io::Result<_>>()?,
            left_out,
        })
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
        let mut kept: Vec<(&str, &[u8])> = self
            .files
            .iter()
            .filter(|(path, content)| is_plain(path) && content.len() as u64 <= most)
            .filter_map(|(path, content)| Some((path.to_str().filter(|name| !name.is_empty())?, content.as_slice())))
            .collect();
        kept.sort_by_key(|(name, content)| (*name != SOLUTION_FILE, content.len()));
        let fitting = fitting(kept.iter().map(|(name, content)| (*name, content.len() as u64)));
        kept.truncate(fitting);
        kept.sort_unstable();
        (kept, self.files.len() - fitting)
    }

    /// Every file, if there are others than the solution: relative path and content in hex; and how many are left out.
    pub(super) fn others(&self, most: u64) -> (Vec<(&str, String)>, usize) {
        if self.files.len() + self.left_out < 2 {
            return (Vec::new(), 0);
        }
        let (kept, left_out) = self.kept(most);
        let hex = kept.into_iter().map(|(name, content)| (name, hex::encode(content)));
        (hex.collect(), left_out + self.left_out)
    }
}

/// Whether a program can import or mention it, and it leads nowhere else.
fn is_plain(path: &Path) -> bool {
    path.components().all(|part| matches!(part, Component::Normal(_)))
}

/// How many of these files, by name and size, fit from the first on.
fn fitting<'a>(files: impl Iterator<Item = (&'a str, u64)>) -> usize {
    let (mut room, mut entries) = (MAX_BYTES, MAX_ENTRIES);
    let fitting = files.take_while(|(name, size)| {
        let parts = name.split('/').count();
        let fits = *size <= room && parts <= entries;
        room = room.saturating_sub(*size);
        entries = entries.saturating_sub(parts);
        fits
    });
    fitting.count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_run_gets_is_not_read_and_counts_all_the_same() {
        let small: Vec<String> = (0..20).map(|number| format!("data/{number}.txt")).collect();
        let mut all = vec![(SOLUTION_FILE, 900), ("huge.bin", 1 << 29), ("../up.py", 1)];
        all.extend(small.iter().map(|name| (name.as_str(), 2 << 20)));
        let content = |size: u64| vec![b'x'; size as usize];
        let read = |digest: &str| match digest.parse::<u64>() {
            Ok(size) if size <= 2 << 20 => Ok(content(size)),
            _ => Err(io::Error::other("read in vain")),
        };
        let sizes: Vec<String> = all.iter().map(|(_, size)| size.to_string()).collect();
        let listed = all.iter().zip(&sizes);
        let tree = Tree::read(
            listed.map(|((path, size), digest)| (*path, digest.as_str(), *size)),
            read,
        )
        .unwrap();
        let bytes: usize = tree.files.values().map(Vec::len).sum();
        assert!(bytes as u64 <= MAX_BYTES + 900, "{bytes}");

        // The huge one aside, all of them in memory come to the same.
        let whole = all.iter().filter(|(path, _)| *path != "huge.bin");
        let whole = Tree {
            files: whole
                .map(|(path, size)| (PathBuf::from(path), content(*size)))
                .collect(),
            left_out: 1,
        };
        for most in [1 << 10, 4 << 20, 1 << 30] {
            assert_eq!(tree.others(most), whole.others(most));
        }
        assert_eq!(
            tree.others(4 << 20).1,
            7,
            "up.py, huge.bin, and five that do not fit beside the solution"
        );
    }
}
