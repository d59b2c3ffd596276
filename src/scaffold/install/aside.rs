//! An installation that makes room for its successor. Environments name their own place, so the new one is made where the
//! old one was; that is kept beside it, and put back unless the new one is finished.

use std::fs;
use std::path::{Path, PathBuf};

use super::{InstallError, io};

/// How the names begin under which old installations are kept: no installation's does.
const ASIDE: &str = ".old-";

/// An old installation.
#[derive(Debug)]
pub(super) struct Aside {
    kept: PathBuf,
    place: PathBuf,
}

impl Aside {
    /// Those beside which installations lie whose names begin with `prefix`.
    pub fn all(parent: &Path, prefix: &str) -> Vec<Self> {
        let entries = fs::read_dir(parent).into_iter().flatten().flatten();
        let all = entries.filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let place = name.strip_prefix(ASIDE).filter(|name| name.starts_with(prefix))?;
            Some(Self {
                kept: entry.path(),
                place: parent.join(place),
            })
        });
        all.collect()
    }

    /// Moves a finished installation aside.
    ///
    /// # Errors
    /// It cannot be moved, and is where it was.
    pub fn make(parent: &Path, folder: &Path) -> Result<(), InstallError> {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        fs::rename(folder, parent.join(format!("{ASIDE}{name}"))).map_err(io(folder))
    }

    /// Puts it back in place of what was begun there.
    ///
    /// # Errors
    /// It is still aside.
    pub fn put_back(self) -> Result<(), InstallError> {
        if self.place.exists() {
            fs::remove_dir_all(&self.place).map_err(io(&self.place))?;
        }
        fs::rename(&self.kept, &self.place).map_err(io(&self.kept))
    }

    /// Removes it: there is another one.
    ///
    /// # Errors
    /// Something of it is left.
    pub fn remove(self) -> Result<(), InstallError> {
        fs::remove_dir_all(&self.kept).map_err(io(&self.kept))
    }
}
