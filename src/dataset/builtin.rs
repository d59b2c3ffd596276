//! The tasks that the program carries: the folder `tasks/`, compiled in.

use include_dir::{Dir, include_dir};

use super::DatasetError;
use super::folder::{self, Source};
use crate::task::Task;

static TASKS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/tasks");

struct Embedded(&'static Dir<'static>);

impl Source for Embedded {
    fn name(&self, file: &str) -> std::path::PathBuf {
        std::path::Path::new("tasks").join(self.0.path()).join(file)
    }

    fn read(&self, file: &str) -> Result<Option<String>, DatasetError> {
        let path = self.0.path().join(file);
        Ok(self
            .0
            .get_file(path)
            .and_then(|file| file.contents_utf8())
            .map(str::to_owned))
    }
}

/// All built-in tasks, sorted by folder name.
pub fn tasks() -> Result<Vec<Task>, DatasetError> {
    let mut folders: Vec<_> = TASKS.dirs().collect();
    folders.sort_by_key(|folder| folder.path());
    folders.into_iter().map(|dir| folder::task(&Embedded(dir))).collect()
}
