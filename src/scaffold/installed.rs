//! What lies on the disk of an installed agent.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use super::install::InstallError;
use crate::recipe::Recipe;

/// Written last: a folder without it is half an installation.
pub(super) const MARKER: &str = ".complete";

/// An agent on this machine, ready to be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    pub name: String,
    pub version: String,
    pub folder: PathBuf,
    pub program: PathBuf,
    /// The interpreter as the program itself names it.
    pub interpreter: PathBuf,
}

/// Checks an installation by what lies on the disk: starting the agent to ask it would take seconds.
pub(super) fn verify(recipe: &Recipe, folder: &Path) -> Result<Installed, InstallError> {
    let source = &recipe.source;
    if !folder.join(MARKER).is_file() {
        return Err(InstallError::Incomplete(format!(
            "{} has not been finished",
            folder.display()
        )));
    }
    let found = distribution_version(folder, &source.install.distribution).ok_or_else(|| {
        InstallError::Incomplete(format!("{} has no {}", folder.display(), source.install.distribution))
    })?;
    if found != source.version {
        let (name, wanted) = (source.name.clone(), source.version.clone());
        return Err(InstallError::WrongVersion {
            name,
            folder: folder.to_owned(),
            found,
            wanted,
        });
    }
    let program = folder.join(&source.install.program);
    let interpreter = shebang(&program)
        .filter(|interpreter| interpreter.exists())
        .ok_or_else(|| InstallError::Incomplete(format!("{} cannot be started", program.display())))?;
    Ok(Installed {
        name: source.name.clone(),
        version: found,
        folder: folder.to_owned(),
        program,
        interpreter,
    })
}

/// The version of a distribution in an environment, from its metadata.
fn distribution_version(folder: &Path, distribution: &str) -> Option<String> {
    let wanted = distribution.replace('-', "_").to_lowercase();
    for lib in fs::read_dir(folder.join("lib")).ok()?.flatten() {
        for entry in fs::read_dir(lib.path().join("site-packages"))
            .into_iter()
            .flatten()
            .flatten()
        {
            let name = entry.file_name().to_string_lossy().into_owned();
            let Some((name, _)) = name.strip_suffix(".dist-info").and_then(|stem| stem.rsplit_once('-')) else {
                continue;
            };
            if name.replace('-', "_").to_lowercase() == wanted {
                let metadata = fs::read_to_string(entry.path().join("METADATA")).ok()?;
                let version = metadata.lines().find_map(|line| line.strip_prefix("Version: "))?;
                return Some(version.trim().to_owned());
            }
        }
    }
    None
}

/// The interpreter of a script.
fn shebang(program: &Path) -> Option<PathBuf> {
    let mut line = String::new();
    BufReader::new(File::open(program).ok()?)
        .take(4096)
        .read_line(&mut line)
        .ok()?;
    Some(PathBuf::from(line.strip_prefix("#!")?.trim()))
}
