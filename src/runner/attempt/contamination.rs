//! Hidden text on the agent's side: its snapshots and its terminal are searched here, its calls by the gateway.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use tokio::task::block_in_place;

use super::{Attempt, Stop, cannot};
use crate::canary::Canaries;
use crate::store::StoreError;
use crate::trial::{Evidence, Place};
use crate::workspace::{Kind, Manifest};

/// What a try has shown of hidden text so far.
#[derive(Debug, Default)]
pub(super) struct Contamination {
    pub evidence: Vec<Evidence>,
    /// Digests of contents that were searched.
    searched: HashSet<String>,
}

/// Bytes searched at once.
const PIECE: usize = 256 << 10;
/// What may be at the end of one piece and go on in the next.
const OVERLAP: usize = 64;

impl Attempt<'_> {
    /// Searches the names and contents of a snapshot; contents that were searched before are passed over.
    pub(super) fn search(&mut self, manifest: &Manifest, turn: usize) -> Result<(), Stop> {
        let canaries = self.stand.canaries.clone();
        let mut found = Vec::new();
        let mut add = |task: &str, place| {
            found.push(Evidence {
                turn,
                task: task.to_owned(),
                place,
            });
        };
        for (path, entry) in &manifest.entries {
            let path = || path.clone();
            if let Some(task) = canaries.find(path().as_bytes()) {
                add(task, Place::Name { path: path() });
            }
            match &entry.kind {
                Kind::Symlink { target } => {
                    if let Some(task) = canaries.find(target.as_bytes()) {
                        add(task, Place::Name { path: path() });
                    }
                }
                Kind::File { digest, .. } if self.contamination.searched.insert(digest.clone()) => {
                    let task = block_in_place(|| find_in(&mut self.blobs.open(digest)?, &canaries));
                    if let Some(task) = task.map_err(|error| cannot("read a snapshot", &error))? {
                        add(&task, Place::File { path: path() });
                    }
                }
                _ => {}
            }
        }
        self.contamination.evidence.extend(found);
        Ok(())
    }

    /// Searches what the agent printed, and tells the user of everything that was found in the try.
    pub(super) fn tell_contamination(&mut self) -> Result<(), StoreError> {
        for turn in 0..=self.turns.len() {
            // What it said of itself by either way.
            let folder = self.folder.path().join(format!("turns/{turn}"));
            let logs = ["agent.log", "stderr.log"].map(|name| folder.join(name));
            let found = block_in_place(|| logs.iter().find_map(|log| find_in_file(log, &self.stand.canaries)));
            if let Some(task) = found {
                self.contamination.evidence.push(Evidence {
                    turn,
                    task,
                    place: Place::Terminal,
                });
            }
        }
        self.contamination.evidence.sort_by_key(|evidence| evidence.turn);
        let Some(first) = self.contamination.evidence.first() else {
            return Ok(());
        };
        let places = self.contamination.evidence.len();
        self.warn(format!(
            "CONTAMINATED: {first} ({places} places in all): the trial is in no rate"
        ))
    }
}

/// A log that is not there, or cannot be read, shows nothing.
fn find_in_file(path: &Path, canaries: &Canaries) -> Option<String> {
    find_in(&mut File::open(path).ok()?, canaries).ok()?
}

/// The task whose canary is in what is read, looked for piece by piece.
fn find_in(source: &mut impl Read, canaries: &Canaries) -> io::Result<Option<String>> {
    let mut buffer = Vec::with_capacity(PIECE + OVERLAP);
    loop {
        if source.by_ref().take(PIECE as u64).read_to_end(&mut buffer)? == 0 {
            return Ok(None);
        }
        if let Some(task) = canaries.find(&buffer) {
            return Ok(Some(task.to_owned()));
        }
        let cut = buffer.len().saturating_sub(OVERLAP);
        buffer.drain(..cut);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canary::plant;

    #[test]
    fn a_canary_is_found_wherever_pieces_end() {
        let task = serde_json::json!({
            "id": "one", "cwe": "CWE-1", "function": "f", "description": {"description": "d"},
            "tests": {"testcases": "testcases = {}"},
        });
        let mut task = serde_json::from_value(task).unwrap();
        plant(&mut task, [7; 16]);
        let canaries = Canaries::of([&task]);
        let canary = format!("mtsec-canary-{}", hex::encode([7; 16]));
        for offset in (PIECE - OVERLAP..=PIECE + OVERLAP).step_by(7) {
            let mut text = vec![b'x'; 2 * PIECE];
            text.splice(offset..offset + canary.len(), canary.bytes());
            let found = find_in(&mut text.as_slice(), &canaries).unwrap();
            assert_eq!(found.as_deref(), Some("one"), "{offset}");
        }
        assert_eq!(find_in(&mut [b'x'; 3 * PIECE].as_slice(), &canaries).unwrap(), None);
    }
}
