//! What the traffic of a try shows: its readable transcripts, and what went wrong in its turns.

use std::fs::File;
use std::io::{self, BufWriter, Write};

use tokio::task::block_in_place;

use super::Attempt;
use crate::blob::BlobStore;
use crate::diagnosis::{Structure, TurnFacts, Watch};
use crate::store::StoreError;
use crate::transcript::{Reader, markdown};
use crate::workspace::{Kind, Manifest};

/// A longer file is not empty, whatever it holds.
const MOST_BLANK: u64 = 4096;

impl Attempt<'_> {
    /// Writes the transcript of each turn that made calls, and records what went wrong in those that were reached. `turns` are
    /// those of the conversation; turns of feedback come after them.
    pub(super) fn read_traffic(&mut self, turns: usize, snapshots: &[Manifest]) -> Result<(), StoreError> {
        block_in_place(|| self.read_turns(turns, snapshots))
    }

    fn read_turns(&mut self, turns: usize, snapshots: &[Manifest]) -> Result<(), StoreError> {
        let runtime = self.runtime.clone();
        let structure = Structure {
            files: snapshots.first().map(paths).unwrap_or_default(),
        };
        let mut reader = Reader::default();
        for turn in 1..=turns.max(snapshots.len().saturating_sub(1)) {
            let folder = self.folder.path().join(format!("turns/{turn}"));
            let record = folder.join("model.jsonl");
            let mut watch = Watch::new(&runtime.signs);
            if record.exists() {
                let path = folder.join("transcript.md");
                let told = |source| StoreError::Write {
                    path: path.clone(),
                    source,
                };
                let mut out = BufWriter::new(File::create(&path).map_err(told)?);
                markdown::title(turn, &mut out).map_err(told)?;
                let read = reader.turn(&record, |exchange| {
                    watch.exchange(exchange);
                    markdown::exchange(exchange, &mut out)
                });
                let ended = out.flush();
                match read {
                    Ok(0) => ended.map_err(told)?,
                    Ok(unread) => self.warn(format!("turn {turn}: {unread} lines of its record cannot be read"))?,
                    Err(error) => self.warn(format!("turn {turn}: its transcript is not whole: {error}"))?,
                }
            }
            let Some(snapshot) = snapshots.get(turn) else { continue };
            let empty = empty_files(snapshot, &self.blobs);
            let reached = self.turns.get_mut(turn - 1).filter(|record| record.turn == turn);
            if let Some(record) = reached.filter(|record| record.ending.was_played()) {
                record.findings = watch.finish(&TurnFacts {
                    record,
                    more_to_come: turn < turns,
                    structure: &structure,
                    empty: &empty,
                });
            }
        }
        Ok(())
    }
}

fn paths(manifest: &Manifest) -> std::collections::BTreeSet<String> {
    let entries = manifest.entries.iter().filter(|(_, entry)| entry.kind != Kind::Folder);
    entries.map(|(path, _)| path.clone()).collect()
}

/// Files without content; white space is none.
fn empty_files(manifest: &Manifest, blobs: &BlobStore) -> Vec<String> {
    let is_blank = |digest: &str| -> io::Result<bool> { Ok(blobs.get(digest)?.trim_ascii().is_empty()) };
    let empty = manifest.files().filter(|(_, digest, size)| match size {
        0 => true,
        1..=MOST_BLANK => is_blank(digest).unwrap_or(false),
        _ => false,
    });
    empty.map(|(path, ..)| path.to_owned()).collect()
}
