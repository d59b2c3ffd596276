//! What is recorded of a try.

use std::collections::BTreeMap;

use super::Attempt;
use crate::trial::{Outcome, Timings, TrialRecord, Usage};
use crate::verdict::Judgement;

impl Attempt<'_> {
    /// The record as it stands now. `played`: whether the conversation came to its end.
    pub(super) fn record(&self, outcome: Outcome, played: bool, judgements: BTreeMap<usize, Judgement>) -> TrialRecord {
        let total = self.began.elapsed().as_secs_f64();
        TrialRecord {
            key: self.key.clone(),
            cwe: self.task.cwe.clone(),
            outcome,
            played,
            judgements,
            usage: self.usage,
            retried: Usage::default(),
            timings: Timings {
                total,
                agent: self.agent_seconds,
                model: self.waited_seconds,
                agent_time: (self.agent_seconds - self.waited_seconds).max(0.0),
                tester: self.tester_seconds,
                added: total - self.agent_seconds,
            },
            turns: self.turns.clone(),
            contaminated: self.contamination.evidence.clone(),
            warnings: self.warnings.clone(),
            started: self.started,
            ended: jiff::Timestamp::now(),
        }
    }
}
