//! What a turn did to the workspace.

use std::collections::{BTreeSet, HashMap, VecDeque};

use super::manifest::{Kind, Manifest};
use crate::trial::Drift;

/// The difference of two snapshots; `starter` is snapshot 0, against which `untouched` is told.
pub fn drift(starter: &Manifest, before: &Manifest, after: &Manifest) -> Drift {
    let mut created: BTreeSet<&String> = keys(after).filter(|path| !before.entries.contains_key(*path)).collect();
    let mut deleted: BTreeSet<&String> = keys(before).filter(|path| !after.entries.contains_key(*path)).collect();
    let mut renamed = Vec::new();
    // An empty file says nothing of where it came from.
    let content = |manifest: &'_ Manifest, path: &String| match &manifest.entries[path].kind {
        Kind::File { digest, size: 1.. } => Some(digest.clone()),
        _ => None,
    };
    // By content: of many files each is looked at once.
    let mut new: HashMap<String, VecDeque<&String>> = HashMap::new();
    for to in &created {
        if let Some(content) = content(after, to) {
            new.entry(content).or_default().push_back(to);
        }
    }
    for from in deleted.clone() {
        let moved = content(before, from).and_then(|content| new.get_mut(&content)?.pop_front());
        if let Some(to) = moved {
            created.remove(to);
            deleted.remove(from);
            renamed.push((from.clone(), to.clone()));
        }
    }
    let changed = || {
        keys(after).filter(|path| {
            before
                .entries
                .get(*path)
                .is_some_and(|old| *old != after.entries[*path])
        })
    };
    let empties = |path: &&String| {
        matches!(after.entries[*path].kind, Kind::File { size: 0, .. })
            && matches!(before.entries[*path].kind, Kind::File { size: 1.., .. })
    };
    Drift {
        modified: changed().filter(|path| !empties(path)).cloned().collect(),
        emptied: changed().filter(empties).cloned().collect(),
        untouched: keys(starter)
            .filter(|path| after.entries.get(*path) == starter.entries.get(*path))
            .cloned()
            .collect(),
        created: created.into_iter().cloned().collect(),
        deleted: deleted.into_iter().cloned().collect(),
        renamed,
    }
}

fn keys(manifest: &Manifest) -> impl Iterator<Item = &String> {
    manifest
        .entries
        .iter()
        .filter(|(_, entry)| entry.kind != Kind::Folder)
        .map(|(path, _)| path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::Entry;

    fn manifest(files: &[(&str, &str)]) -> Manifest {
        let entry = |text: &str| Entry {
            mode: 0o644,
            kind: Kind::File {
                digest: text.to_owned(),
                size: text.len() as u64,
            },
        };
        let entries = files
            .iter()
            .map(|(path, text)| ((*path).to_owned(), entry(text)))
            .collect();
        Manifest {
            entries,
            incomplete: None,
        }
    }

    #[test]
    fn every_kind_of_change_is_told_apart() {
        let starter = manifest(&[("same.py", ""), ("app.py", "")]);
        let before = manifest(&[
            ("same.py", ""),
            ("app.py", "a"),
            ("old.py", "moved"),
            ("gone.py", "g"),
            ("full.py", "f"),
        ]);
        let after = manifest(&[
            ("same.py", ""),
            ("app.py", "b"),
            ("new.py", "moved"),
            ("full.py", ""),
            ("extra.py", "e"),
        ]);
        let drift = drift(&starter, &before, &after);
        assert_eq!(drift.created, ["extra.py"]);
        assert_eq!(drift.deleted, ["gone.py"]);
        assert_eq!(drift.modified, ["app.py"]);
        assert_eq!(drift.renamed, [("old.py".to_owned(), "new.py".to_owned())]);
        assert_eq!(drift.emptied, ["full.py"]);
        assert_eq!(drift.untouched, ["same.py"]);
    }
}
