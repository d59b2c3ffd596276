//! The Python files that run inside the sandbox, and the sandbox that they need.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::python::Interpreter;
use crate::sandbox::{Bind, Command, File, Spec, seccomp};

/// Where the harness lies inside.
const HARNESS: &str = "/harness";
/// Where third-party packages lie inside.
const PACKAGES: &str = "/packages";
/// The size of a run's private folders.
const TMP: &str = "size=64m,nr_inodes=20000,mode=1777";
const SHM: &str = "size=16m,nr_inodes=256,mode=1777";

macro_rules! harness {
    ($($name:literal),*) => {
        &[$(($name, include_str!(concat!("../../templates/harness/", $name)))),*]
    };
}

const FILES: &[(&str, &str)] = harness![
    "zygote.py",
    "warm.py",
    "codec.py",
    "explain.py",
    "judge.py",
    "runner.py"
];

/// A sandbox with a fork server of the given interpreter and, perhaps, a folder of third-party packages.
pub(super) fn spec(interpreter: &Interpreter, packages: Option<&Path>) -> Result<Spec, seccomp::NoFilter> {
    let mut path = Vec::new();
    let mut binds = interpreter_binds(interpreter);
    if let Some(packages) = packages {
        binds.push(Bind {
            source: packages.to_owned(),
            target: PathBuf::from(PACKAGES),
        });
        path.push(PACKAGES);
    }
    let config = json!({"tmp_options": TMP, "shm_options": SHM, "path": path});
    let mut files: Vec<File> = FILES
        .iter()
        .map(|(name, text)| File::new(Path::new(HARNESS).join(name), text))
        .collect();
    files.push(File::new(Path::new(HARNESS).join("config.json"), config.to_string()));
    files.push(File::new(
        Path::new(HARNESS).join("seccomp.bpf"),
        seccomp::program(seccomp::For::Solution)?,
    ));
    let arguments = ["-S", "-s", "-B", "-X", "utf8", &format!("{HARNESS}/zygote.py")]
        .map(str::to_owned)
        .to_vec();
    Ok(Spec {
        binds,
        files,
        command: Some(Command {
            program: interpreter.executable.clone(),
            arguments,
            // The same order of sets in every run: a verdict must not depend on chance.
            environment: vec![
                ("PYTHONHASHSEED".to_owned(), "0".to_owned()),
                ("LANG".to_owned(), "C.UTF-8".to_owned()),
            ],
        }),
        ..Spec::default()
    })
}

/// The interpreter's own folders, where they are not part of the system; never a whole prefix, which may be a home.
fn interpreter_binds(interpreter: &Interpreter) -> Vec<Bind> {
    let mut folders = vec![interpreter.prefix.join("lib")];
    folders.extend(interpreter.executable.parent().map(Path::to_owned));
    if !interpreter.stdlib.starts_with(&folders[0]) {
        folders.extend(interpreter.stdlib.parent().map(Path::to_owned));
    }
    folders.retain(|folder| !folder.starts_with("/usr") && folder.is_dir());
    folders.sort();
    folders.dedup();
    folders
        .into_iter()
        .map(|folder| Bind {
            source: folder.clone(),
            target: folder,
        })
        .collect()
}
