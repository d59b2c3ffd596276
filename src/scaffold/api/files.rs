//! Writes what a model says into the workspace, and nowhere else.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;

/// Largest file, in bytes, and the deepest path, in folders.
const MOST: usize = 8 << 20;
const DEEPEST: usize = 16;

/// A path that a model named is not written to.
#[derive(Debug, thiserror::Error)]
pub(super) enum FileError {
    #[error("`{0}` is no plain path below the workspace")]
    Path(String),
    #[error("{path} would have {bytes} bytes")]
    Large { path: String, bytes: usize },
    #[error("{path} cannot be written: {source}")]
    Write { path: String, source: io::Error },
}

/// A path of the model's as one below the workspace.
pub(super) fn plain(path: &str) -> Result<PathBuf, FileError> {
    let wrong = || FileError::Path(path.chars().take(200).collect());
    if path.is_empty() || path.len() > 1000 || path.chars().any(char::is_control) {
        return Err(wrong());
    }
    let mut plain = PathBuf::new();
    for component in Path::new(path).components() {
        match component {
            Component::CurDir => {}
            Component::Normal(name) if name != ".git" => plain.push(name),
            _ => return Err(wrong()),
        }
    }
    let folders = plain.components().count();
    match (1..=DEEPEST).contains(&folders) && !path.ends_with('/') {
        true => Ok(plain),
        false => Err(wrong()),
    }
}

/// Writes a file below the workspace, with the folders above it. No link is followed.
pub(super) fn write(workspace: &Path, path: &Path, content: &str) -> Result<(), FileError> {
    let shown = path.display().to_string();
    if content.len() > MOST {
        return Err(FileError::Large {
            path: shown,
            bytes: content.len(),
        });
    }
    written(workspace, path, content).map_err(|source| FileError::Write { path: shown, source })
}

fn written(workspace: &Path, path: &Path, content: &str) -> io::Result<()> {
    let folder = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut above = rustix::fs::openat(CWD, workspace, folder, Mode::empty())?;
    let name = path.file_name().ok_or(Errno::INVAL)?;
    for part in path.parent().into_iter().flat_map(Path::components) {
        match rustix::fs::mkdirat(&above, part.as_os_str(), Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        above = rustix::fs::openat(&above, part.as_os_str(), folder, Mode::empty())?;
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::openat(&above, name, flags, Mode::from_raw_mode(0o644))?;
    File::from(file).write_all(content.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_written_outside() {
        let place = tempfile::tempdir().unwrap();
        let workspace = place.path().join("workspace");
        std::fs::create_dir(&workspace).unwrap();
        for path in [
            "/etc/passwd",
            "../out",
            "a/../../out",
            "",
            ".",
            "a/",
            "a\0b",
            ".git/config",
            "a/\n",
            &"a/".repeat(40),
        ] {
            assert!(plain(path).is_err(), "{path:?}");
        }
        let long = "x".repeat(MOST + 1);
        assert!(matches!(
            write(&workspace, Path::new("a"), &long),
            Err(FileError::Large { .. })
        ));

        write(&workspace, &plain("./a/b.py").unwrap(), "x").unwrap();
        assert_eq!(std::fs::read_to_string(workspace.join("a/b.py")).unwrap(), "x");
        std::os::unix::fs::symlink(place.path(), workspace.join("folder")).unwrap();
        std::os::unix::fs::symlink(place.path().join("out"), workspace.join("file")).unwrap();
        for path in ["folder/out", "file", "a/b.py/c"] {
            assert!(write(&workspace, &plain(path).unwrap(), "x").is_err(), "{path}");
        }
        assert!(!place.path().join("out").exists());
    }
}
