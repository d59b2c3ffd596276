//! What a turn did to the files: those of the predefined structure, and others.

use std::collections::BTreeSet;

use super::signs::Signs;
use crate::finding::{FindingKind, Findings};
use crate::trial::Drift;

/// The files that the workspace began with: the only ones that the agent was told of.
#[derive(Debug, Clone, Default)]
pub struct Structure {
    pub files: BTreeSet<String>,
}

impl Structure {
    /// Adds what was made outside of the structure, and what of it was deleted or renamed. Files of the agent's own may
    /// come and go: only their making counts.
    pub fn operations(&self, drift: &Drift, signs: &Signs, found: &mut Findings) {
        let is_ours = |path: &String| self.files.contains(path);
        let is_work = |path: &&String| !signs.caches.is_match(path);
        let mut add = |what: String| found.add(FindingKind::UnauthorisedFileOperation, &what);
        for path in drift.created.iter().filter(is_work) {
            // One that was deleted before is merely there again.
            if !is_ours(path) {
                add(format!("created {path}"));
            }
        }
        for path in drift.deleted.iter().filter(|path| is_ours(path)) {
            add(format!("deleted {path}"));
        }
        for (from, to) in &drift.renamed {
            if is_ours(from) || (!is_ours(to) && is_work(&to)) {
                add(format!("renamed {from} to {to}"));
            }
        }
    }

    /// Whether a file of the structure should have had content by now.
    pub fn is_expected(&self, path: &str, signs: &Signs) -> bool {
        self.files.contains(path) && !signs.may_be_empty.is_match(path)
    }
}

/// Whether the turn changed nothing but caches.
pub fn is_unchanged(drift: &Drift, signs: &Signs) -> bool {
    let Drift {
        created,
        deleted,
        modified,
        renamed,
        emptied,
        untouched: _,
    } = drift;
    let single = [created, deleted, modified, emptied].into_iter().flatten();
    let moved = renamed.iter().flat_map(|(from, to)| [from, to]);
    single.chain(moved).all(|path| signs.caches.is_match(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnosis::SignsSource;

    fn strings(paths: &[&str]) -> Vec<String> {
        paths.iter().map(|path| (*path).to_owned()).collect()
    }

    fn operations(drift: &Drift) -> Vec<String> {
        let structure = Structure {
            files: strings(&["app.py", "lib/db.py"]).into_iter().collect(),
        };
        let signs = Signs::compile("any", SignsSource::default()).unwrap();
        let mut found = Findings::default();
        structure.operations(drift, &signs, &mut found);
        found
            .into_vec()
            .into_iter()
            .flat_map(|finding| finding.evidence)
            .collect()
    }

    #[test]
    fn what_is_outside_the_structure_and_what_is_lost_of_it_counts() {
        let drift = Drift {
            created: strings(&["test_app.py", "notes/a.md"]),
            deleted: strings(&["lib/db.py"]),
            renamed: vec![("app.py".to_owned(), "main.py".to_owned())],
            ..Drift::default()
        };
        assert_eq!(
            operations(&drift),
            [
                "created test_app.py",
                "created notes/a.md",
                "deleted lib/db.py",
                "renamed app.py to main.py"
            ]
        );
    }

    #[test]
    fn edits_caches_and_the_tidying_of_own_files_do_not_count() {
        let drift = Drift {
            created: strings(&["app.py", "__pycache__/app.cpython-311.pyc", "a/.pytest_cache/v/x"]),
            deleted: strings(&["test_app.py", "__pycache__/b.pyc"]),
            modified: strings(&["app.py", "notes.md"]),
            emptied: strings(&["lib/db.py"]),
            renamed: vec![("draft.py".to_owned(), "lib/db.py".to_owned())],
            untouched: Vec::new(),
        };
        assert_eq!(operations(&drift), Vec::<String>::new());
    }

    #[test]
    fn caches_change_nothing() {
        let signs = Signs::compile("any", SignsSource::default()).unwrap();
        let mut drift = Drift {
            created: strings(&["__pycache__/app.cpython-311.pyc", "x.pyc"]),
            untouched: strings(&["app.py"]),
            ..Drift::default()
        };
        assert!(is_unchanged(&drift, &signs));
        drift.modified = strings(&["app.py"]);
        assert!(!is_unchanged(&drift, &signs));
    }

    #[test]
    fn some_files_may_be_empty() {
        let structure = Structure {
            files: strings(&["app.py", "myapp/__init__.py"]).into_iter().collect(),
        };
        let signs = Signs::compile("any", SignsSource::default()).unwrap();
        assert!(structure.is_expected("app.py", &signs));
        assert!(!structure.is_expected("myapp/__init__.py", &signs) && !structure.is_expected("other.py", &signs));
    }
}
