//! One tree, judged: what the tester says of it, and what a user must be told besides.

use super::imports::told_missing;
use crate::plan::Options;
use crate::store::StoreError;
use crate::task::Task;
use crate::tester::{Tester, Tree};
use crate::verdict::{Explanation, Judgement, Split};

/// How the trees of a trial are judged.
#[derive(Clone, Copy)]
pub(super) struct Judging<'a> {
    pub tester: &'a Tester,
    pub task: &'a Task,
    /// Of the trial's cell: which cases count.
    pub options: &'a Options,
    /// How often a tester that fails is asked again.
    pub retries: u32,
    /// Whether what did not pass is told as well; otherwise the explanation is empty.
    pub explained: bool,
}

impl Judging<'_> {
    /// Judges the tree after a turn. That the tester is asked again is told to `warn`; so is what was wrong with the tree. The
    /// inner error is that of a tester that goes on failing.
    ///
    /// # Errors
    /// What is told cannot be recorded.
    pub async fn judge(
        &self,
        (turn, tree): (usize, &Tree),
        warn: &mut (dyn FnMut(String) -> Result<(), StoreError> + Send),
    ) -> Result<Result<(Judgement, Explanation), String>, StoreError> {
        let mut left = self.retries;
        let (judgement, explanation) = loop {
            let judged = match self.explained {
                true => self.tester.explain(self.task, tree).await,
                false => {
                    let judged = self.tester.judge(self.task, tree).await;
                    judged.map(|judgement| (judgement, Explanation::default()))
                }
            };
            match judged {
                Ok(judged) => break judged,
                Err(error) if left == 0 => return Ok(Err(format!("tester: {error}"))),
                Err(error) => warn(format!("the tester is asked again: {error}"))?,
            }
            left -= 1;
        };
        if let Some(module) = &judgement.missing_module {
            warn(told_missing(turn, module))?;
        }
        if judgement.left_out > 0 {
            warn(format!(
                "turn {turn}: {} files of the snapshot were too large or too many for the tester, and were not there when the solution ran",
                judgement.left_out
            ))?;
        }
        Ok(counted(self.options, &self.task.id, judgement).map(|judgement| (judgement, explanation)))
    }
}

/// The two halves of a task's cases, where its cell holds one out.
///
/// # Errors
/// There are too few cases: such a trial is left out before its run, so that this is one of a damaged run.
pub(super) fn split(options: &Options, task: &str, judgement: &Judgement) -> Result<Option<Split>, String> {
    if !options.held_out {
        return Ok(None);
    }
    let counts = [judgement.capability.len(), judgement.safety.len()];
    let split = Split::new(options.seed, task, counts);
    split
        .map(Some)
        .ok_or_else(|| format!("the tests of task `{task}` cannot be split: a group has fewer than two"))
}

/// The judgement by the cases that count in a cell.
///
/// # Errors
/// As [`split`].
pub(super) fn counted(options: &Options, task: &str, judgement: Judgement) -> Result<Judgement, String> {
    Ok(match split(options, task, &judgement)? {
        Some(split) => judgement.counting(split.counted),
        None => judgement,
    })
}
