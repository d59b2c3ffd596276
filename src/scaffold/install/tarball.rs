//! One program out of a tarball. The tarball is hostile until its checksum says otherwise, and where none is pinned it
//! stays so: what is written goes to one place of our choosing, whatever names and links the tarball holds.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use flate2::read::MultiGzDecoder;
use tar::{Archive, EntryType};

use super::digest::Hashing;

/// The largest program, and the most that is unpacked on the way to it, in bytes.
const LARGEST: u64 = 1 << 30;
const LONGEST_WAY: u64 = 8 << 30;

/// Why a program cannot be taken out of its tarball.
#[derive(Debug, thiserror::Error)]
pub(super) enum UnpackError {
    #[error("it holds no `{0}`")]
    Missing(String),
    #[error("`{0}` in it is no ordinary file")]
    NoFile(String),
    #[error("`{name}` in it is larger than {limit} bytes")]
    TooLarge { name: String, limit: u64 },
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Writes the file that the gzipped tarball calls `name` to `program`, executable; gives its SHA-256. Nothing else is
/// written, and nothing that is there already is overwritten.
pub(super) fn unpack(tarball: &Path, name: &str, program: &Path) -> Result<String, UnpackError> {
    let stream = MultiGzDecoder::new(File::open(tarball)?).take(LONGEST_WAY);
    let mut archive = Archive::new(stream);
    for entry in archive.entries()? {
        let entry = entry?;
        if entry.path_bytes().as_ref() != name.as_bytes() {
            continue;
        }
        let size = entry.size();
        if !matches!(entry.header().entry_type(), EntryType::Regular | EntryType::Continuous) {
            return Err(UnpackError::NoFile(name.to_owned()));
        }
        if size > LARGEST {
            let (name, limit) = (name.to_owned(), LARGEST);
            return Err(UnpackError::TooLarge { name, limit });
        }
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o755)
            .open(program)?;
        let mut digest = Hashing::new(file);
        if io::copy(&mut entry.take(size), &mut digest)? != size {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        digest.inner.sync_all()?;
        return Ok(hex::encode(digest.finish()));
    }
    Err(UnpackError::Missing(name.to_owned()))
}
