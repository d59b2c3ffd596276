//! Pinned agents, each in a private, versioned folder of the cache.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Seek};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::installed::{MARKER, own, present, verify};
use crate::process::children;
use crate::python::{self, PythonError, Wanted};
use crate::recipe::{Install, Recipe};

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
    #[error("recipe of {name}: {message}")]
    Range { name: String, message: String },
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
        let pip = match &recipe.source.install {
            Install::Pip(pip) => pip,
            Install::Own => {
                return match own(recipe) {
                    Ok(installed) => Status::Ready(installed),
                    Err(error) => Status::Broken {
                        folder: versions,
                        reason: error.to_string(),
                    },
                };
            }
            Install::Present(program) => {
                return match present(recipe, program) {
                    Ok(installed) => Status::Ready(installed),
                    Err(error) => Status::Broken {
                        folder: program.program.clone(),
                        reason: error.to_string(),
                    },
                };
            }
        };
        let prefix = format!("{}-py", recipe.source.version);
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
            match verify(recipe, pip, &folder) {
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

    /// The recipe's agent, installed first if it is missing or half installed. Blocks, for minutes if it must download;
    /// safe to be called by several processes at once.
    pub fn ensure(&self, recipe: &Recipe, progress: &mut dyn FnMut(Progress)) -> Result<Installed, InstallError> {
        if let Status::Ready(installed) = self.status(recipe) {
            return Ok(installed);
        }
        let pip = match &recipe.source.install {
            Install::Pip(pip) => pip,
            Install::Own => return own(recipe),
            Install::Present(program) => return present(recipe, program),
        };
        let range = pip.python.parse().map_err(|message| InstallError::Range {
            name: recipe.source.name.clone(),
            message,
        })?;
        let python = python::find_for(Wanted::for_agents(range))?;
        let parent = self.agents.join(&recipe.source.name);
        let folder = parent.join(format!(
            "{}-py{}.{}",
            recipe.source.version, python.version.0, python.version.1
        ));
        fs::create_dir_all(&parent).map_err(io(&parent))?;

        let lock_path = parent.join(format!(".{}.lock", recipe.source.version));
        let lock = File::create(&lock_path).map_err(io(&lock_path))?;
        if lock.try_lock().is_err() {
            progress(Progress::Waiting);
            lock.lock().map_err(io(&lock_path))?;
        }
        // Whoever held the lock may have done the work.
        match verify(recipe, pip, &folder) {
            Ok(installed) => return Ok(installed),
            Err(error @ InstallError::WrongVersion { .. }) => return Err(error),
            Err(_) => {}
        }
        // Environments name their own place in many files and cannot be moved, so it is made where it stays, and the
        // marker tells whether it was finished.
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(io(&folder))?;
        }
        progress(Progress::Step("creating the environment"));
        let mut venv = Command::new(&python.executable);
        venv.args(["-m", "venv"]).arg(&folder);
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
            .args([
                "-m",
                "pip",
                "install",
                "--no-input",
                "--disable-pip-version-check",
                "--no-compile",
                "--progress-bar=off",
            ])
            .args(&pip.requirements);
        run("downloading and installing packages", &mut download, progress)?;

        progress(Progress::Step("compiling"));
        let mut compile = Command::new(&inner);
        // Some packages hold files for other versions of Python on purpose, which do not compile.
        compile
            .args(["-m", "compileall", "-q", "-j", "0"])
            .arg(folder.join("lib"));
        let _ = run("compiling", &mut compile, &mut |_| {});
        if !pip.prewarm.is_empty() {
            progress(Progress::Step("first start"));
            let home = tempfile::tempdir().map_err(io(&folder))?;
            let mut first = Command::new(&inner);
            first
                .args(&pip.prewarm)
                .env("HOME", home.path())
                .env("LITELLM_LOCAL_MODEL_COST_MAP", "True");
            run("first start", &mut first, progress)?;
        }
        let marker = folder.join(MARKER);
        fs::write(&marker, format!("{}\n", recipe.source.version)).map_err(io(&marker))?;
        verify(recipe, pip, &folder)
    }
}

/// Runs one step; each line that it prints is a detail, and the last ones explain its failure.
fn run(step: &'static str, command: &mut Command, progress: &mut dyn FnMut(Progress)) -> Result<(), InstallError> {
    let failed = |output: String| InstallError::Step { step, output };
    let errors = tempfile::tempfile().map_err(|error| failed(error.to_string()))?;
    let copy = errors.try_clone().map_err(|error| failed(error.to_string()))?;
    // What the user has set for other Pythons must not lead this one astray.
    command.env_remove("PYTHONPATH").env_remove("PYTHONHOME");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(copy);
    let mut child = children::spawn(command).map_err(|error| failed(error.to_string()))?;
    let mut last: Vec<String> = Vec::new();
    for line in child
        .stdout
        .take()
        .into_iter()
        .flat_map(|output| BufReader::new(output).lines().map_while(Result::ok))
    {
        progress(Progress::Detail(line.clone()));
        last.push(line);
        let surplus = last.len().saturating_sub(10);
        last.drain(..surplus);
    }
    let status = child.wait().map_err(|error| failed(error.to_string()))?;
    if status.success() {
        return Ok(());
    }
    let mut text = String::new();
    let mut errors = errors;
    let _ = errors
        .rewind()
        .and_then(|()| errors.read_to_string(&mut text).map(drop));
    let lines: Vec<&str> = last.iter().map(String::as_str).chain(text.lines()).collect();
    Err(failed(lines[lines.len().saturating_sub(12)..].join("\n")))
}

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> InstallError + use<> {
    let path = path.to_owned();
    move |source| InstallError::Io { path, source }
}
