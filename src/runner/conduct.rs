//! The scheduler: takes trials in order, a few at once, until each has its outcome or the user says stop.

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::scratch::Scratch;
use super::trial::{CellRuntime, Try, run_trial};
use crate::budget::{Charge, Scope};
use crate::canary::Canaries;
use crate::event::Event;
use crate::gateway::{Gateway, GatewayError, Purse};
use crate::plan::{Lock, TrialKey};
use crate::scaffold::Scaffold;
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
    /// Trials without an outcome: the run was interrupted, or its budget is used up.
    pub missing: usize,
    /// Whether the run's budget is used up.
    pub budget_used_up: bool,
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
    pub canaries: Arc<Canaries>,
    /// The run's budget, where it has one.
    run_purse: Option<Arc<Purse>>,
    journal: Mutex<Journal>,
}

impl Stand {
    /// The budgets of one try of a trial: its own, which is whole for every try, for what failed in the infrastructure must
    /// not make the next try a wrong answer; and the run's, from which everything is taken.
    pub fn purses(&self) -> Vec<Arc<Purse>> {
        let budget = self.conductor.lock.settings.trial_budget;
        let own = budget
            .is_set()
            .then(|| Arc::new(Purse::new(Scope::Trial, budget, Charge::default(), None)));
        own.into_iter().chain(self.run_purse.clone()).collect()
    }

    /// Whether the run may take no further trial, or must end those that are live.
    fn is_over(&self) -> bool {
        self.conductor.cancel.is_cancelled() || self.run_purse.as_ref().is_some_and(|purse| purse.is_used_up())
    }

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
        // Cancelled by the user's, or alone when the run's budget is used up.
        let asked_to_stop = std::mem::take(&mut self.cancel);
        self.cancel = asked_to_stop.child_token();
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
            if let Some(outcome) = outcome
                && told.get(key) != Some(&outcome)
            {
                let key = key.clone();
                untold.push(Event::TrialEnded { key, outcome });
            }
        }
        let started = Event::RunStarted {
            trials: self.lock.trials.len(),
            done: self.lock.trials.len() - waiting.len(),
            scratch: scratch.path().to_owned(),
        };
        let run_purse = self.run_purse();
        let canaries = Arc::new(Canaries::of(self.tasks.values().map(Arc::as_ref)));
        let stand = Arc::new(Stand {
            conductor: self,
            scratch,
            canaries,
            run_purse,
            journal: Mutex::new(journal),
        });
        stand.note(&started)?;
        for ended in &untold {
            stand.note(ended)?;
        }
        let scaffolds = stand.conductor.scaffolds(&waiting);
        let outcome = stand.clone().work_off(waiting, &mut tally).await;
        for scaffold in &scaffolds {
            scaffold.dismiss().await;
        }
        tally.missing =
            stand.conductor.lock.trials.len() - tally.judged - tally.infrastructure_failures - tally.diverged;
        if let Some(purse) = &stand.run_purse
            && tally.missing > 0
            && purse.is_used_up()
            && !asked_to_stop.is_cancelled()
        {
            tally.budget_used_up = true;
            stand.note(&Event::BudgetUsedUp {
                budget: *purse.budget(),
                spent: purse.spent(),
            })?;
        }
        let ended = stand.note(&Event::RunEnded {
            interrupted: tally.missing > 0,
        });
        outcome?;
        ended?;
        Ok(tally)
    }

    /// The run's budget, less what earlier processes have used.
    fn run_purse(&self) -> Option<Arc<Purse>> {
        let budget = self.lock.settings.run_budget;
        if !budget.is_set() {
            return None;
        }
        let (spent, cancel) = (self.run.charge(), self.cancel.clone());
        Some(Arc::new(Purse::new(Scope::Run, budget, spent, Some(cancel))))
    }
}

impl Conductor {
    /// The agents of some trials. One that several cells share may come several times.
    fn scaffolds(&self, trials: &VecDeque<TrialKey>) -> Vec<Arc<dyn Scaffold>> {
        let cells: HashSet<&String> = trials.iter().map(|key| &key.cell).collect();
        let cells = cells.into_iter().filter_map(|cell| self.cells.get(cell));
        cells.map(|cell| cell.scaffold.clone()).collect()
    }

    /// The trials of which the journal has told the outcome.
    fn told(&self) -> Result<HashMap<TrialKey, Outcome>, StoreError> {
        let path = self.run.path().join("journal.jsonl");
        let lines = read_journal(&path).map_err(|source| StoreError::Read { path, source })?;
        let ended = lines.into_iter().filter_map(|line| match line.event {
            Event::TrialEnded { key, outcome } => Some((key, outcome)),
            _ => None,
        });
        // Of a trial that was tried again the last word counts.
        Ok(ended.collect())
    }
}

impl Stand {
    async fn work_off(self: Arc<Self>, mut waiting: VecDeque<TrialKey>, tally: &mut Tally) -> Result<(), RunError> {
        let cancel = self.conductor.cancel.clone();
        let stand = self.clone();
        let mut live = JoinSet::new();
        let mut error = None;
        loop {
            while live.len() < self.conductor.concurrent.max(1) && !stand.is_over() {
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
