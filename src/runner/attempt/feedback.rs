//! What the tests show, said to the agent after the last turn of its conversation.

use std::path::Path;
use std::time::Instant;

use tokio::task::block_in_place;

use super::critic::Criticised;
use super::turns::Live;
use super::{Attempt, Stop, cannot};
use crate::conversation::Interaction;
use crate::dataset::feedback::Shown;
use crate::dataset::prompt;
use crate::event::Event;
use crate::runner::imports::note_missing;
use crate::runner::judging::{self, Judging};
use crate::task::SOLUTION_FILE;
use crate::tester::Tree;
use crate::verdict::{Explanation, Judgement};
use crate::workspace::Manifest;

impl Attempt<'_> {
    /// Judges the snapshot after the last turn, and as long as it does not pass, says so in the next turn of the same session. The
    /// agent waits meanwhile, and its own clock stands.
    pub(super) async fn give_feedback(&mut self, live: &mut Live<'_>, turns: usize) -> Result<(), Stop> {
        let options = &self.runtime.cell.options;
        let most = options.feedback.turns(self.key.interaction) as usize;
        for turn in turns + 1..=turns + most {
            let judging = Instant::now();
            let text = self.feedback(live, turn).await;
            live.clock.stood(judging.elapsed());
            let Some(text) = text? else { return Ok(()) };
            if live.disk.cancel.is_cancelled() && live.disk.exceeded().is_none() {
                return Err(Stop::Cancelled);
            }
            let goes_on = self.say(live, turn, &text, false).await;
            if let Some(last) = self.turns.last_mut().filter(|last| last.turn == turn) {
                last.feedback = true;
            }
            if !goes_on? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// What is said in a turn of the tests on the snapshot before it; `None`: nothing is left to be said.
    async fn feedback(&mut self, live: &mut Live<'_>, turn: usize) -> Result<Option<String>, Stop> {
        let manifest = live
            .snapshots
            .get(turn - 1)
            .ok_or_else(|| Stop::Infrastructure(format!("there is no snapshot after turn {}", turn - 1)))?;
        let (tree, judgement, explanation) = self.judge_snapshot(turn - 1, manifest, true).await?;
        let options = &self.runtime.cell.options;
        let split = judging::split(options, &self.task.id, &judgement).map_err(Stop::Infrastructure)?;
        let only = split.as_ref().map(|split| &split.held_out);
        let passes = judgement.passes(only);
        self.judgements.insert(turn - 1, judgement.clone());
        if passes {
            return Ok(None);
        }
        let shown = Shown {
            judgement: &judgement,
            explanation: &explanation,
            reveal: options.feedback.reveal,
            only,
        };
        let broken = |error| Stop::Infrastructure(format!("turn {turn}: the feedback cannot be rendered: {error}"));
        let text = match live
            .critic
            .filter(|_| self.key.interaction == Interaction::DebuggingNatural)
        {
            None => shown.message().map_err(broken)?,
            Some(critic) => {
                let program = tree.files.get(Path::new(SOLUTION_FILE));
                let program = program.map_or_else(String::new, |bytes| String::from_utf8_lossy(bytes).into_owned());
                let (instruction, question) = shown.critique(&program).map_err(broken)?;
                let record = self.folder.turn(turn)?.join("critic.jsonl");
                // Not when the trial holds too much of the disk: that ends the next turn, as what the agent did.
                let cancel = &self.stand.conductor.cancel;
                let asked = critic.ask(turn, record, &instruction, question, cancel);
                match asked.await? {
                    Criticised::Said(text) => text,
                    Criticised::Refused(why) => {
                        self.refused = true;
                        return Err(Stop::Infrastructure(format!("turn {turn}: the critic: {why}")));
                    }
                    Criticised::Over(why) => {
                        self.warn(format!("turn {turn}: there is no feedback: {why}"))?;
                        return Ok(None);
                    }
                }
            }
        };
        let delivery = self.runtime.manner.delivery;
        Ok(Some(prompt::delivered(&text, delivery).map_err(broken)?))
    }

    /// Judges a snapshot, records its verdict and what the tester found besides.
    pub(super) async fn judge_snapshot(
        &mut self,
        turn: usize,
        manifest: &Manifest,
        explained: bool,
    ) -> Result<(Tree, Judgement, Explanation), Stop> {
        let began = Instant::now();
        let tree = block_in_place(|| Tree::read(manifest.files(), |digest| self.blobs.get(digest)))
            .map_err(|error| cannot("read a snapshot", &error))?;
        let (stand, key, warnings) = (self.stand, self.key, &mut self.warnings);
        let mut warn = |text: String| {
            warnings.push(text.clone());
            stand.note(&Event::Warning { key: key.clone(), text })
        };
        let conductor = &stand.conductor;
        let judging = Judging {
            tester: &conductor.tester,
            task: &self.task,
            options: &self.runtime.cell.options,
            retries: conductor.lock.settings.retries,
            explained,
        };
        let judged = judging.judge((turn, &tree), &mut warn).await?;
        self.tester_seconds += began.elapsed().as_secs_f64();
        let (judgement, explanation) = judged.map_err(Stop::Infrastructure)?;
        note_missing(&mut self.turns, turn, &tree, &judgement);
        self.folder.write_json(&format!("verdicts/{turn}.json"), &judgement)?;
        Ok((tree, judgement, explanation))
    }
}
