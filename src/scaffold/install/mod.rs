//! Pinned agents, each in a private, versioned folder of the cache.

pub(super) mod digest;
mod marker;
mod npm;
mod pip;
mod records;
mod step;
mod tarball;

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::installed::{own, present};
use crate::python::PythonError;
use crate::recipe::{Install, Recipe};
use marker::Marker;
use npm::FromNpm;
use pip::ByPip;

pub use super::installed::Installed;

/// What an installation is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// Another process installs the same agent; waiting for it.
    Waiting,
    /// A new step, such as `creating the environment`.
    Step(&'static str),
    /// What the current step says, such as the package that is being downloaded.
    Detail(String),
}

/// What is there of an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    Ready(Installed),
    Missing { folder: PathBuf },
    Broken { folder: PathBuf, reason: String },
}

/// An agent cannot be installed or used.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    #[error(transparent)]
    NoPython(#[from] PythonError),
    #[error("recipe of {name}: install: {message}")]
    Recipe { name: String, message: String },
    #[error(
        "{folder} holds {name} {found}, not the pinned {wanted}: delete the folder, and it is installed again",
        folder = folder.display()
    )]
    WrongVersion {
        name: String,
        folder: PathBuf,
        found: String,
        wanted: String,
    },
    #[error(
        "{python} cannot create environments: install its `venv` module (on Debian and Ubuntu: apt install python3-venv)"
    )]
    NoVenv { python: String },
    #[error(
        "`npm` is not on PATH: it is needed once, to fetch {package} for {name}; install it (on Debian and Ubuntu: apt install npm) and try again"
    )]
    NoNpm { name: String, package: String },
    #[error("recipe of {name}: install.from: no program for {architecture}, only for {known}")]
    Architecture {
        name: String,
        architecture: &'static str,
        known: String,
    },
    #[error(
        "{what} is not the pinned one: its SHA-256 is {found}, and not {wanted}; nothing of it was used: look whether someone stands between this machine and the registry, and try again"
    )]
    Checksum {
        what: String,
        found: String,
        wanted: String,
    },
    #[error("the package {package} cannot be used: {why}")]
    Package { package: String, why: String },
    #[error("{step} failed: {output}")]
    Step { step: &'static str, output: String },
    #[error("cannot write {path}: {source}", path = path.display())]
    Io { path: PathBuf, source: std::io::Error },
    #[error("the installation is incomplete: {0}")]
    Incomplete(String),
    #[error("recipe of {name}: install: {program}: {why}", program = program.display())]
    Absent {
        name: String,
        program: PathBuf,
        why: String,
    },
}

/// A way in which an agent gets into a folder of its own.
trait Way {
    /// How the names of the folders begin in which the agent may be installed.
    fn prefix(&self) -> String;

    /// The folder of a new installation; `NoPython` and the like where there can be none.
    fn folder(&self) -> Result<String, InstallError>;

    /// A finished installation, by what lies on the disk: starting the agent to ask it would take seconds.
    fn look(&self, folder: &Path, marker: Marker) -> Result<Installed, InstallError>;

    /// Fills a folder that is not there yet; gives what identifies the installation.
    fn fill(&self, folder: &Path, progress: &mut dyn FnMut(Progress)) -> Result<Option<String>, InstallError>;

    /// The files of an installation that are not those that were installed. Reads them all.
    fn changed(&self, installed: &Installed) -> std::io::Result<Vec<PathBuf>>;
}

/// Installs agents below one cache folder.
#[derive(Debug, Clone)]
pub struct Installer {
    agents: PathBuf,
}

impl Installer {
    /// `cache` is created when something is installed.
    pub fn new(cache: &Path) -> Self {
        Self {
            agents: cache.join("agents"),
        }
    }

    /// The user's cache folder: `$MTSEC_CACHE`, else `$XDG_CACHE_HOME/mtsec-agents`, else `~/.cache/mtsec-agents`.
    pub fn default_cache() -> Option<PathBuf> {
        let folder = |name: &str| {
            std::env::var_os(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        folder("MTSEC_CACHE")
            .or_else(|| folder("XDG_CACHE_HOME").map(|cache| cache.join("mtsec-agents")))
            .or_else(|| folder("HOME").map(|home| home.join(".cache/mtsec-agents")))
    }

    /// What is there of the recipe's agent; starts nothing and changes nothing.
    pub fn status(&self, recipe: &Recipe) -> Status {
        let versions = self.agents.join(&recipe.source.name);
        let by_itself = |found: Result<Installed, InstallError>, folder: &Path| match found {
            Ok(installed) => Status::Ready(installed),
            Err(error) => Status::Broken {
                folder: folder.to_owned(),
                reason: error.to_string(),
            },
        };
        match &recipe.source.install {
            Install::Own => by_itself(own(recipe), &versions),
            Install::Present(program) => by_itself(present(recipe, program), &program.program),
            Install::Pip(pip) => self.found(recipe, &ByPip { recipe, pip }),
            Install::Npm(npm) => self.found(recipe, &FromNpm { recipe, npm }),
        }
    }

    /// The recipe's agent, installed first if it is missing or half installed. Blocks, for minutes if it must download;
    /// safe to be called by several processes at once.
    pub fn ensure(&self, recipe: &Recipe, progress: &mut dyn FnMut(Progress)) -> Result<Installed, InstallError> {
        if let Status::Ready(installed) = self.status(recipe) {
            return Ok(installed);
        }
        match &recipe.source.install {
            Install::Own => own(recipe),
            Install::Present(program) => present(recipe, program),
            Install::Pip(pip) => self.install(recipe, &ByPip { recipe, pip }, progress),
            Install::Npm(npm) => self.install(recipe, &FromNpm { recipe, npm }, progress),
        }
    }

    /// As [`Self::status`], and every file of the installation is read and compared with what was installed.
    pub fn verify(&self, recipe: &Recipe) -> Status {
        let status = self.status(recipe);
        let Status::Ready(installed) = &status else {
            return status;
        };
        let changed = match &recipe.source.install {
            // Of these nothing was recorded but what their status tells.
            Install::Own | Install::Present(_) => return status,
            Install::Pip(pip) => ByPip { recipe, pip }.changed(installed),
            Install::Npm(npm) => FromNpm { recipe, npm }.changed(installed),
        };
        let folder = installed.folder.clone();
        let reason = match changed {
            Ok(changed) if changed.is_empty() => return status,
            Ok(changed) => {
                let shown: Vec<String> = changed.iter().take(5).map(|path| path.display().to_string()).collect();
                let more = match changed.len().saturating_sub(shown.len()) {
                    0 => String::new(),
                    more => format!(" and {more} more"),
                };
                format!(
                    "{} {} is not as it was installed: {}{more} changed; delete the folder {}, and it is installed again",
                    installed.name,
                    installed.version,
                    shown.join(", "),
                    folder.display()
                )
            }
            Err(error) => format!("{} cannot be checked: {error}", folder.display()),
        };
        Status::Broken { folder, reason }
    }

    fn found(&self, recipe: &Recipe, way: &dyn Way) -> Status {
        let versions = self.agents.join(&recipe.source.name);
        let prefix = way.prefix();
        let mut folders: Vec<PathBuf> = fs::read_dir(&versions)
            .into_iter()
            .flatten()
            .flatten()
            .filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix))
            .map(|entry| entry.path())
            .filter(|path| path.is_dir())
            .collect();
        folders.sort();
        let mut broken = None;
        for folder in folders {
            match look(way, &folder) {
                Ok(installed) => return Status::Ready(installed),
                Err(error) => {
                    broken = Some(Status::Broken {
                        folder,
                        reason: error.to_string(),
                    })
                }
            }
        }
        broken.unwrap_or(Status::Missing {
            folder: versions.join(&recipe.source.version),
        })
    }

    fn install(
        &self,
        recipe: &Recipe,
        way: &dyn Way,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Installed, InstallError> {
        let parent = self.agents.join(&recipe.source.name);
        let folder = parent.join(way.folder()?);
        fs::create_dir_all(&parent).map_err(io(&parent))?;
        let lock_path = parent.join(format!(".{}.lock", recipe.source.version));
        let lock = File::create(&lock_path).map_err(io(&lock_path))?;
        if lock.try_lock().is_err() {
            progress(Progress::Waiting);
            lock.lock().map_err(io(&lock_path))?;
        }
        // Whoever held the lock may have done the work.
        match look(way, &folder) {
            Ok(installed) => return Ok(installed),
            Err(error @ InstallError::WrongVersion { .. }) => return Err(error),
            Err(_) => {}
        }
        // Environments name their own place in many files and cannot be moved, so it is made where it stays, and the
        // marker, which is written last, tells whether it was finished.
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(io(&folder))?;
        }
        let digest = way.fill(&folder, progress)?;
        let version = recipe.source.version.clone();
        Marker { version, digest }.write(&folder)?;
        look(way, &folder)
    }
}

fn look(way: &dyn Way, folder: &Path) -> Result<Installed, InstallError> {
    way.look(folder, Marker::read(folder)?)
}

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> InstallError + use<> {
    let path = path.to_owned();
    move |source| InstallError::Io { path, source }
}
