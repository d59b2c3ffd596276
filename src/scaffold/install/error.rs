//! Why an agent cannot be installed or used, and what to do about it.

use std::path::PathBuf;

use crate::python::PythonError;

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
    #[error("{name} {version} is not as it was installed: {what} changed; {remedy} installs it again")]
    Changed {
        name: String,
        version: String,
        /// Some of the files.
        what: String,
        /// The command.
        remedy: String,
    },
    #[error("{folder} cannot be checked: {source}; {remedy} installs it again", folder = folder.display())]
    Unchecked {
        folder: PathBuf,
        source: std::io::Error,
        /// The command.
        remedy: String,
    },
    #[error("{name} {version} is used by {by}: nothing was changed; wait for its end, or end it, and try again")]
    InUse {
        name: String,
        version: String,
        /// The processes.
        by: String,
    },
    #[error("recipe of {name}: install: {program}: {why}", program = program.display())]
    Absent {
        name: String,
        program: PathBuf,
        why: String,
    },
}
