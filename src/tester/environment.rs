//! Third-party packages of tasks: installed once into cached, read-only folders, never at test time.
//!
//! Data sets name modules of the standard library among their requirements (`re`, `operator`, `functools`), some of
//! which exist as squatted names in package registries: whatever the interpreter brings itself is left out.

use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use regex::Regex;
use sha2::{Digest, Sha256};

use crate::process::children;
use crate::python::Interpreter;

/// Names with an optional exact version: no URLs, paths, options or markers.
static REQUIREMENT: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"^([A-Za-z0-9][A-Za-z0-9._-]*)(==[A-Za-z0-9][A-Za-z0-9.+!_-]*)?$").ok());

/// What of our environment the package installer sees: where to go and how, but no keys of ours.
const KEPT: &[&str] = &[
    "PATH",
    "HOME",
    "LANG",
    "TMPDIR",
    "XDG_CONFIG_HOME",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];

/// An environment could not be prepared.
#[derive(Debug, thiserror::Error)]
pub enum EnvironmentError {
    #[error("`{0}` is not a requirement: expected a distribution's name, or name==version")]
    Refused(String),
    #[error(
        "`{}` has no pip, which must install {wanted}\nInstall it (on Debian and Ubuntu: \
         `sudo apt-get install python3-pip`), or name another interpreter in MTSEC_PYTHON.",
        executable.display()
    )]
    NoPip { executable: PathBuf, wanted: String },
    #[error("pip could not install {wanted}: {said}")]
    Install { wanted: String, said: String },
    #[error("cannot prepare the folder `{}`", path.display())]
    Io {
        path: PathBuf,
        #[source]
        error: io::Error,
    },
}

/// Third-party requirements: sorted, without duplicates and without the standard library's modules.
///
/// # Errors
/// [`EnvironmentError::Refused`] for anything but a name or an exact version of it.
pub fn third_party(requires: &[String], interpreter: &Interpreter) -> Result<BTreeSet<String>, EnvironmentError> {
    let mut wanted = BTreeSet::new();
    for requirement in requires {
        let parts = REQUIREMENT.as_ref().and_then(|form| form.captures(requirement.trim()));
        let Some(parts) = parts else {
            return Err(EnvironmentError::Refused(requirement.clone()));
        };
        if !interpreter.stdlib_modules.contains(&parts[1]) {
            let version = parts.get(2).map_or("", |version| version.as_str());
            wanted.insert(format!(
                "{}{version}",
                parts[1].to_ascii_lowercase().replace(['_', '.'], "-")
            ));
        }
    }
    Ok(wanted)
}

/// The folder with exactly the given requirements (from [`third_party`]) and what they need; installed if absent.
/// Blocking: several processes may ask at once, and one of them installs.
pub fn prepare(
    cache: &Path,
    wanted: &BTreeSet<String>,
    interpreter: &Interpreter,
) -> Result<PathBuf, EnvironmentError> {
    let root = cache.join("environments");
    let at = |path: &Path| {
        let path = path.to_owned();
        move |error| EnvironmentError::Io { path, error }
    };
    fs::create_dir_all(&root).map_err(at(&root))?;
    let root = root.canonicalize().map_err(at(&root))?;
    let names: Vec<&str> = wanted.iter().map(String::as_str).collect();
    let identity = format!("{}\n{}", interpreter.minor_version(), names.join("\n"));
    let name = hex::encode(&Sha256::digest(identity.as_bytes())[..8]);
    let folder = root.join(&name);
    if folder.is_dir() {
        return Ok(folder);
    }
    let lock = root.join(format!("{name}.lock"));
    let held = File::create(&lock).map_err(at(&lock))?;
    held.lock().map_err(at(&lock))?;
    // Another process may have been quicker.
    if folder.is_dir() {
        return Ok(folder);
    }
    // With the lock held, what another process began is what a dead one left.
    let begun = format!("{name}.");
    for entry in fs::read_dir(&root).map_err(at(&root))?.flatten() {
        if entry.path() != lock && entry.file_name().to_string_lossy().starts_with(&begun) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    let building = tempfile::Builder::new()
        .prefix(&format!("{name}."))
        .tempdir_in(&root)
        .map_err(at(&root))?;
    install(building.path(), &names, interpreter)?;
    seal(building.path()).map_err(at(building.path()))?;
    fs::rename(building.path(), &folder).map_err(at(&folder))?;
    // It has moved: there is nothing left to remove under the old name.
    let _ = building.keep();
    Ok(folder)
}

/// The names by which what is installed in a folder can be imported. Folders without code are among them: too many names
/// are no harm.
///
/// # Errors
/// The folder cannot be read.
pub fn modules(folder: &Path) -> io::Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        // `yaml`, `six.py`, `_cffi_backend.cpython-311-x86_64-linux-gnu.so`.
        let name = name.to_string_lossy();
        names.insert(name.split('.').next().unwrap_or_default().to_owned());
    }
    Ok(names)
}

fn install(folder: &Path, names: &[&str], interpreter: &Interpreter) -> Result<(), EnvironmentError> {
    let pip = |arguments: &[&str]| {
        let mut command = Command::new(&interpreter.executable);
        command
            .args(["-I", "-m", "pip"])
            .args(arguments)
            .env_clear()
            .stdin(Stdio::null());
        command.envs(std::env::vars_os().filter(|(name, _)| {
            let name = name.to_string_lossy();
            KEPT.contains(&&*name) || name.starts_with("PIP_") || name.to_ascii_lowercase().ends_with("_proxy")
        }));
        command
    };
    let start = |mut command: Command| {
        children::output(&mut command).map_err(|error| EnvironmentError::Io {
            path: interpreter.executable.clone(),
            error,
        })
    };
    let wanted = names.join(", ");
    if !start(pip(&["--version"]))?.status.success() {
        return Err(EnvironmentError::NoPip {
            executable: interpreter.executable.clone(),
            wanted,
        });
    }
    // Wheels only: nothing of a package is executed while it is installed.
    let mut command = pip(&[
        "install",
        "--quiet",
        "--no-input",
        "--disable-pip-version-check",
        "--no-compile",
    ]);
    command
        .args(["--only-binary", ":all:", "--target"])
        .arg(folder)
        .arg("--")
        .args(names);
    let output = start(command)?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = said
        .trim()
        .lines()
        .filter(|line| line.contains("ERROR"))
        .take(4)
        .collect();
    let said = if lines.is_empty() {
        output.status.to_string()
    } else {
        lines.join("; ")
    };
    Err(EnvironmentError::Install { wanted, said })
}

/// Readable by everyone, as the sandbox's user needs it; writable by nobody but its owner's will.
fn seal(folder: &Path) -> io::Result<()> {
    for entry in walkdir::WalkDir::new(folder).contents_first(true) {
        let entry = entry?;
        if entry.file_type().is_symlink() {
            continue;
        }
        let mode = match () {
            // The folder itself must still be renamed, and removed one day.
            () if entry.depth() == 0 => 0o755,
            () if entry.file_type().is_dir() => 0o555,
            () => 0o444 | entry.metadata()?.permissions().mode() & 0o111,
        };
        fs::set_permissions(entry.path(), Permissions::from_mode(mode))?;
    }
    Ok(())
}
