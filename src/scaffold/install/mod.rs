//! Pinned agents, each in a private, versioned folder of the cache.

mod aside;
mod check;
pub(super) mod digest;
mod error;
mod hold;
mod inventory;
mod marker;
mod npm;
mod pip;
mod records;
mod step;
mod tarball;

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use super::installed::{own, present};
use crate::recipe::{Install, Recipe};
use aside::Aside;
use check::check;
use inventory::{Inventory, Look};
use marker::Marker;
use npm::FromNpm;
use pip::ByPip;

pub use super::installed::Installed;
pub use error::InstallError;
pub use hold::Hold;

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
    Missing {
        folder: PathBuf,
    },
    /// Another process is installing it now.
    Installing {
        folder: PathBuf,
    },
    Broken {
        folder: PathBuf,
        reason: String,
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

    /// The files of an installation that are not those which its packages tell of. Reads them all.
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
        let by_itself = |found: Result<Installed, InstallError>, folder: &Path| match found {
            Ok(installed) => Status::Ready(installed),
            Err(error) => Status::Broken {
                folder: folder.to_owned(),
                reason: error.to_string(),
            },
        };
        match &recipe.source.install {
            Install::Own => by_itself(own(recipe), &self.versions(recipe)),
            Install::Present(program) => by_itself(present(recipe, program), &program.program),
            Install::Pip(pip) => self.found(recipe, &ByPip { recipe, pip }),
            Install::Npm(npm) => self.found(recipe, &FromNpm { recipe, npm }),
        }
    }

    /// The recipe's agent, installed first if it is missing or half installed. Blocks, for minutes if it must download;
    /// safe to be called by several processes at once.
    ///
    /// # Errors
    /// It cannot be installed, or a file of it is not as it was installed. The files are compared with what was noted of
    /// them then, and those that may have changed are read.
    pub fn ensure(&self, recipe: &Recipe, progress: &mut dyn FnMut(Progress)) -> Result<Installed, InstallError> {
        self.hold(recipe, progress).map(|(installed, _)| installed)
    }

    /// As [`Self::ensure`], and as long as the hold is kept nobody replaces or removes the installation.
    ///
    /// # Errors
    /// As those of [`Self::ensure`].
    pub fn hold(&self, recipe: &Recipe, progress: &mut dyn FnMut(Progress)) -> Result<(Installed, Hold), InstallError> {
        let free = |installed: Installed| (installed, Hold::nothing());
        match &recipe.source.install {
            Install::Own => own(recipe).map(free),
            Install::Present(program) => present(recipe, program).map(free),
            Install::Pip(pip) => self.ready(recipe, &ByPip { recipe, pip }, progress),
            Install::Npm(npm) => self.ready(recipe, &FromNpm { recipe, npm }, progress),
        }
    }

    /// As [`Self::ensure`], and what there was of the agent makes room for it; where the new one cannot be finished, it is
    /// put back.
    ///
    /// # Errors
    /// It is used, or cannot be replaced.
    pub fn replace(&self, recipe: &Recipe, progress: &mut dyn FnMut(Progress)) -> Result<Installed, InstallError> {
        match &recipe.source.install {
            Install::Own => own(recipe),
            Install::Present(program) => present(recipe, program),
            Install::Pip(pip) => self.install(recipe, &ByPip { recipe, pip }, true, progress),
            Install::Npm(npm) => self.install(recipe, &FromNpm { recipe, npm }, true, progress),
        }
    }

    /// As [`Self::status`], and every file of the installation is read and compared with what was installed.
    pub fn verify(&self, recipe: &Recipe, progress: &mut dyn FnMut(Progress)) -> Status {
        self.compared(recipe, Look::Whole, progress)
    }

    /// As [`Self::verify`], and only those files are read that may have changed, as before a run.
    pub fn look_over(&self, recipe: &Recipe) -> Status {
        self.compared(recipe, Look::Quick, &mut |_| {})
    }

    fn compared(&self, recipe: &Recipe, how: Look, progress: &mut dyn FnMut(Progress)) -> Status {
        let status = self.status(recipe);
        let Status::Ready(installed) = &status else {
            return status;
        };
        let _hold = Hold::share(&installed.folder);
        let checked = match &recipe.source.install {
            // Of these nothing was noted but what their status tells.
            Install::Own | Install::Present(_) => return status,
            Install::Pip(pip) => check(recipe, &ByPip { recipe, pip }, installed, how, progress),
            Install::Npm(npm) => check(recipe, &FromNpm { recipe, npm }, installed, how, progress),
        };
        match checked {
            Ok(()) => status,
            Err(error) => Status::Broken {
                folder: installed.folder.clone(),
                reason: error.to_string(),
            },
        }
    }

    fn versions(&self, recipe: &Recipe) -> PathBuf {
        self.agents.join(&recipe.source.name)
    }

    /// Held by the process that installs the agent.
    fn lock(&self, recipe: &Recipe) -> PathBuf {
        self.versions(recipe).join(format!(".{}.lock", recipe.source.version))
    }

    /// The folders in which the agent may be installed, whole or not.
    fn folders(&self, recipe: &Recipe, way: &dyn Way) -> Vec<PathBuf> {
        let prefix = way.prefix();
        let entries = fs::read_dir(self.versions(recipe)).into_iter().flatten().flatten();
        let entries = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix));
        let mut folders: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
        folders.sort();
        folders
    }

    fn ready(
        &self,
        recipe: &Recipe,
        way: &dyn Way,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(Installed, Hold), InstallError> {
        loop {
            self.tidy(recipe, way);
            if let Status::Ready(found) = self.found(recipe, way)
                && let Some(hold) = Hold::share(&found.folder)
                // From here on it stays as it is.
                && let Ok(installed) = look(way, &found.folder)
            {
                check(recipe, way, &installed, Look::Quick, progress)?;
                return Ok((installed, hold));
            }
            self.install(recipe, way, false, progress)?;
        }
    }

    fn found(&self, recipe: &Recipe, way: &dyn Way) -> Status {
        let mut broken = None;
        for folder in self.folders(recipe, way) {
            match look(way, &folder) {
                Ok(installed) => return Status::Ready(installed),
                Err(error @ InstallError::Incomplete(_)) => {
                    let Recipe { source, .. } = recipe;
                    let reason = format!(
                        "{} {}: {error}; {} installs it again",
                        source.name,
                        source.version,
                        remedy(recipe)
                    );
                    broken = Some((folder, reason));
                }
                Err(error) => broken = Some((folder, error.to_string())),
            }
        }
        let is_locked = File::open(self.lock(recipe))
            .is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)));
        let new = self.versions(recipe).join(&recipe.source.version);
        match broken {
            broken if is_locked => Status::Installing {
                folder: broken.map_or(new, |(folder, _)| folder),
            },
            broken if !self.aside(recipe, way).is_empty() => Status::Broken {
                folder: broken.map_or(new, |(folder, _)| folder),
                reason: "its replacement was interrupted: the next use puts the old one back".to_owned(),
            },
            Some((folder, reason)) => Status::Broken { folder, reason },
            None => Status::Missing { folder: new },
        }
    }

    /// Installs the agent, unless another process has just done so; `anew`: in any case.
    fn install(
        &self,
        recipe: &Recipe,
        way: &dyn Way,
        anew: bool,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Installed, InstallError> {
        let parent = self.versions(recipe);
        let folder = parent.join(way.folder()?);
        fs::create_dir_all(&parent).map_err(io(&parent))?;
        let lock_path = self.lock(recipe);
        let lock = File::create(&lock_path).map_err(io(&lock_path))?;
        if lock.try_lock().is_err() {
            progress(Progress::Waiting);
            lock.lock().map_err(io(&lock_path))?;
        }
        self.settle(recipe, way)?;
        let mut old = Vec::new();
        if anew {
            // Those for other interpreters would be found before the new one.
            old = self.folders(recipe, way);
        } else {
            // Whoever held the lock may have done the work.
            match look(way, &folder) {
                Ok(installed) => return Ok(installed),
                Err(error @ InstallError::WrongVersion { .. }) => return Err(error),
                Err(_) => old.extend(folder.exists().then(|| folder.clone())),
            }
        }
        let alone = |folder: &PathBuf| {
            Hold::alone(folder).map_err(|by| InstallError::InUse {
                name: recipe.source.name.clone(),
                version: recipe.source.version.clone(),
                by,
            })
        };
        // Kept until the new one is there, or the old one again.
        let _alone: Vec<Hold> = old.iter().map(alone).collect::<Result<_, _>>()?;
        // Environments name their own place in many files and cannot be moved, so it is made where it stays, and the
        // marker, which is written last, tells whether it was finished.
        for folder in old {
            match anew && Marker::read(&folder).is_ok() {
                true => Aside::make(&parent, &folder)?,
                false => fs::remove_dir_all(&folder).map_err(io(&folder))?,
            }
        }
        let made = make(recipe, way, &folder, progress);
        let settled = self.settle(recipe, way);
        let installed = made?;
        settled.map(|()| installed)
    }

    /// Puts back what was moved aside for an installation that was not finished, and removes it where one was. Called by
    /// who holds the lock.
    fn settle(&self, recipe: &Recipe, way: &dyn Way) -> Result<(), InstallError> {
        let old = self.aside(recipe, way);
        if old.is_empty() {
            return Ok(());
        }
        let folders = self.folders(recipe, way);
        let is_there = folders.iter().any(|folder| look(way, folder).is_ok());
        let mut each = old.into_iter();
        each.try_for_each(|old| if is_there { old.remove() } else { old.put_back() })
    }

    /// The same for what a dead process left, unless another one is at it.
    fn tidy(&self, recipe: &Recipe, way: &dyn Way) {
        if self.aside(recipe, way).is_empty() {
            return;
        }
        if let Ok(lock) = File::create(self.lock(recipe))
            && lock.try_lock().is_ok()
        {
            // Where it matters it is tried again, and told.
            let _ = self.settle(recipe, way);
        }
    }

    fn aside(&self, recipe: &Recipe, way: &dyn Way) -> Vec<Aside> {
        Aside::all(&self.versions(recipe), &way.prefix())
    }
}

/// Makes a new installation in a folder that is not there.
fn make(
    recipe: &Recipe,
    way: &dyn Way,
    folder: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<Installed, InstallError> {
    let digest = way.fill(folder, progress)?;
    let files = Inventory::take(folder);
    files.and_then(|files| files.write(folder)).map_err(io(folder))?;
    let version = recipe.source.version.clone();
    Marker { version, digest }.write(folder)?;
    look(way, folder)
}

fn look(way: &dyn Way, folder: &Path) -> Result<Installed, InstallError> {
    way.look(folder, Marker::read(folder)?)
}

/// The command that installs an agent again.
fn remedy(recipe: &Recipe) -> String {
    match &recipe.own {
        None => format!(
            "`mtsec-agents agents install {}{} --force`",
            recipe.source.name,
            asked(recipe)
        ),
        Some(_) => "`mtsec-agents agents install --force` with the path of its recipe".to_owned(),
    }
}

/// How a version is asked for that the recipe was not made for.
pub fn asked(recipe: &Recipe) -> String {
    match &recipe.made_for {
        Some(_) => format!(" --agent-version {}", recipe.source.version),
        None => String::new(),
    }
}

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> InstallError + use<> {
    let path = path.to_owned();
    move |source| InstallError::Io { path, source }
}
