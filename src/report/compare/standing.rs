//! How the trials of a row stand: which count, and why others do not.

use serde::Serialize;

use super::side::{SideRow, SideTrial};
use crate::finding::FindingKind;
use crate::plan::TrialKey;
use crate::report::retries::verdicts_by_retry;
use crate::store::{RunFolder, StoreError};
use crate::trial::{Outcome, TrialRecord};
use crate::verdict::Verdict;

/// Trials that are in no pair, by the first reason that holds for either side.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// Planned on one side only.
    pub only_a: usize,
    pub only_b: usize,
    /// The same id, but other prompts or tests.
    pub changed: usize,
    pub infrastructure_failures: usize,
    pub contaminated: usize,
    pub diverged: usize,
    /// Without an outcome yet.
    pub missing: usize,
}

impl LeftOut {
    /// Adds a trial that does not count.
    pub(super) fn count(&mut self, standing: Standing) {
        match standing {
            Standing::Counts(_) => {}
            Standing::Contaminated => self.contaminated += 1,
            Standing::Diverged => self.diverged += 1,
            Standing::Infrastructure => self.infrastructure_failures += 1,
            Standing::Missing => self.missing += 1,
        }
    }

    /// In words; `None` where nothing is.
    pub(in crate::report) fn told(&self) -> Option<String> {
        let reasons = [
            (self.only_a, "planned in A only"),
            (self.only_b, "planned in B only"),
            (self.changed, "with other prompts or tests"),
            (self.infrastructure_failures, "with an infrastructure failure"),
            (self.contaminated, "contaminated"),
            (self.diverged, "that left the record which they replay"),
            (self.missing, "without an outcome yet"),
        ];
        let told: Vec<String> = reasons
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, reason)| format!("{count} {reason}"))
            .collect();
        (!told.is_empty()).then(|| told.join(", "))
    }

    pub fn total(&self) -> usize {
        let of_one_side = self.only_a + self.only_b;
        of_one_side + self.changed + self.infrastructure_failures + self.contaminated + self.diverged + self.missing
    }
}

/// How a trial stands. Of two that do not count, the later one here is the reason that is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::report) enum Standing {
    Counts(Verdict),
    Contaminated,
    Diverged,
    Infrastructure,
    Missing,
}

impl Standing {
    /// The reason why a pair of the two does not count.
    pub(super) fn or(self, other: Self) -> Self {
        let rank = |standing: Self| match standing {
            Self::Counts(_) => 0,
            Self::Contaminated => 1,
            Self::Diverged => 2,
            Self::Infrastructure => 3,
            Self::Missing => 4,
        };
        if rank(self) < rank(other) { other } else { self }
    }

    pub(in crate::report) fn verdict(self) -> Option<Verdict> {
        match self {
            Self::Counts(verdict) => Some(verdict),
            _ => None,
        }
    }
}

/// The verdicts of a row's trials that count, and the others by their reason.
pub(in crate::report) fn counting(row: &SideRow) -> (Vec<Verdict>, LeftOut) {
    let mut left_out = LeftOut::default();
    let standings = || row.trials.iter().map(|trial| trial.standing);
    standings().for_each(|standing| left_out.count(standing));
    (standings().filter_map(Standing::verdict).collect(), left_out)
}

/// The verdict after at most so many retries, of those before feedback, after the first retry, and so on.
pub(in crate::report) fn after(verdicts: &[Verdict], retries: u32) -> Option<Verdict> {
    verdicts.get(retries as usize).or(verdicts.last()).copied()
}

/// Reads a trial of a run.
///
/// # Errors
/// Its record cannot be read.
pub(super) fn read_trial(run: &RunFolder, trial: &TrialKey) -> Result<SideTrial, StoreError> {
    // As in `report`: a record that is damaged is run again by `resume`.
    let record = run.trial(trial).whole_record()?.filter(|record| record.key == *trial);
    let told = record
        .as_ref()
        .map(|record| (&record.outcome, record.contaminated.is_empty()));
    let standing = match told {
        None => Standing::Missing,
        Some((Outcome::Judged { verdict }, true)) => Standing::Counts(*verdict),
        Some((Outcome::Judged { .. }, false)) => Standing::Contaminated,
        Some((Outcome::InfrastructureFailure { .. }, _)) => Standing::Infrastructure,
        Some((Outcome::Diverged { .. }, _)) => Standing::Diverged,
    };
    Ok(SideTrial {
        key: trial.clone(),
        standing,
        asked: true,
        verdicts: record.as_ref().map(verdicts_by_retry).unwrap_or_default(),
        refusals: record.as_ref().map(refusals).unwrap_or_default(),
    })
}

fn refusals(record: &TrialRecord) -> Vec<(usize, String)> {
    let mut refusals = Vec::new();
    for turn in &record.turns {
        let found = turn
            .findings
            .iter()
            .filter(|finding| finding.kind == FindingKind::Refusal);
        refusals.extend(found.map(|finding| (turn.turn, finding.evidence.join(" | "))));
    }
    refusals
}
