//! What judging stored snapshots again has shown: the same verdicts, or chance.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::plan::TrialKey;
use crate::verdict::{CaseResult, Judgement, Verdict};

/// `retests/<time>.json`: everything that one `retest` found. The recorded verdicts stay as they are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RetestRecord {
    /// Of this program.
    pub version: String,
    /// The tester's interpreter, such as `CPython 3.11.2`.
    pub tester: String,
    /// How often every snapshot was to be judged.
    pub rounds: u32,
    pub started: jiff::Timestamp,
    pub ended: jiff::Timestamp,
    /// Whether the user stopped it before its end.
    pub interrupted: bool,
    /// Chosen trials without a snapshot that a verdict is about: not run, not played to the end, or diverged.
    pub left_out: usize,
    pub trials: Vec<TrialRetest>,
}

/// One trial judged again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrialRetest {
    pub key: TrialKey,
    pub snapshots: Vec<SnapshotRetest>,
    /// The trial had no verdict because its tester had failed, and has this one now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed: Option<Verdict>,
}

/// One snapshot judged again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SnapshotRetest {
    pub turn: usize,
    pub recorded: Option<Verdict>,
    /// Of each round that gave one.
    pub verdicts: Vec<Verdict>,
    /// Why rounds gave none: the tester failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<String>,
    /// The cases whose result was not always the same.
    pub cases: Vec<CaseRetest>,
}

/// A test case whose result differed between rounds, or from the record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CaseRetest {
    /// Such as `safety 2`: the second security case of the task's tests.
    pub case: String,
    pub recorded: Option<CaseResult>,
    /// How often each result came.
    pub results: BTreeMap<CaseResult, usize>,
}

impl CaseRetest {
    /// Whether the rounds themselves differ: the result depends on chance. Otherwise it differs from the record only.
    pub fn is_flaky(&self) -> bool {
        self.results.len() > 1
    }
}

impl SnapshotRetest {
    /// Compares the rounds with each other and with the record.
    pub fn new(turn: usize, recorded: Option<&Judgement>, rounds: &[Result<Judgement, String>]) -> Self {
        let judged: Vec<&Judgement> = rounds.iter().filter_map(|round| round.as_ref().ok()).collect();
        let group = |name: &str, of: fn(&Judgement) -> &Vec<CaseResult>| {
            let count = judged
                .iter()
                .copied()
                .chain(recorded)
                .map(|judgement| of(judgement).len())
                .max();
            let case = |index: usize| {
                let result = |judgement: &Judgement| of(judgement).get(index).copied().unwrap_or(CaseResult::NotRun);
                let mut results = BTreeMap::new();
                for judgement in &judged {
                    *results.entry(result(judgement)).or_default() += 1;
                }
                CaseRetest {
                    case: format!("{name} {}", index + 1),
                    recorded: recorded.map(result),
                    results,
                }
            };
            (0..count.unwrap_or(0)).map(case).collect::<Vec<_>>()
        };
        let mut cases = group("capability", |judgement| &judgement.capability);
        cases.extend(group("safety", |judgement| &judgement.safety));
        cases.retain(|case| {
            case.is_flaky()
                || case
                    .recorded
                    .is_some_and(|recorded| case.results.keys().any(|result| *result != recorded))
        });
        Self {
            turn,
            recorded: recorded.map(|judgement| judgement.verdict),
            verdicts: judged.iter().map(|judgement| judgement.verdict).collect(),
            failures: rounds
                .iter()
                .filter_map(|round| round.as_ref().err().cloned())
                .collect(),
            cases,
        }
    }

    /// Whether all verdicts are the same, the recorded one included.
    pub fn agrees(&self) -> bool {
        let mut verdicts = self.recorded.iter().chain(&self.verdicts);
        let first = verdicts.next();
        verdicts.all(|verdict| Some(verdict) == first)
    }

    /// The verdict of every round, when all gave one and the same.
    pub fn steady(&self) -> Option<Verdict> {
        let first = self.verdicts.first()?;
        let steady = self.failures.is_empty() && self.verdicts.iter().all(|verdict| verdict == first);
        steady.then_some(*first)
    }
}

impl RetestRecord {
    pub fn snapshots(&self) -> impl Iterator<Item = &SnapshotRetest> {
        self.trials.iter().flat_map(|trial| &trial.snapshots)
    }

    /// Whether every verdict and every case came out as recorded, each time.
    pub fn agrees(&self) -> bool {
        self.snapshots()
            .all(|snapshot| snapshot.agrees() && snapshot.cases.is_empty())
    }

    /// Whether the tester failed somewhere.
    pub fn has_failures(&self) -> bool {
        self.snapshots().any(|snapshot| !snapshot.failures.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judgement(safety: CaseResult) -> Judgement {
        let (capability, safety) = (vec![CaseResult::Passed], vec![CaseResult::Passed, safety]);
        Judgement {
            counted: None,
            verdict: Judgement::verdict_of(&capability, &safety, false),
            capability,
            safety,
            failure: None,
            missing_module: None,
            left_out: 0,
            wall_ms: 1.0,
        }
    }

    #[test]
    fn chance_and_change_are_told_apart() {
        let (passed, failed) = (judgement(CaseResult::Passed), judgement(CaseResult::Failed));
        let same = SnapshotRetest::new(1, Some(&passed), &[Ok(passed.clone()), Ok(passed.clone())]);
        assert!(same.agrees() && same.cases.is_empty());

        let flaky = SnapshotRetest::new(1, Some(&passed), &[Ok(passed.clone()), Ok(failed.clone())]);
        assert!(!flaky.agrees() && flaky.steady().is_none());
        assert_eq!(flaky.cases.len(), 1);
        assert_eq!(flaky.cases[0].case, "safety 2");
        assert!(flaky.cases[0].is_flaky());
        assert_eq!(flaky.cases[0].results[&CaseResult::Failed], 1);

        let changed = SnapshotRetest::new(1, Some(&passed), &[Ok(failed.clone()), Ok(failed)]);
        assert!(!changed.agrees() && !changed.cases[0].is_flaky());
        assert_eq!(changed.steady(), Some(Verdict::CorrectInsecure));

        let broken = SnapshotRetest::new(1, None, &[Ok(passed), Err("gone".into())]);
        assert!(broken.agrees() && broken.steady().is_none());
    }
}
