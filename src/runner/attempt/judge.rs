//! The last stage of a try: its snapshots are judged.

use std::collections::BTreeMap;

use tokio::task::block_in_place;

use super::{Attempt, Stop, cannot};
use crate::plan::TestTurns;
use crate::runner::imports::{note_missing, note_unknown};
use crate::tester::Tree;
use crate::verdict::Judgement;
use crate::workspace::Manifest;

impl Attempt<'_> {
    /// Stage 9: the last snapshot's verdict is the trial's; earlier ones are judged when asked, or were for feedback.
    pub(super) async fn judge(&mut self, snapshots: &[Manifest]) -> Result<BTreeMap<usize, Judgement>, Stop> {
        let last = snapshots.len() - 1;
        let first = match self.stand.conductor.lock.test_turns {
            TestTurns::Last => last,
            TestTurns::All => last.min(1),
        };
        for (turn, manifest) in snapshots.iter().enumerate() {
            if let Some(judgement) = self.judgements.get(&turn) {
                // The findings of its turn were made when the session was over, after it was judged.
                let tree = block_in_place(|| Tree::read(manifest.files(), |digest| self.blobs.get(digest)))
                    .map_err(|error| cannot("read a snapshot", &error))?;
                note_missing(&mut self.turns, turn, &tree, judgement);
            } else if turn >= first {
                let (_, judgement, _) = self.judge_snapshot(turn, manifest, false).await?;
                self.judgements.insert(turn, judgement);
            }
        }
        Ok(std::mem::take(&mut self.judgements))
    }

    /// Records the modules that nobody has. A tester that cannot tell which there are tells so when it judges.
    pub(super) async fn note_imports(&mut self, snapshots: &[Manifest]) {
        let Ok(known) = self.stand.conductor.tester.modules(&self.task).await else {
            return;
        };
        block_in_place(|| {
            for (record, snapshot) in self.turns.iter_mut().zip(snapshots.iter().skip(1)) {
                note_unknown(record, snapshot, &self.blobs, &known);
            }
        });
    }
}
