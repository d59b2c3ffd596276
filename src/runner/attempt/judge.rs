//! The last stage of a try: its snapshots are judged.

use std::collections::BTreeMap;
use std::time::Instant;

use tokio::task::block_in_place;

use super::{Attempt, Stop, cannot};
use crate::plan::TestTurns;
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
            let judgement = self.judge_tree(&tree).await?;
            self.folder.write_json(&format!("verdicts/{turn}.json"), &judgement)?;
            if let Some(module) = &judgement.missing_module {
                self.warn(format!(
                    "turn {turn}: the solution imports `{module}`, which the tester does not have"
                ))?;
            }
            if judgement.left_out > 0 {
                self.warn(format!(
                    "turn {turn}: {} files of the snapshot were too large or too many for the tester, and were not there when the solution ran",
                    judgement.left_out
                ))?;
            }
            judgements.insert(turn, judgement);
        }
        self.tester_seconds = judging.elapsed().as_secs_f64();
        Ok(judgements)
    }

    /// Judges one tree; a tester that fails is asked again as often as the run allows.
    async fn judge_tree(&mut self, tree: &Tree) -> Result<Judgement, Stop> {
        let mut left = self.stand.conductor.lock.settings.retries;
        loop {
            match self.stand.conductor.tester.judge(&self.task, tree).await {
                Ok(judgement) => return Ok(judgement),
                Err(error) if left == 0 => return Err(Stop::Infrastructure(format!("tester: {error}"))),
                Err(error) => self.warn(format!("the tester is asked again: {error}"))?,
            }
            left -= 1;
        }
    }
}
