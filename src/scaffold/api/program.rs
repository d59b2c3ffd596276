//! The program that a conversation's answers add up to.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::change;
use super::code::{self, Given};
use super::files;

/// Most files of one answer.
const MOST_FILES: usize = 200;

/// How answers add up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sum {
    /// The last one counts.
    Last,
    /// All are put together, one after the other.
    All,
    /// The first is whole, the others are differences.
    Differences,
}

/// The files so far.
#[derive(Debug)]
pub(super) struct Program {
    sum: Sum,
    /// The file that code without a name belongs to.
    main: PathBuf,
    /// Whether the task has more files, so that answers may name them.
    has_more: bool,
    files: BTreeMap<PathBuf, String>,
    answers: usize,
}

/// What came of an answer.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Taken {
    /// Why something of it was not taken.
    pub failure: Option<String>,
    /// It held no code that could be told from its text.
    pub bare: bool,
}

impl Program {
    /// A program of the files that the model is told of, the main one first.
    pub fn new(sum: Sum, files: &[PathBuf]) -> Self {
        Self {
            sum,
            main: files.first().cloned().unwrap_or_else(|| PathBuf::from("app.py")),
            has_more: files.len() > 1,
            files: BTreeMap::new(),
            answers: 0,
        }
    }

    /// Takes the code from an answer and writes it to the workspace.
    pub fn take(&mut self, answer: &str, workspace: &Path) -> Taken {
        self.answers += 1;
        let (given, bare) = if self.sum == Sum::Differences && self.answers > 1 {
            let before = self.files.get(&self.main).map_or("", String::as_str);
            let differences = code::differences(answer);
            match change::apply(before, &differences) {
                Ok(after) => (vec![(self.main.display().to_string(), after)], false),
                Err(error) => {
                    return Taken {
                        failure: Some(error.to_string()),
                        bare: false,
                    };
                }
            }
        } else {
            let main = self.main.display().to_string();
            let given = match self.has_more {
                true => code::taken_files(answer),
                false => code::taken(answer),
            };
            match given {
                Given::Files(files) => (files, false),
                Given::Code(code) => (vec![(main, code)], false),
                Given::Bare(text) => (vec![(main, text)], true),
            }
        };
        let mut refused = Vec::new();
        if given.len() > MOST_FILES {
            refused.push(format!("the answer names more than {MOST_FILES} files"));
        }
        for (path, code) in given.into_iter().take(MOST_FILES) {
            if let Err(error) = self.put(&path, code, workspace) {
                refused.push(error.to_string());
            }
        }
        Taken {
            failure: refused.into_iter().next(),
            bare,
        }
    }

    fn put(&mut self, path: &str, code: String, workspace: &Path) -> Result<(), files::FileError> {
        let path = files::plain(path)?;
        let content = match (self.sum, self.files.get(&path)) {
            // As the kit does it.
            (Sum::All, Some(before)) => format!("{before}\n{}", ended(code)),
            _ => ended(code),
        };
        files::write(workspace, &path, &content)?;
        self.files.insert(path, content);
        Ok(())
    }
}

/// The code with a line end at its end.
fn ended(mut code: String) -> String {
    if !code.is_empty() && !code.ends_with('\n') {
        code.push('\n');
    }
    code
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_blocks_with_differences_are_taken() {
        let folder = tempfile::tempdir().unwrap();
        let mut program = Program::new(Sum::Differences, &["app.py".into()]);
        let whole = program.take("```python\na = 1\nb = 1\n```", folder.path());
        assert_eq!(whole, Taken::default());
        let answer = "First:\n```diff\n@@ -1 +1 @@\n-a = 1\n+a = 2\n```\nRun it:\n```sh\npython app.py\n```\nThen:\n```\n@@ -2 +2 @@\n-b = 1\n+b = 2\n```\n";
        assert_eq!(program.take(answer, folder.path()), Taken::default());
        let written = std::fs::read_to_string(folder.path().join("app.py")).unwrap();
        assert_eq!(written, "a = 2\nb = 2\n");
    }

    #[test]
    fn files_that_a_model_names_stay_in_the_workspace() {
        let place = tempfile::tempdir().unwrap();
        let workspace = place.path().join("workspace");
        std::fs::create_dir(&workspace).unwrap();
        let outside = place.path().join("outside");
        let pair = |path: &str| format!("<FILEPATH>{path}</FILEPATH>\n<CODE>\nx = 1\n</CODE>\n");
        let paths = [outside.to_str().unwrap(), "../up.py", "lib/part.py", "app.py"];
        let mut program = Program::new(Sum::Last, &["app.py".into(), "lib/db.py".into()]);
        let taken = program.take(&paths.map(pair).concat(), &workspace);
        assert!(taken.failure.unwrap().contains("no plain path below the workspace"));
        let written = |path: &str| std::fs::read_to_string(workspace.join(path)).unwrap();
        assert_eq!(
            (written("lib/part.py"), written("app.py")),
            ("x = 1\n".into(), "x = 1\n".into())
        );
        assert!(!outside.exists() && !place.path().join("up.py").exists());
        assert_eq!(program.take("```\ny = 2\n```", &workspace), Taken::default());
        assert_eq!(written("app.py"), "y = 2\n");
    }
}
