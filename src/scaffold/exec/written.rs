//! The files that a recipe wrote before its agent's first process: its configuration. Between two turns something that a turn
//! has started may have changed them, and the next process would be another agent than the one that is measured.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use crate::recipe::Rendered;

/// What was written, by its path without links.
pub(super) struct Written(Vec<(PathBuf, String)>);

impl Written {
    /// Notes the files of a recipe, which have just been written.
    ///
    /// # Errors
    /// One has no folder.
    pub fn of(rendered: &Rendered) -> io::Result<Self> {
        let noted = rendered.files.iter().map(|(path, content)| {
            let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
                return Err(io::ErrorKind::InvalidInput.into());
            };
            Ok((folder.canonicalize()?.join(name), content.clone()))
        });
        noted.collect::<io::Result<_>>().map(Self)
    }

    /// The first that is no longer what was written: another content, none, or a link on its way.
    pub fn changed(&self) -> Option<&Path> {
        let changed = self.0.iter().find(|(path, content)| !is_still(path, content));
        changed.map(|(path, _)| path.as_path())
    }
}

/// The file lies where the agent may write: no link is followed, nothing is waited for, and no more is read than was written.
fn is_still(path: &Path, content: &str) -> bool {
    let real = path.parent().and_then(|folder| folder.canonicalize().ok());
    if real.as_deref() != path.parent() {
        return false;
    }
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let Ok(file) = rustix::fs::open(path, flags, Mode::empty()) else {
        return false;
    };
    let mut found = Vec::new();
    let read = File::from(file).take(content.len() as u64 + 1).read_to_end(&mut found);
    read.is_ok() && found == content.as_bytes()
}
