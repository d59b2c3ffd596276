//! Git for agents that need it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{OpenError, Stage};
use crate::process::children;

/// Whether the agent must be told of a repository.
///
/// Without one Aider takes the common folder of its files for the root, so that files which all lie in one sub-folder
/// would be named and created relative to that; and its repo map is silently off.
pub fn is_needed(stage: &Stage) -> bool {
    let mut folders = stage.files.iter().map(|file| file.components().next());
    let common = match stage.files.as_slice() {
        [] => false,
        [only] => only.components().count() > 1,
        files => {
            let first = folders.next().flatten();
            files.iter().all(|file| file.components().count() > 1) && folders.all(|folder| folder == first)
        }
    };
    common || stage.options.repo_map > 0
}

/// Makes the workspace a repository whose data lie in the agent's home: the workspace gains one small file, `.git`.
pub fn create(stage: &Stage, workspace: &Path) -> Result<(), OpenError> {
    let data = stage.home.join("repository.git");
    let failed = |path: PathBuf, message: String| OpenError::Prepare {
        path,
        source: std::io::Error::other(message),
    };
    let git = |arguments: &[&str]| -> Result<(), OpenError> {
        let mut command = Command::new("git");
        command
            .args([
                "-c",
                "user.name=mtsec",
                "-c",
                "user.email=mtsec@localhost",
                "-c",
                "commit.gpgsign=false",
            ])
            .args(arguments)
            .current_dir(workspace)
            .env_remove("GIT_DIR")
            .env_remove("GIT_WORK_TREE")
            .env("HOME", &stage.home)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .stdin(Stdio::null());
        let output =
            children::output(&mut command).map_err(|error| failed("git".into(), format!("{error}; install git")))?;
        match output.status.success() {
            true => Ok(()),
            false => Err(failed(
                workspace.to_owned(),
                String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            )),
        }
    };
    let place = format!("--separate-git-dir={}", data.display());
    git(&["init", "--quiet", "--template=", "--initial-branch=main", &place])?;
    // The agent asks for a name, and would set one itself.
    git(&["config", "user.name", "mtsec"])?;
    git(&["config", "user.email", "mtsec@localhost"])?;
    git(&["add", "--all"])?;
    git(&["commit", "--quiet", "--allow-empty", "--no-verify", "--message=start"])
}
