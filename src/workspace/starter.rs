//! The predefined files that a workspace starts with.

use std::io;
use std::path::{Path, PathBuf};

use include_dir::{Dir, include_dir};

use crate::task::Task;

static WORKSPACES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/workspaces");

/// The starter tree of a task: `workspaces/function` for function tasks (one empty file).
fn tree(_: &Task) -> &'static Dir<'static> {
    WORKSPACES.get_dir("function").unwrap_or(&WORKSPACES)
}

/// The files that the agent is told of, relative to the workspace.
pub fn starter_files(task: &Task) -> Vec<PathBuf> {
    let dir = tree(task);
    dir.files()
        .filter_map(|file| file.path().strip_prefix(dir.path()).ok().map(Path::to_owned))
        .collect()
}

/// Lays the starter tree out in `workspace`, an empty folder that exists.
///
/// # Errors
/// A file cannot be written.
pub fn lay_out(task: &Task, workspace: &Path) -> io::Result<()> {
    let dir = tree(task);
    for file in dir.files() {
        if let Ok(path) = file.path().strip_prefix(dir.path()) {
            std::fs::write(workspace.join(path), file.contents())?;
        }
    }
    Ok(())
}
