//! Content-addressed storage of snapshot contents: equal contents are stored once, whatever trial they come from.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// How the names of files begin that are being written and are not whole yet.
pub const ASIDE: &str = ".aside-";

/// A folder of blobs, `sha256/ab/cdef…`, shared by all trials of a run.
#[derive(Debug, Clone)]
pub struct BlobStore {
    root: PathBuf,
}

impl BlobStore {
    /// A store below `root`; nothing is created before the first blob.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Stores what `source` yields, at most `cap` bytes; returns the SHA-256 in hex, and the size.
    ///
    /// The content is complete under its name or not there at all: it is written aside and renamed.
    ///
    /// # Errors
    /// Reading or writing fails, or the source is longer than `cap` (kind `FileTooLarge`).
    pub fn put(&self, source: &mut dyn Read, cap: u64) -> io::Result<(String, u64)> {
        let mut buffer = vec![0; 64 * 1024];
        // What is small and known costs no file aside: there may be very many of them.
        let mut head = 0;
        while head < buffer.len() {
            match source.read(&mut buffer[head..])? {
                0 => {
                    let digest = hex::encode(Sha256::digest(&buffer[..head]));
                    if head as u64 <= cap && self.path(&digest).exists() {
                        return Ok((digest, head as u64));
                    }
                    break;
                }
                read => head += read,
            }
        }
        let head = buffer[..head].to_vec();
        let source = &mut head.as_slice().chain(source);
        fs::create_dir_all(&self.root)?;
        let mut aside = tempfile::Builder::new().prefix(ASIDE).tempfile_in(&self.root)?;
        let mut hash = Sha256::new();
        let mut size = 0;
        loop {
            let read = source.read(&mut buffer)?;
            if read == 0 {
                break;
            }
            size += read as u64;
            if size > cap {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
            hash.update(&buffer[..read]);
            aside.write_all(&buffer[..read])?;
        }
        let digest = hex::encode(hash.finalize());
        let path = self.path(&digest);
        if !path.exists() {
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder)?;
            }
            aside.persist(&path).map_err(|error| error.error)?;
        }
        Ok((digest, size))
    }

    /// The content of a blob.
    ///
    /// # Errors
    /// There is no such blob, or it does not hash to its name any more (kind `InvalidData`).
    pub fn get(&self, digest: &str) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        File::open(self.path(digest))?.read_to_end(&mut content)?;
        if hex::encode(Sha256::digest(&content)) != digest {
            let path = self.path(digest);
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("{} is damaged", path.display()),
            ));
        }
        Ok(content)
    }

    /// A blob to be read piece by piece, without a look at its hash.
    ///
    /// # Errors
    /// There is no such blob.
    pub fn open(&self, digest: &str) -> io::Result<File> {
        File::open(self.path(digest))
    }

    fn path(&self, digest: &str) -> PathBuf {
        let (head, tail) = digest.split_at_checked(2).unwrap_or((digest, ""));
        self.root.join(Path::new("sha256").join(head).join(tail))
    }
}
