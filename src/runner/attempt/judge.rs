//! The last stage of a try: its snapshots are judged.

use std::collections::BTreeMap;
use std::time::Instant;

use tokio::task::block_in_place;

use super::{Attempt, Stop, cannot};
use crate::event::Event;
use crate::plan::TestTurns;
use crate::runner::conduct::Conductor;
use crate::runner::imports::{note_missing, note_unknown};
use crate::runner::judging::judge_tree;
use crate::tester::Tree;
use crate::verdict::Judgement;
use crate::workspace::Manifest;

impl Attempt<'_> {
    /// Stage 9: the last snapshot's verdict is the trial's; earlier ones are judged when asked.
    pub(super) async fn judge(&mut self, snapshots: &[Manifest]) -> Result<BTreeMap<usize, Judgement>, Stop> {
        let last = snapshots.len() - 1;
        let first = match self.stand.conductor.lock.test_turns {
            TestTurns::Last => last,
            TestTurns::All => last.min(1),
        };
        let judging = Instant::now();
        let mut judgements = BTreeMap::new();
        for (turn, manifest) in snapshots.iter().enumerate().skip(first) {
            let tree = block_in_place(|| Tree::read(manifest.files(), |digest| self.blobs.get(digest)))
                .map_err(|error| cannot("read a snapshot", &error))?;
            let (stand, key, warnings) = (self.stand, self.key, &mut self.warnings);
            let mut warn = |text: String| {
                warnings.push(text.clone());
                stand.note(&Event::Warning { key: key.clone(), text })
            };
            let Conductor { tester, lock, .. } = &stand.conductor;
            let judged = judge_tree(tester, &self.task, (turn, &tree), lock.settings.retries, &mut warn).await?;
            let judgement = judged.map_err(Stop::Infrastructure)?;
            note_missing(&mut self.turns, turn, &tree, &judgement);
            self.folder.write_json(&format!("verdicts/{turn}.json"), &judgement)?;
            judgements.insert(turn, judgement);
        }
        self.tester_seconds = judging.elapsed().as_secs_f64();
        Ok(judgements)
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
