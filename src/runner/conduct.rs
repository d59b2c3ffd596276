//! The scheduler: takes trials in order, a few at once, until each has its outcome or the user says stop.

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::scratch::Scratch;
use super::trial::{CellRuntime, Try, run_trial};
use crate::event::Event;
use crate::gateway::{Gateway, GatewayError};
use crate::plan::{Lock, TrialKey};
use crate::store::{Journal, RunFolder, StoreError, read_journal};
use crate::task::Task;
use crate::tester::Tester;
use crate::trial::Outcome;

/// Why a run stopped before its end. Everything recorded so far is kept; `resume` goes on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("cannot make a scratch folder below {path}: {source}; TMPDIR names another place")]
    Scratch { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Gateway(#[from] GatewayError),
    #[error("the run's lock names {0}, which the run does not have")]
    Damaged(String),
    #[error("a trial ended in a bug of this program: {0}")]
    Bug(String),
}

/// How a run ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Trials with a verdict, those of earlier processes included.
    pub judged: usize,
    pub infrastructure_failures: usize,
    /// Replays that left their record.
    pub diverged: usize,
    /// Trials without an outcome: the run was interrupted.
    pub missing: usize,
}

/// Everything that the trials of a run share.
pub struct Conductor {
    pub run: RunFolder,
    pub lock: Lock,
    pub tasks: HashMap<String, Arc<Task>>,
    /// By [`crate::plan::Cell::id`].
    pub cells: HashMap<String, Arc<CellRuntime>>,
    pub gateway: Gateway,
    pub tester: Tester,
    /// Most trials at once.
    pub concurrent: usize,
    /// Run infrastructure failures of earlier processes again.
    pub retry_infrastructure: bool,
    pub cancel: CancellationToken,
    /// Shows events; must not block.
    pub show: Box<dyn Fn(&Event) + Send + Sync>,
}

/// What a running trial needs of its run.
pub(super) struct Stand {
    pub conductor: Conductor,
    pub scratch: Scratch,
    journal: Mutex<Journal>,
}

impl Stand {
    /// Fans an event out to journal and console.
    pub fn note(&self, event: &Event) -> Result<(), StoreError> {
        let written = match self.journal.lock() {
            Ok(mut journal) => journal.append(event),
            Err(poisoned) => poisoned.into_inner().append(event),
        };
        (self.conductor.show)(event);
        let path = self.conductor.run.path().join("journal.jsonl");
        written.map_err(|source| StoreError::Write { path, source })
    }
}

impl Conductor {
    /// Runs every trial that has no outcome yet.
    ///
    /// # Errors
    /// The run folder cannot be read or written any more: nothing can be recorded, so nothing more is started.
    pub async fn conduct(mut self) -> Result<Tally, RunError> {
        let scratch = Scratch::new(self.run.path()).map_err(|source| RunError::Scratch {
            path: std::env::temp_dir(),
            source,
        })?;
        self.gateway.serve_at(&scratch.socket())?;
        let mut tally = Tally::default();
        let mut waiting = VecDeque::new();
        let mut untold = Vec::new();
        // Opened first: a line that a crash has torn is no word.
        let journal = self.run.journal()?;
        let told = self.told()?;
        for key in &self.lock.trials {
            let outcome = self.run.trial(key).whole_record()?.map(|record| record.outcome);
            match &outcome {
                Some(Outcome::Judged { .. }) => tally.judged += 1,
                Some(Outcome::Diverged { .. }) => tally.diverged += 1,
                Some(Outcome::InfrastructureFailure { .. }) if !self.retry_infrastructure => {
                    tally.infrastructure_failures += 1;
                }
                _ => waiting.push_back(key.clone()),
            }
            // The record is on the disk before the journal tells of it: a crash can come between the two.
            if let (Some(outcome), false) = (outcome, told.contains(key)) {
                let key = key.clone();
                untold.push(Event::TrialEnded { key, outcome });
            }
        }
        let started = Event::RunStarted {
            trials: self.lock.trials.len(),
            done: self.lock.trials.len() - waiting.len(),
            scratch: scratch.path().to_owned(),
        };
        let stand = Arc::new(Stand {
            conductor: self,
            scratch,
            journal: Mutex::new(journal),
        });
        stand.note(&started)?;
        for ended in &untold {
            stand.note(ended)?;
        }
        let outcome = stand.clone().work_off(waiting, &mut tally).await;
        tally.missing =
            stand.conductor.lock.trials.len() - tally.judged - tally.infrastructure_failures - tally.diverged;
        let ended = stand.note(&Event::RunEnded {
            interrupted: tally.missing > 0,
        });
        outcome?;
        ended?;
        Ok(tally)
    }
}

impl Conductor {
    /// The trials of which the journal has told the outcome.
    fn told(&self) -> Result<HashSet<TrialKey>, StoreError> {
        let path = self.run.path().join("journal.jsonl");
        let lines = read_journal(&path).map_err(|source| StoreError::Read { path, source })?;
        let ended = lines.into_iter().filter_map(|line| match line.event {
            Event::TrialEnded { key, .. } => Some(key),
            _ => None,
        });
        Ok(ended.collect())
    }
}

impl Stand {
    async fn work_off(self: Arc<Self>, mut waiting: VecDeque<TrialKey>, tally: &mut Tally) -> Result<(), RunError> {
        let cancel = self.conductor.cancel.clone();
        let mut live = JoinSet::new();
        let mut error = None;
        loop {
            while live.len() < self.conductor.concurrent.max(1) && !cancel.is_cancelled() {
                let Some(key) = waiting.pop_front() else { break };
                live.spawn(run_trial(self.clone(), key));
            }
            let Some(joined) = live.join_next().await else { break };
            match joined {
                Ok(Ok(Try::Ended(Outcome::Judged { .. }))) => tally.judged += 1,
                Ok(Ok(Try::Ended(Outcome::InfrastructureFailure { .. }))) => tally.infrastructure_failures += 1,
                Ok(Ok(Try::Ended(Outcome::Diverged { .. }))) => tally.diverged += 1,
                Ok(Ok(Try::Cancelled)) => {}
                // Without a place to record outcomes, going on would only lose more.
                Ok(Err(failed)) => {
                    cancel.cancel();
                    error.get_or_insert(failed);
                }
                Err(panicked) => {
                    cancel.cancel();
                    error.get_or_insert(RunError::Bug(panicked.to_string()));
                }
            }
        }
        error.map_or(Ok(()), Err)
    }
}
