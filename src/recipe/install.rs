//! `install` of a recipe: how the agent gets onto the machine.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;

/// How the agent gets onto the machine.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(try_from = "InstallFields")]
pub enum Install {
    /// It is part of this program.
    #[default]
    Own,
    /// By pip, into an environment of its own.
    Pip(Pip),
    /// A native program, taken out of an npm package: nothing of Node is used when it runs.
    Npm(Npm),
    /// It is there already, and is used where it is.
    Present(Present),
}

/// A pinned agent that pip installs.
#[derive(Debug, Clone)]
pub struct Pip {
    /// Versions of Python that it runs on, such as `>=3.10,<3.13`.
    pub python: String,
    /// What pip is asked for; `{{ version }}` stands for the agent's version.
    pub requirements: Vec<String>,
    /// The distribution whose version must be the agent's.
    pub distribution: String,
    /// The program, relative to the installation.
    pub program: String,
    /// Arguments of the installation's Python, run once.
    pub prewarm: Vec<String>,
}

/// A pinned agent whose program is in an npm package.
#[derive(Debug, Clone)]
pub struct Npm {
    /// What `npm pack` is asked for, such as `@maker/agent@{{ version }}`.
    pub package: String,
    /// SHA-256 of the package's tarball, in hex; `None`: not pinned, and told to the user.
    pub sha256: Option<String>,
    /// Where the program is put, relative to the installation.
    pub program: String,
    /// The program within the package, by the machine's architecture as Rust names it (`x86_64`, `aarch64`).
    pub from: BTreeMap<String, Packed>,
}

/// A file in a package.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Packed {
    /// As the tarball names it, such as `package/bin/agent`; `{{ version }}` stands for the agent's version.
    pub path: String,
    /// SHA-256 of the file, in hex.
    #[serde(default)]
    pub sha256: Option<String>,
}

/// A program that is there already.
#[derive(Debug, Clone)]
pub struct Present {
    /// Absolute once the recipe is loaded; in the file it may be relative to the file's folder.
    pub program: PathBuf,
    /// What runs it, by path or by name; a program without one is executable itself.
    pub interpreter: Option<String>,
    /// Files and folders that the contained agent must see besides its program; placed as `program` is.
    pub needs: Vec<PathBuf>,
}

/// All ways as they are written: with `distribution` it is pip's, with `package` npm's.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InstallFields {
    python: Option<String>,
    requirements: Option<Vec<String>>,
    distribution: Option<String>,
    package: Option<String>,
    sha256: Option<String>,
    from: Option<BTreeMap<String, Packed>>,
    program: String,
    prewarm: Option<Vec<String>>,
    interpreter: Option<String>,
    needs: Option<Vec<PathBuf>>,
}

const WAYS: &str = "`install` is either `python`, `requirements`, `distribution` and `program` (and `prewarm`), or `package`, \
    `from` and `program` (and `sha256`), or `program`, `interpreter` and `needs` alone";

impl TryFrom<InstallFields> for Install {
    type Error = String;

    fn try_from(fields: InstallFields) -> Result<Self, Self::Error> {
        let InstallFields {
            python,
            requirements,
            distribution,
            package,
            sha256,
            from,
            program,
            prewarm,
            interpreter,
            needs,
        } = fields;
        let of_pip = python.is_some() || requirements.is_some() || distribution.is_some() || prewarm.is_some();
        let of_npm = package.is_some() || sha256.is_some() || from.is_some();
        let of_present = interpreter.is_some() || needs.is_some();
        match (of_pip, of_npm, of_present) {
            (true, false, false) => match (python, requirements, distribution) {
                (Some(python), Some(requirements), Some(distribution)) => Ok(Self::Pip(Pip {
                    python,
                    requirements,
                    distribution,
                    program,
                    prewarm: prewarm.unwrap_or_default(),
                })),
                _ => Err(WAYS.to_owned()),
            },
            (false, true, false) => match (package, from) {
                (Some(package), Some(from)) if is_below(&program) => Ok(Self::Npm(Npm {
                    package,
                    sha256,
                    program,
                    from,
                })),
                (Some(_), Some(_)) => Err(format!(
                    "`program: {program}` must be a relative path without `..`: the installation is one folder"
                )),
                _ => Err(WAYS.to_owned()),
            },
            (false, false, _) => Ok(Self::Present(Present {
                program: program.into(),
                interpreter,
                needs: needs.unwrap_or_default(),
            })),
            _ => Err(WAYS.to_owned()),
        }
    }
}

impl Install {
    /// The texts that may name the version.
    pub(super) fn templates(&self) -> Vec<&str> {
        match self {
            Self::Pip(pip) => pip.requirements.iter().map(String::as_str).collect(),
            Self::Npm(npm) => {
                let paths = npm.from.values().map(|packed| packed.path.as_str());
                std::iter::once(npm.package.as_str()).chain(paths).collect()
            }
            Self::Own | Self::Present(_) => Vec::new(),
        }
    }
}

/// Whether a path leads to something below the folder that it is relative to.
fn is_below(path: &str) -> bool {
    let mut components = Path::new(path).components().peekable();
    components.peek().is_some() && components.all(|component| matches!(component, Component::Normal(_)))
}
