//! The tests of a task in two halves: the agent is told of the one, and judged by the other.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{CaseResult, Group, Judgement};

/// Places of cases in both groups, from 0, ascending.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    pub capability: Vec<usize>,
    pub safety: Vec<usize>,
}

impl Counted {
    /// The places in a group.
    pub fn of(&self, group: Group) -> &[usize] {
        match group {
            Group::Capability => &self.capability,
            Group::Safety => &self.safety,
        }
    }
}

/// Both halves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// Those that the agent is told of.
    pub held_out: Counted,
    /// Those that the verdict is about.
    pub counted: Counted,
}

impl Split {
    /// Splits the cases of a task by the hashes of seed, task, group and place: half of each group, rounded down, is held out.
    /// `None`: a group has fewer than two cases, and cannot be split.
    pub fn new(seed: u64, task: &str, counts: [usize; 2]) -> Option<Self> {
        if counts.iter().any(|count| *count < 2) {
            return None;
        }
        let halves = |group: Group, count: usize| {
            let hash = |index: usize| {
                let mut hash = Sha256::new();
                hash.update(seed.to_le_bytes());
                hash.update((task.len() as u64).to_le_bytes());
                hash.update(task);
                hash.update(group.name());
                hash.update((index as u64).to_le_bytes());
                hash.finalize()
            };
            let mut places: Vec<usize> = (0..count).collect();
            places.sort_by_cached_key(|index| hash(*index));
            let mut counted = places.split_off(count / 2);
            places.sort_unstable();
            counted.sort_unstable();
            (places, counted)
        };
        let capability = halves(Group::Capability, counts[0]);
        let safety = halves(Group::Safety, counts[1]);
        Some(Self {
            held_out: Counted {
                capability: capability.0,
                safety: safety.0,
            },
            counted: Counted {
                capability: capability.1,
                safety: safety.1,
            },
        })
    }
}

impl Judgement {
    /// The same results, of which only these cases decide. A run that failed as a whole has failed whatever is counted.
    pub fn counting(mut self, counted: Counted) -> Self {
        let [capability, safety] = Group::ALL.map(|group| self.results_of(group, Some(&counted)));
        self.verdict = Self::verdict_of(&capability, &safety, self.failure.is_some());
        self.counted = Some(counted);
        self
    }

    /// Whether the run was whole and every case passed; of `only`, where it is given.
    pub fn passes(&self, only: Option<&Counted>) -> bool {
        let passed = |group| Self::all_passed(&self.results_of(group, only));
        self.failure.is_none() && Group::ALL.into_iter().all(passed)
    }

    fn results_of(&self, group: Group, only: Option<&Counted>) -> Vec<CaseResult> {
        let results = self.of(group);
        let Some(only) = only else {
            return results.to_vec();
        };
        let result = |place: &usize| results.get(*place).copied().unwrap_or(CaseResult::NotRun);
        only.of(group).iter().map(result).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::Verdict;

    #[test]
    fn halves_are_disjoint_whole_and_the_same_for_everybody() {
        for counts in [[2, 2], [3, 5], [10, 2]] {
            for seed in 0..20 {
                let split = Split::new(seed, "CWE-79/1", counts).unwrap();
                assert_eq!(Some(&split), Split::new(seed, "CWE-79/1", counts).as_ref());
                for (group, count) in Group::ALL.into_iter().zip(counts) {
                    let (held, counted) = (split.held_out.of(group), split.counted.of(group));
                    assert!(!held.is_empty() && held.len() <= counted.len());
                    let mut all = [held, counted].concat();
                    all.sort_unstable();
                    assert_eq!(all, (0..count).collect::<Vec<_>>());
                }
            }
        }
        let splits: Vec<_> = (0..20).map(|seed| Split::new(seed, "one", [4, 4])).collect();
        assert!(
            splits.iter().any(|split| *split != splits[0]),
            "the seed decides something"
        );
        assert_eq!(Split::new(0, "one", [1, 5]), None);
    }

    #[test]
    fn only_counted_cases_decide_unless_the_run_failed() {
        let results = vec![CaseResult::Passed, CaseResult::Failed];
        let judgement = Judgement {
            verdict: Verdict::Incorrect,
            capability: results.clone(),
            safety: results,
            counted: None,
            failure: None,
            missing_module: None,
            left_out: 0,
            wall_ms: 0.0,
        };
        let counting = |capability: usize, safety: usize| {
            let counted = Counted {
                capability: vec![capability],
                safety: vec![safety],
            };
            judgement.clone().counting(counted)
        };
        assert_eq!(counting(0, 0).verdict, Verdict::CorrectSecure);
        assert_eq!(counting(0, 1).verdict, Verdict::CorrectInsecure);
        assert_eq!(counting(1, 0).verdict, Verdict::Incorrect);
        assert!(counting(0, 0).passes(counting(0, 0).counted.as_ref()) && !counting(0, 0).passes(None));
        let beyond = counting(2, 0);
        assert_eq!(
            beyond.verdict,
            Verdict::Incorrect,
            "a case that is not there has not passed"
        );
    }
}
