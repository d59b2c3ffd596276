//! Finds a CPython on this host.
//!
//! Candidates are asked in a fixed order: `MTSEC_PYTHON` alone where it is set; otherwise `/usr/bin` and then the
//! folders of `PATH`, for `python3` and then the versions of the range, newest first. A candidate is started (isolated)
//! and asked who it really is, so that shims of version managers and virtual environments lead to the real one.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::str::FromStr;

use serde::Deserialize;

use crate::process::children;

/// The environment variable that names the interpreter to use.
pub const OVERRIDE: &str = "MTSEC_PYTHON";

/// The environment variable that names the interpreter to install agents with.
pub const AGENT_OVERRIDE: &str = "MTSEC_AGENT_PYTHON";

/// What programs that we start with it need of the standard library; some distributions ship it in parts.
const MODULES: &[&str] = &["ctypes", "json", "pickle", "socket", "unittest"];

/// A half-open range of versions: `at_least <= v < below`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VersionRange {
    pub at_least: (u8, u8),
    pub below: (u8, u8),
}

impl VersionRange {
    /// Whether the version lies in the range.
    pub fn contains(self, version: (u8, u8, u8)) -> bool {
        (self.at_least..self.below).contains(&(version.0, version.1))
    }

    /// The names of executables, generic first, then newest first.
    fn names(self) -> Vec<String> {
        let versions = (self.at_least.1..self.below.1)
            .rev()
            .map(|minor| format!("python{}.{minor}", self.at_least.0));
        std::iter::once(format!("python{}", self.at_least.0))
            .chain(versions)
            .collect()
    }
}

impl FromStr for VersionRange {
    type Err = String;

    /// Reads `>=3.10,<3.13`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let version = |text: &str| {
            let (major, minor) = text.trim().split_once('.')?;
            Some((major.parse().ok()?, minor.parse().ok()?))
        };
        let range = text.split_once(',').and_then(|(from, below)| {
            let at_least = version(from.trim().strip_prefix(">=")?)?;
            Some(Self {
                at_least,
                below: version(below.trim().strip_prefix('<')?)?,
            })
        });
        range.ok_or_else(|| format!("`{text}` is no range of versions such as `>=3.10,<3.13`"))
    }
}

impl fmt::Display for VersionRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ((a, b), (c, d)) = (self.at_least, self.below);
        write!(f, ">={a}.{b},<{c}.{d}")
    }
}

/// A CPython of this host; never a virtual environment's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interpreter {
    /// Absolute, without symbolic links.
    pub executable: PathBuf,
    pub version: (u8, u8, u8),
    /// Where its library lies: `sys.base_prefix`, without symbolic links.
    pub prefix: PathBuf,
    /// The folder of the standard library, without symbolic links.
    pub stdlib: PathBuf,
    /// The names of the standard library's modules.
    pub stdlib_modules: BTreeSet<String>,
}

impl Interpreter {
    /// `3.11`, as in the names of its folders.
    pub fn minor_version(&self) -> String {
        format!("{}.{}", self.version.0, self.version.1)
    }
}

/// No usable interpreter.
#[derive(Debug, thiserror::Error)]
pub enum PythonError {
    #[error(
        "no CPython {range} was found{}\nInstall one (on Debian and Ubuntu: `sudo apt-get install python3 \
         python3-venv`), or name one in {variable}.",
        listed(tried)
    )]
    NotFound {
        range: VersionRange,
        variable: &'static str,
        /// What was looked at, and why it does not do.
        tried: Vec<(PathBuf, Unfit)>,
    },
    #[error("{variable} names `{}`, which does not do: {why}\nName a CPython {range} there, or unset it.", path.display())]
    Override {
        path: PathBuf,
        range: VersionRange,
        variable: &'static str,
        why: Unfit,
    },
}

/// Why a candidate does not do.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    #[error("it cannot be started ({0})")]
    NotStarted(#[from] io::Error),
    #[error("it failed: {0}")]
    Failed(String),
    #[error("it is version {}.{}.{}", .0.0, .0.1, .0.2)]
    Version((u8, u8, u8)),
    #[error("it is {0}, not CPython")]
    Implementation(String),
    #[error("it lacks {0} of the standard library (on Debian and Ubuntu: install `python3` and `python3-venv`)")]
    Incomplete(String),
}

fn listed(tried: &[(PathBuf, Unfit)]) -> String {
    tried
        .iter()
        .map(|(path, why)| format!("\n  {}: {why}", path.display()))
        .collect()
}

/// What an interpreter is wanted for.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    pub range: VersionRange,
    /// Modules of the standard library that must be there: some distributions ship it in parts.
    pub modules: &'static [&'static str],
    /// The environment variable by which the user may choose one.
    pub variable: &'static str,
}

impl Wanted {
    /// For running tests: the interpreter itself is put into the sandbox.
    pub fn for_tests(range: VersionRange) -> Self {
        Self {
            range,
            modules: MODULES,
            variable: OVERRIDE,
        }
    }

    /// For installing agents into virtual environments.
    pub fn for_agents(range: VersionRange) -> Self {
        Self {
            range,
            modules: &["ensurepip", "venv"],
            variable: AGENT_OVERRIDE,
        }
    }
}

/// The first interpreter of the range that tests can be run with.
///
/// # Errors
/// What was looked at, why nothing does, and the remedy.
pub fn find(range: VersionRange) -> Result<Interpreter, PythonError> {
    find_for(Wanted::for_tests(range))
}

/// The first interpreter that does.
///
/// # Errors
/// As [`find`].
pub fn find_for(wanted: Wanted) -> Result<Interpreter, PythonError> {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let pyenv = std::env::var_os("PYENV_ROOT")
        .filter(|root| !root.is_empty())
        .map(PathBuf::from);
    let pyenv = pyenv.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".pyenv")));
    let folders = std::env::split_paths(&folders).chain(pyenv.iter().flat_map(|root| pyenv_folders(root)));
    find_in(wanted, std::env::var_os(wanted.variable), folders)
}

/// The programs of the versions that pyenv has installed, the newest first. Its shims on PATH start only those that the
/// user has chosen.
fn pyenv_folders(root: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(root.join("versions")).into_iter().flatten().flatten();
    let mut versions: Vec<(Vec<u32>, PathBuf)> = entries
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let numbers: Option<Vec<u32>> = name.split('.').map(|part| part.parse().ok()).collect();
            Some((numbers?, entry.path().join("bin")))
        })
        .collect();
    versions.sort();
    versions.into_iter().rev().map(|(_, folder)| folder).collect()
}

fn find_in(
    wanted: Wanted,
    chosen: Option<OsString>,
    places: impl IntoIterator<Item = PathBuf>,
) -> Result<Interpreter, PythonError> {
    let Wanted { range, variable, .. } = wanted;
    if let Some(chosen) = chosen.filter(|chosen| !chosen.is_empty()) {
        let path = PathBuf::from(chosen);
        return examine(&path, wanted).map_err(|why| PythonError::Override {
            path,
            range,
            variable,
            why,
        });
    }
    let mut folders = vec![PathBuf::from("/usr/bin")];
    for folder in places {
        if folder.is_absolute() && !folders.contains(&folder) {
            folders.push(folder);
        }
    }
    let mut tried: Vec<(PathBuf, Unfit)> = Vec::new();
    let mut seen = BTreeSet::new();
    for folder in &folders {
        for name in range.names() {
            let candidate = folder.join(name);
            // A shim's real path is the shim for every version: only true duplicates are skipped.
            let shim = fs::read(&candidate).is_ok_and(|content| content.starts_with(b"#!"));
            let Ok(real) = candidate.canonicalize() else { continue };
            if !shim && !seen.insert(real) {
                continue;
            }
            match examine(&candidate, wanted) {
                Ok(found) => return Ok(found),
                Err(why) => tried.push((candidate, why)),
            }
        }
    }
    Err(PythonError::NotFound { range, variable, tried })
}

/// What a candidate says of itself.
#[derive(Deserialize)]
struct Answer {
    implementation: String,
    version: (u8, u8, u8),
    executable: PathBuf,
    prefix: PathBuf,
    stdlib: PathBuf,
    missing: Vec<String>,
    modules: BTreeSet<String>,
}

/// Without `json`, which may be what is missing.
const QUESTION: &str = r#"
import importlib.util, os, sys
def q(text): return '"' + text.replace('\\', '\\\\').replace('"', '\\"') + '"'
def l(items): return '[' + ','.join(map(q, items)) + ']'
missing = []
for name in sys.argv[1:]:
    try: __import__(name)
    except ImportError: missing.append(name)
base = getattr(sys, '_base_executable', None) or sys.executable
print('{"implementation":' + q(sys.implementation.name) + ',"version":[%d,%d,%d]' % sys.version_info[:3]
      + ',"executable":' + q(os.path.realpath(base)) + ',"prefix":' + q(os.path.realpath(sys.base_prefix))
      + ',"stdlib":' + q(os.path.realpath(os.path.dirname(os.__file__))) + ',"missing":' + l(missing)
      + ',"modules":' + l(sorted(getattr(sys, 'stdlib_module_names', ()))) + '}')
"#;

fn examine(candidate: &Path, wanted: Wanted) -> Result<Interpreter, Unfit> {
    let mut command = Command::new(candidate);
    command
        .args(["-I", "-c", QUESTION])
        .args(wanted.modules)
        .stdin(Stdio::null())
        .current_dir("/");
    let output = children::output(&mut command)?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.trim().lines().next().unwrap_or("no message");
        return Err(Unfit::Failed(format!("{} ({last})", output.status)));
    }
    let answer: Answer = serde_json::from_slice(&output.stdout).map_err(|error| Unfit::Failed(error.to_string()))?;
    if answer.implementation != "cpython" {
        return Err(Unfit::Implementation(answer.implementation));
    }
    if !wanted.range.contains(answer.version) {
        return Err(Unfit::Version(answer.version));
    }
    if !answer.missing.is_empty() {
        return Err(Unfit::Incomplete(answer.missing.join(", ")));
    }
    Ok(Interpreter {
        executable: answer.executable,
        version: answer.version,
        prefix: answer.prefix,
        stdlib: answer.stdlib,
        stdlib_modules: answer.modules,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const RANGE: VersionRange = VersionRange {
        at_least: (3, 10),
        below: (3, 14),
    };

    /// An executable script, written by a child: a descriptor of ours that is open for writing goes along into
    /// whatever another test forks at that moment, and what is open for writing cannot be started (`ETXTBSY`).
    fn script(folder: &Path, name: &str, text: &str) -> PathBuf {
        let path = folder.join(name);
        let written = Command::new("sh")
            .args(["-c", "printf %s \"$1\" >\"$0\" && chmod 755 \"$0\""])
            .args([path.as_os_str(), text.as_ref()])
            .status()
            .unwrap();
        assert!(written.success());
        path
    }

    #[test]
    fn a_shim_leads_to_the_real_interpreter() {
        let real = find(RANGE).unwrap();
        assert!(RANGE.contains(real.version) && real.executable.is_absolute());
        assert!(real.stdlib.starts_with(&real.prefix) && real.stdlib_modules.contains("re"));
        let folder = tempfile::tempdir().unwrap();
        let text = format!("#!/bin/sh\nexec {} \"$@\"\n", real.executable.display());
        let shim = script(folder.path(), "python3", &text);
        assert_eq!(find_in(Wanted::for_tests(RANGE), Some(shim.into()), []).unwrap(), real);
    }

    #[test]
    fn a_wrong_choice_is_refused_with_its_reason() {
        let folder = tempfile::tempdir().unwrap();
        let old = script(
            folder.path(),
            "python3",
            "#!/bin/sh\necho '{\"implementation\":\"cpython\",\"version\":[3,9,2],\"executable\":\"/x\",\"prefix\":\"/\",\
             \"stdlib\":\"/\",\"missing\":[],\"modules\":[]}'\n",
        );
        let error = find_in(Wanted::for_tests(RANGE), Some(old.into()), [])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("3.9.2") && error.contains(">=3.10,<3.14") && error.contains(OVERRIDE),
            "{error}"
        );
        let absent = find_in(Wanted::for_tests(RANGE), Some(folder.path().join("no").into()), [])
            .unwrap_err()
            .to_string();
        assert!(absent.contains("cannot be started"), "{absent}");
    }

    #[test]
    fn an_empty_range_lists_what_was_tried() {
        let none = VersionRange {
            at_least: (3, 98),
            below: (3, 99),
        };
        let error = find_in(Wanted::for_tests(none), None, []).unwrap_err().to_string();
        assert!(error.contains("/usr/bin/python3: it is version 3."), "{error}");
    }
    #[test]
    fn the_versions_of_pyenv_are_looked_at_the_newest_first() {
        let root = tempfile::tempdir().unwrap();
        for version in ["3.9.18", "3.12.1", "3.13.0", "miniconda3-latest"] {
            fs::create_dir_all(root.path().join("versions").join(version)).unwrap();
        }
        let folders = pyenv_folders(root.path());
        let names = folders
            .iter()
            .map(|folder| folder.strip_prefix(root.path().join("versions")).unwrap());
        let wanted = ["3.13.0/bin", "3.12.1/bin", "3.9.18/bin"];
        assert!(names.eq(wanted.map(Path::new)), "{folders:?}");
    }
}
