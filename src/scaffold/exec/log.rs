//! What an agent says, kept in a file up to a bound.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// A log that cannot be written never disturbs the session; it only ends.
pub(super) struct Log {
    file: Option<BufWriter<File>>,
    /// Bytes that are still kept.
    left: usize,
}

/// Most bytes of one stream of one turn.
const CAP: usize = 64 << 20;

impl Log {
    /// A log in a folder that exists and is the driver's own.
    ///
    /// # Errors
    /// The file cannot be made.
    pub fn create(path: &Path) -> io::Result<Self> {
        let file = Some(BufWriter::new(File::create(path)?));
        Ok(Self { file, left: CAP })
    }

    /// Keeps what fits.
    pub fn push(&mut self, bytes: &[u8]) {
        let kept = &bytes[..bytes.len().min(self.left)];
        self.left -= kept.len();
        if let Some(file) = &mut self.file
            && file.write_all(kept).is_err()
        {
            self.file = None;
        }
    }

    /// Writes out what is buffered.
    pub fn flush(&mut self) {
        if let Some(file) = &mut self.file {
            // Nobody is here to be told.
            let _ = file.flush();
        }
    }
}
