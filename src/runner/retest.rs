//! Judging the stored snapshots of a run again, some rounds each: are its verdicts a matter of chance?

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::task::{JoinSet, block_in_place};
use tokio_util::sync::CancellationToken;

use super::conduct::RunError;
use super::imports::{note_missing, told_missing};
use super::judging::counted;
use super::rejudge::{complete, stored_tree, turns_to_judge, unjudged};
use crate::event::Event;
use crate::plan::{Options, TestTurns, TrialKey};
use crate::retest::{RetestRecord, SnapshotRetest, TrialRetest};
use crate::store::{Journal, RunFolder, StoreError};
use crate::task::Task;
use crate::tester::Tester;
use crate::trial::{Outcome, TrialRecord};
use crate::verdict::Judgement;

/// A retest to be done.
pub struct Retest {
    pub run: RunFolder,
    pub test_turns: TestTurns,
    /// The chosen trials.
    pub trials: Vec<TrialKey>,
    pub tasks: HashMap<String, Arc<Task>>,
    /// Of the run's cells, by their ids: they say which cases count.
    pub options: HashMap<String, Options>,
    pub tester: Tester,
    /// How often each snapshot is judged.
    pub rounds: u32,
    /// Trials at once.
    pub concurrent: usize,
    pub cancel: CancellationToken,
    /// Told of each trial that is done; must not block.
    pub show: Box<dyn Fn(&TrialRetest) + Send + Sync>,
}

/// One trial to be judged again.
struct Chosen {
    record: TrialRecord,
    turns: Vec<usize>,
    task: Arc<Task>,
    options: Options,
}

struct Shared {
    retest: Retest,
    journal: Mutex<Journal>,
}

impl Retest {
    /// How many trials have snapshots to be judged; the first number is theirs, the second that of all chosen ones.
    ///
    /// # Errors
    /// The run folder cannot be read.
    pub fn count(&self) -> Result<(usize, usize), RunError> {
        Ok((self.chosen()?.len(), self.trials.len()))
    }

    fn chosen(&self) -> Result<VecDeque<Chosen>, RunError> {
        let mut chosen = VecDeque::new();
        for key in &self.trials {
            let Some(record) = self.run.trial(key).whole_record()? else {
                continue;
            };
            let turns = turns_to_judge(&record, self.test_turns);
            let task = self.tasks.get(&key.task).cloned();
            let task = task.ok_or_else(|| RunError::Damaged(format!("task `{}`", key.task)))?;
            let options = self.options.get(&key.cell).cloned();
            let options = options.ok_or_else(|| RunError::Damaged(format!("cell {}", key.cell)))?;
            if !turns.is_empty() {
                chosen.push_back(Chosen {
                    record,
                    turns,
                    task,
                    options,
                });
            }
        }
        Ok(chosen)
    }

    /// Judges every chosen snapshot. A trial whose tester had failed gets its verdict, when all rounds gave the same.
    ///
    /// # Errors
    /// The run folder cannot be read or written.
    pub async fn carry_out(self) -> Result<RetestRecord, RunError> {
        let started = jiff::Timestamp::now();
        let mut waiting = self.chosen()?;
        let left_out = self.trials.len() - waiting.len();
        let order: HashMap<TrialKey, usize> = self.trials.iter().cloned().zip(0..).collect();
        let journal = Mutex::new(self.run.journal()?);
        let shared = Arc::new(Shared { retest: self, journal });
        let cancel = shared.retest.cancel.clone();
        let mut live = JoinSet::new();
        let mut trials = Vec::new();
        let mut error = None;
        loop {
            while live.len() < shared.retest.concurrent.max(1) && !cancel.is_cancelled() && error.is_none() {
                let Some(chosen) = waiting.pop_front() else { break };
                live.spawn(shared.clone().trial(chosen));
            }
            let Some(joined) = live.join_next().await else { break };
            match joined {
                Ok(Ok(Some(trial))) => {
                    (shared.retest.show)(&trial);
                    trials.push(trial);
                }
                // Stopped before it was judged at all.
                Ok(Ok(None)) => {}
                Ok(Err(failed)) => drop(error.get_or_insert(RunError::Store(failed))),
                Err(panicked) => drop(error.get_or_insert(RunError::Bug(panicked.to_string()))),
            }
        }
        if let Some(error) = error {
            return Err(error);
        }
        trials.sort_by_key(|trial| order.get(&trial.key).copied());
        let retest = &shared.retest;
        Ok(RetestRecord {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            tester: retest.tester.describe(),
            rounds: retest.rounds,
            started,
            ended: jiff::Timestamp::now(),
            interrupted: cancel.is_cancelled(),
            left_out,
            trials,
        })
    }
}

impl Shared {
    async fn trial(self: Arc<Self>, chosen: Chosen) -> Result<Option<TrialRetest>, StoreError> {
        let Chosen {
            mut record,
            turns,
            task,
            options,
        } = chosen;
        let retest = &self.retest;
        let folder = retest.run.trial(&record.key);
        let judging = Instant::now();
        let mut snapshots = Vec::new();
        let mut judgements = BTreeMap::new();
        for turn in turns {
            let tree = block_in_place(|| stored_tree(&folder, &retest.run.blobs(), turn));
            let mut rounds: Vec<Result<Judgement, String>> = Vec::new();
            for _ in 0..retest.rounds {
                if retest.cancel.is_cancelled() {
                    break;
                }
                rounds.push(match &tree {
                    Ok(tree) => retest
                        .tester
                        .judge(&task, tree)
                        .await
                        .map_err(|error| error.to_string())
                        .and_then(|judgement| counted(&options, &task.id, judgement)),
                    Err(why) => Err(why.clone()),
                });
            }
            let whole = rounds.len() == retest.rounds as usize;
            if rounds.is_empty() {
                continue;
            }
            let snapshot = SnapshotRetest::new(turn, record.judgements.get(&turn), &rounds);
            if whole
                && snapshot.steady().is_some()
                && let Some(Ok(judgement)) = rounds.into_iter().next()
            {
                if let Ok(tree) = &tree {
                    note_missing(&mut record.turns, turn, tree, &judgement);
                }
                let missing = judgement.missing_module.as_deref();
                let told = missing.map(|module| told_missing(turn, module));
                // A turn that was judged before the tester failed may have been told of already.
                let new = told.filter(|told| !record.warnings.contains(told));
                record.warnings.extend(new);
                judgements.insert(turn, judgement);
            }
            snapshots.push(snapshot);
        }
        if snapshots.is_empty() {
            return Ok(None);
        }
        let key = record.key.clone();
        let mut completed = None;
        if unjudged(&record).is_some()
            && judgements.len() == turns_to_judge(&record, retest.test_turns).len()
            && let Some((record, event)) = complete(&folder, record, judgements, judging.elapsed().as_secs_f64())?
        {
            self.note(&event)?;
            if let Outcome::Judged { verdict } = record.outcome {
                completed = Some(verdict);
            }
            let (key, outcome) = (record.key, record.outcome);
            self.note(&Event::TrialEnded { key, outcome })?;
        }
        Ok(Some(TrialRetest {
            key,
            snapshots,
            completed,
        }))
    }

    fn note(&self, event: &Event) -> Result<(), StoreError> {
        let mut journal = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
        journal.append(event).map_err(|source| StoreError::Write {
            path: self.retest.run.path().join("journal.jsonl"),
            source,
        })
    }
}
