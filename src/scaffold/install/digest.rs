//! Digests of files.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use sha2::{Digest, Sha256};

/// SHA-256 of a file.
pub fn sha256(path: &Path) -> io::Result<[u8; 32]> {
    let mut digest = Hashing::new(io::sink());
    io::copy(&mut File::open(path)?, &mut digest)?;
    Ok(digest.finish())
}

/// Hashes what is written.
pub struct Hashing<W> {
    pub inner: W,
    digest: Sha256,
}

impl<W> Hashing<W> {
    pub fn new(inner: W) -> Self {
        let digest = Sha256::new();
        Self { inner, digest }
    }

    pub fn finish(self) -> [u8; 32] {
        self.digest.finalize().into()
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.digest.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
