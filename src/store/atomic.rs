//! Files that are whole or not there.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use crate::blob::ASIDE;

/// Writes `content` to `path` so that a reader, or a crash at any moment, sees the old content or all of the new.
///
/// # Errors
/// The folder of `path` cannot be written.
pub fn write_atomic(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| *folder != Path::new(""))
        .unwrap_or(Path::new("."));
    let mut aside = tempfile::Builder::new().prefix(ASIDE).tempfile_in(folder)?;
    aside.write_all(content)?;
    aside.as_file().sync_data()?;
    aside.persist(path).map_err(|error| error.error)?;
    // The new name is a change of the folder, and is lost with it.
    File::open(folder)?.sync_all()
}
