//! What lies on the disk of an installed agent.

use std::fs;
use std::path::{Path, PathBuf};

use super::install::InstallError;
use super::install::digest::sha256;
use crate::process::Shown;
use crate::recipe::{Present, Recipe};

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
    /// What identifies the installation, in hex: of a program its SHA-256, of an environment that of its packages; `None`
    /// for an agent that is part of this program.
    pub digest: Option<String>,
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
        digest: None,
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
        digest: sha256(program).ok().map(hex::encode),
    })
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
                digest: None,
            };
            shown(&installed).into_iter().map(|shown| shown.target).collect()
        };
        let wanted = [home.join("agent"), home.join("needed")];
        assert_eq!(targets(&home.join("agent")), wanted);
        assert_eq!(targets(Path::new("/usr/bin/env")), wanted);
    }
}
