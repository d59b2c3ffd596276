//! One tree, judged: what the tester says of it, and what a user must be told besides.

use super::imports::told_missing;
use crate::store::StoreError;
use crate::task::Task;
use crate::tester::{Tester, Tree};
use crate::verdict::Judgement;

/// Judges the tree after a turn. A tester that fails is asked again as often as `retries` says, and each time is told to
/// `warn`; so is what was wrong with the tree. The inner error is that of a tester that goes on failing.
///
/// # Errors
/// What is told cannot be recorded.
pub(super) async fn judge_tree(
    tester: &Tester,
    task: &Task,
    (turn, tree): (usize, &Tree),
    retries: u32,
    warn: &mut (dyn FnMut(String) -> Result<(), StoreError> + Send),
) -> Result<Result<Judgement, String>, StoreError> {
    let mut left = retries;
    let judgement = loop {
        match tester.judge(task, tree).await {
            Ok(judgement) => break judgement,
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
    Ok(Ok(judgement))
}
