//! Everything that happens in a run, as one type: the journal, the console and the log all take it from here.

use serde::{Deserialize, Serialize};

use crate::budget::{Budget, Charge};
use crate::plan::TrialKey;
use crate::trial::{Ending, Outcome};

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A process began, or began again, to work on the run.
    RunStarted {
        trials: usize,
        /// Of which have their outcome already.
        done: usize,
        /// The folder of all that lives only while this process does.
        scratch: std::path::PathBuf,
    },
    TrialStarted {
        key: TrialKey,
    },
    TurnStarted {
        key: TrialKey,
        turn: usize,
    },
    TurnEnded {
        key: TrialKey,
        turn: usize,
        #[serde(flatten)]
        ending: Ending,
    },
    Warning {
        key: TrialKey,
        text: String,
    },
    /// An infrastructure failure that is tried again; what it left is kept in the folder `kept`.
    TrialRetried {
        key: TrialKey,
        reason: String,
        kept: String,
    },
    /// The snapshots of a trial whose judging had failed were judged again: its conversation was not played again. What
    /// was recorded before, if anything was, is kept in the trial's file `kept`.
    TrialJudgedAgain {
        key: TrialKey,
        /// Why it had no verdict.
        reason: String,
        kept: Option<String>,
    },
    /// The trial has its one outcome, and its folder is complete.
    TrialEnded {
        key: TrialKey,
        #[serde(flatten)]
        outcome: Outcome,
    },
    /// The run's budget is used up: trials without an outcome are left.
    BudgetUsedUp {
        budget: Budget,
        spent: Charge,
    },
    RunEnded {
        interrupted: bool,
    },
}
