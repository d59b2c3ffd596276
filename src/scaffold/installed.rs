//! What lies on the disk of an installed agent.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use super::install::InstallError;
use crate::process::Shown;
use crate::recipe::{Pip, Present, Recipe};

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
    /// What a contained agent must see besides the interpreter.
    pub visible: Vec<PathBuf>,
}

/// Checks an installation by what lies on the disk: starting the agent to ask it would take seconds.
pub(super) fn verify(recipe: &Recipe, pip: &Pip, folder: &Path) -> Result<Installed, InstallError> {
    let source = &recipe.source;
    if !folder.join(MARKER).is_file() {
        return Err(InstallError::Incomplete(format!(
            "{} has not been finished",
            folder.display()
        )));
    }
    let found = distribution_version(folder, &pip.distribution)
        .ok_or_else(|| InstallError::Incomplete(format!("{} has no {}", folder.display(), pip.distribution)))?;
    if found != source.version {
        let (name, wanted) = (source.name.clone(), source.version.clone());
        return Err(InstallError::WrongVersion {
            name,
            folder: folder.to_owned(),
            found,
            wanted,
        });
    }
    let program = folder.join(&pip.program);
    let interpreter = shebang(&program)
        .filter(|interpreter| interpreter.exists())
        .ok_or_else(|| InstallError::Incomplete(format!("{} cannot be started", program.display())))?;
    Ok(Installed {
        name: source.name.clone(),
        version: found,
        folder: folder.to_owned(),
        program,
        interpreter,
        visible: vec![folder.to_owned()],
    })
}

/// Where programs are looked for that are named and not placed; what agents find as well.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// An agent that is part of this program.
pub(super) fn own(recipe: &Recipe) -> Result<Installed, InstallError> {
    let program = std::env::current_exe().map_err(|source| InstallError::Io {
        path: "this program".into(),
        source,
    })?;
    Ok(Installed {
        name: recipe.source.name.clone(),
        version: recipe.source.version.clone(),
        folder: program.parent().unwrap_or(&program).to_owned(),
        interpreter: program.clone(),
        visible: vec![program.clone()],
        program,
    })
}

/// An agent that is there already, checked.
pub(super) fn present(recipe: &Recipe, present: &Present) -> Result<Installed, InstallError> {
    use std::os::unix::fs::PermissionsExt;
    let name = &recipe.source.name;
    let absent = |what: &Path, why: &str| InstallError::Absent {
        name: name.clone(),
        program: what.to_owned(),
        why: why.to_owned(),
    };
    let program = &present.program;
    let executable = |path: &Path| fs::metadata(path).is_ok_and(|file| file.permissions().mode() & 0o111 != 0);
    if let Some(missing) = std::iter::once(program)
        .chain(&present.needs)
        .find(|path| !path.exists())
    {
        return Err(absent(missing, "there is no such file"));
    }
    if !program.is_file() {
        return Err(absent(program, "it is no file"));
    }
    let interpreter = match &present.interpreter {
        None if executable(program) => program.clone(),
        None => {
            return Err(absent(
                program,
                "it is not executable, and the recipe names no interpreter",
            ));
        }
        Some(interpreter) => {
            let mut places = std::env::split_paths(PATH).map(|folder| folder.join(interpreter));
            places
                .find(|path| path.is_file() && executable(path))
                .ok_or_else(|| absent(Path::new(interpreter), &format!("no such interpreter is in {PATH}")))?
        }
    };
    Ok(Installed {
        name: name.clone(),
        version: recipe.source.version.clone(),
        folder: program.parent().unwrap_or(program).to_owned(),
        program: program.clone(),
        interpreter,
        // Not its folder, which may be a home.
        visible: std::iter::once(program).chain(&present.needs).cloned().collect(),
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

/// What a contained agent must see of the host besides the system's own programs: its installation, and the interpreter
/// behind it where that is not the system's. Never a whole prefix, which may be a home.
pub fn shown(installed: &Installed) -> Vec<Shown> {
    let mut targets = installed.visible.clone();
    // An environment names the folder of its interpreter as its maker found it, and links to it.
    let named = fs::read_to_string(installed.folder.join("pyvenv.cfg"))
        .ok()
        .and_then(|text| {
            let home = text.lines().find_map(|line| line.strip_prefix("home = "))?;
            Some(PathBuf::from(home.trim()))
        });
    // A program that runs by itself needs nothing of what lies beside it.
    let interpreter = (installed.interpreter != installed.program).then_some(&installed.interpreter);
    let real = interpreter.and_then(|interpreter| interpreter.canonicalize().ok());
    let real = real.as_deref().and_then(Path::parent).map(Path::to_owned);
    for folder in named.into_iter().chain(real) {
        targets.extend(folder.parent().map(|prefix| prefix.join("lib")));
        targets.push(folder);
    }
    targets.sort();
    targets.dedup();
    let known = |target: &PathBuf| target.is_absolute() && target.exists() && !target.starts_with("/usr");
    let mut shown: Vec<Shown> = Vec::new();
    for target in targets.into_iter().filter(known) {
        // What lies in a folder that is shown is seen with it.
        if let Ok(source) = target.canonicalize()
            && !shown.iter().any(|folder| target.starts_with(&folder.target))
        {
            shown.push(Shown { source, target });
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_program_that_is_there_already_nothing_else_is_shown() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path().canonicalize().unwrap();
        for name in ["agent", "private", "needed"] {
            fs::write(home.join(name), "").unwrap();
        }
        let targets = |interpreter: &Path| -> Vec<PathBuf> {
            let installed = Installed {
                name: "mine".into(),
                version: "1".into(),
                folder: home.clone(),
                program: home.join("agent"),
                interpreter: interpreter.to_owned(),
                visible: vec![home.join("agent"), home.join("needed")],
            };
            shown(&installed).into_iter().map(|shown| shown.target).collect()
        };
        let wanted = [home.join("agent"), home.join("needed")];
        assert_eq!(targets(&home.join("agent")), wanted);
        assert_eq!(targets(Path::new("/usr/bin/env")), wanted);
    }
}
