//! Agents that pip installs, each into an environment of its own.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::marker::Marker;
use super::records;
use super::step::run;
use super::{InstallError, Installed, Progress, Way, io};
use crate::python::{self, Interpreter, Wanted};
use crate::recipe::{Pip, Recipe};

/// One agent, by pip.
pub(super) struct ByPip<'a> {
    pub recipe: &'a Recipe,
    pub pip: &'a Pip,
}

impl ByPip<'_> {
    fn python(&self) -> Result<Interpreter, InstallError> {
        let range = self.pip.python.parse().map_err(|message| self.wrong(message))?;
        Ok(python::find_for(Wanted::for_agents(range))?)
    }

    fn wrong(&self, message: String) -> InstallError {
        InstallError::Recipe {
            name: self.recipe.source.name.clone(),
            message,
        }
    }
}

impl Way for ByPip<'_> {
    fn prefix(&self) -> String {
        format!("{}-py", self.recipe.source.version)
    }

    fn folder(&self) -> Result<String, InstallError> {
        let (major, minor, _) = self.python()?.version;
        Ok(format!("{}{major}.{minor}", self.prefix()))
    }

    fn look(&self, folder: &Path, marker: Marker) -> Result<Installed, InstallError> {
        let (source, distribution) = (&self.recipe.source, &self.pip.distribution);
        let incomplete = |why: String| InstallError::Incomplete(why);
        let found = distribution_version(folder, distribution)
            .ok_or_else(|| incomplete(format!("{} has no {distribution}", folder.display())))?;
        if found != source.version {
            return Err(InstallError::WrongVersion {
                name: source.name.clone(),
                folder: folder.to_owned(),
                found,
                wanted: source.version.clone(),
            });
        }
        let program = folder.join(&self.pip.program);
        let interpreter = shebang(&program)
            .filter(|interpreter| interpreter.exists())
            .ok_or_else(|| incomplete(format!("{} cannot be started", program.display())))?;
        Ok(Installed {
            name: source.name.clone(),
            version: found,
            folder: folder.to_owned(),
            program,
            interpreter,
            visible: vec![folder.to_owned()],
            // Markers of the first version did not hold it.
            digest: marker.digest.or_else(|| records::digest(folder).ok()),
        })
    }

    fn fill(&self, folder: &Path, progress: &mut dyn FnMut(Progress)) -> Result<Option<String>, InstallError> {
        let python = self.python()?;
        let requirements = self.pip.requirements.iter().map(|text| self.recipe.versioned(text));
        let requirements: Vec<String> = requirements.collect::<Result<_, _>>().map_err(|why| self.wrong(why))?;
        progress(Progress::Step("creating the environment"));
        let mut venv = Command::new(&python.executable);
        venv.args(["-m", "venv"]).arg(folder);
        if let Err(error) = run("creating the environment", &mut venv, progress) {
            return Err(match error {
                InstallError::Step { output, .. }
                    if output.contains("ensurepip") || output.contains("No module named venv") =>
                {
                    InstallError::NoVenv {
                        python: python.executable.display().to_string(),
                    }
                }
                other => other,
            });
        }
        let inner = folder.join("bin/python3");
        progress(Progress::Step("downloading and installing packages"));
        let mut download = Command::new(&inner);
        download
            .args(["-m", "pip", "install", "--no-input", "--disable-pip-version-check"])
            .args(["--no-compile", "--progress-bar=off"])
            .args(requirements);
        run("downloading and installing packages", &mut download, progress)?;

        progress(Progress::Step("compiling"));
        let mut compile = Command::new(&inner);
        // Some packages hold files for other versions of Python on purpose, which do not compile.
        compile
            .args(["-m", "compileall", "-q", "-j", "0"])
            .arg(folder.join("lib"));
        let _ = run("compiling", &mut compile, &mut |_| {});
        if !self.pip.prewarm.is_empty() {
            progress(Progress::Step("first start"));
            let home = tempfile::tempdir().map_err(io(folder))?;
            let mut first = Command::new(&inner);
            first
                .args(&self.pip.prewarm)
                .env("HOME", home.path())
                .env("LITELLM_LOCAL_MODEL_COST_MAP", "True");
            run("first start", &mut first, progress)?;
        }
        Ok(Some(records::digest(folder).map_err(io(folder))?))
    }

    fn changed(&self, installed: &Installed) -> std::io::Result<Vec<PathBuf>> {
        let mut changed = records::changed(&installed.folder)?;
        let digest = records::digest(&installed.folder)?;
        // The records themselves are no longer those that were installed.
        if changed.is_empty() && installed.digest.as_ref() != Some(&digest) {
            changed.push(installed.folder.join("lib"));
        }
        Ok(changed)
    }
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
