//! `journal.jsonl`: events in the order they happened, append-only.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::event::Event;

/// One line of the journal.
#[derive(Debug, Serialize, Deserialize)]
pub struct Line {
    pub at: jiff::Timestamp,
    #[serde(flatten)]
    pub event: Event,
}

/// The journal, open for appending by the one process that holds the run's lock.
#[derive(Debug)]
pub struct Journal {
    file: File,
}

impl Journal {
    /// Opens or creates the journal; a line that a crash tore in the middle is cut off.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub fn open(path: &Path) -> io::Result<Self> {
        let is_new = !path.exists();
        let mut file = OpenOptions::new().create(true).read(true).append(true).open(path)?;
        if let (true, Some(folder)) = (is_new, path.parent()) {
            // Its name is the folder's, which is synced on its own.
            File::open(folder)?.sync_all()?;
        }
        let mut content = Vec::new();
        file.read_to_end(&mut content)?;
        let whole = content.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        if whole < content.len() {
            file.set_len(whole as u64)?;
        }
        file.seek(SeekFrom::End(0))?;
        Ok(Self { file })
    }

    /// Appends one event. Outcomes are on the disk when this returns.
    ///
    /// # Errors
    /// The disk is full or gone.
    pub fn append(&mut self, event: &Event) -> io::Result<()> {
        let line = Line {
            at: jiff::Timestamp::now(),
            event: event.clone(),
        };
        let mut text = serde_json::to_vec(&line)?;
        text.push(b'\n');
        let whole = self.file.metadata()?.len();
        if let Err(error) = self.file.write_all(&text) {
            // Half a line would spoil the next one.
            self.file.set_len(whole)?;
            return Err(error);
        }
        match event {
            Event::TrialEnded { .. } | Event::RunStarted { .. } | Event::RunEnded { .. } => self.file.sync_data(),
            _ => Ok(()),
        }
    }
}

/// Reads the journal's whole lines. A line that a crash or a full disk has torn is passed over: the journal tells what
/// happened, and every outcome is in its trial's own record.
///
/// # Errors
/// The file cannot be read.
pub fn read_journal(path: &Path) -> io::Result<Vec<Line>> {
    let mut reader = BufReader::new(File::open(path)?);
    let mut lines = Vec::new();
    let mut text = Vec::new();
    while reader.read_until(b'\n', &mut text)? > 0 {
        lines.extend(serde_json::from_slice::<Line>(&text).ok());
        text.clear();
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_line_is_cut_and_the_journal_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        Journal::open(&path)
            .unwrap()
            .append(&Event::RunEnded { interrupted: true })
            .unwrap();
        OpenOptions::new()
            .append(true)
            .open(&path)
            .unwrap()
            .write_all(b"{\"at\":\"2026-")
            .unwrap();
        assert_eq!(read_journal(&path).unwrap().len(), 1);
        std::fs::write(&path, format!("garbage\n{}", std::fs::read_to_string(&path).unwrap())).unwrap();
        assert_eq!(read_journal(&path).unwrap().len(), 1);
        Journal::open(&path)
            .unwrap()
            .append(&Event::RunEnded { interrupted: false })
            .unwrap();
        let lines = read_journal(&path).unwrap();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[1].event, Event::RunEnded { interrupted: false });
    }
}
