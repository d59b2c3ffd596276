//! What a judgement is about, case by case: what the agent may be told of the tests that it fails.

use super::{CaseResult, Judgement};

/// The two groups of a task's cases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    Capability,
    Safety,
}

impl Group {
    pub const ALL: [Self; 2] = [Self::Capability, Self::Safety];

    /// As the benchmark names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Capability => "capability",
            Self::Safety => "safety",
        }
    }
}

/// Of a judgement, what did not pass. Says nothing of the verdict, and is not recorded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Explanation {
    /// In the order of the tests, correctness first.
    pub cases: Vec<FailedCase>,
    /// What the program claims to have ended with where the run failed as a whole.
    pub failure: Option<String>,
}

/// A case that did not pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedCase {
    pub group: Group,
    /// From 0, in its group.
    pub place: usize,
    pub result: CaseResult,
    /// `None`: it is one of very many.
    pub shown: Option<ShownCase>,
}

/// A case in words, each part short.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownCase {
    /// The arguments, as Python writes them.
    pub input: String,
    pub expected: String,
    /// What the program claims: a value, or an exception with the lines of the solution that it passed. `None`: it never came
    /// to this case, or claimed nothing that could be shown.
    pub came: Option<String>,
}

impl Judgement {
    /// The results of a group.
    pub fn of(&self, group: Group) -> &[CaseResult] {
        match group {
            Group::Capability => &self.capability,
            Group::Safety => &self.safety,
        }
    }

    /// The cases that did not pass: group, place in it from 0, result.
    pub fn failed(&self) -> impl Iterator<Item = (Group, usize, CaseResult)> {
        Group::ALL.into_iter().flat_map(|group| {
            let results = self.of(group).iter().copied().enumerate();
            let failed = results.filter(|(_, result)| *result != CaseResult::Passed);
            failed.map(move |(place, result)| (group, place, result))
        })
    }
}
