//! Judging the stored snapshots of a recorded trial: the conversation that led to them is not played again.

use std::collections::BTreeMap;
use std::time::Instant;

use tokio::task::block_in_place;

use super::conduct::{RunError, Stand};
use super::imports::note_missing;
use super::judging::Judging;
use super::trial::Try;
use crate::blob::BlobStore;
use crate::event::Event;
use crate::plan::{TestTurns, TrialKey};
use crate::store::{StoreError, TrialFolder};
use crate::tester::Tree;
use crate::trial::{Ending, Outcome, TrialRecord};
use crate::verdict::Judgement;
use crate::workspace::Manifest;

/// Why a trial has no verdict although its conversation came to its end, if that is so: judging it is all that is missing.
pub(super) fn unjudged(record: &TrialRecord) -> Option<&str> {
    match &record.outcome {
        Outcome::InfrastructureFailure { reason } if record.played => Some(reason),
        _ => None,
    }
}

/// The turns whose snapshots the trial's verdict is about, or would be.
pub(super) fn turns_to_judge(record: &TrialRecord, test_turns: TestTurns) -> Vec<usize> {
    if matches!(record.outcome, Outcome::Judged { .. }) {
        return record.judgements.keys().copied().collect();
    }
    if unjudged(record).is_none() {
        return Vec::new();
    }
    let reached = record.turns.iter().filter(|turn| turn.ending != Ending::NotReached);
    let reached: Vec<_> = reached.collect();
    // What the agent was told is kept: the verdict before each turn of feedback.
    let told = reached.iter().filter(|turn| turn.feedback).count();
    match test_turns {
        TestTurns::Last => (reached.len() - told..=reached.len()).collect(),
        TestTurns::All => (1..=reached.len()).collect(),
    }
}

/// The tree of the snapshot after a turn.
///
/// # Errors
/// The snapshot, or a blob of it, is missing or damaged.
pub(super) fn stored_tree(folder: &TrialFolder, blobs: &BlobStore, turn: usize) -> Result<Tree, String> {
    let manifest: Manifest = folder
        .read_json(&format!("turns/{turn}/snapshot.json"))
        .map_err(|error| error.to_string())?;
    Tree::read(manifest.files(), |digest| blobs.get(digest))
        .map_err(|error| format!("the snapshot after turn {turn} cannot be read: {error}"))
}

/// Gives a played trial its verdict. What was recorded before is kept beside it, under the name that is returned.
///
/// # Errors
/// The trial's folder cannot be written.
pub(super) fn complete(
    folder: &TrialFolder,
    mut record: TrialRecord,
    judgements: BTreeMap<usize, Judgement>,
    seconds: f64,
) -> Result<Option<(TrialRecord, Event)>, StoreError> {
    let (Some(reason), Some((_, last))) = (unjudged(&record), judgements.last_key_value()) else {
        return Ok(None);
    };
    let reason = reason.to_owned();
    let kept = folder.keep_record()?;
    for (turn, judgement) in &judgements {
        folder.write_json(&format!("verdicts/{turn}.json"), judgement)?;
    }
    record.outcome = Outcome::Judged { verdict: last.verdict };
    record.judgements = judgements;
    record.timings.tester = seconds;
    record.warnings.push(format!(
        "judged again, without playing the conversation again, after: {reason}"
    ));
    folder.complete(&record)?;
    let key = record.key.clone();
    Ok(Some((record, Event::TrialJudgedAgain { key, reason, kept })))
}

/// Judges a played trial again for `resume`; `None` when there is nothing that could be judged, so that it must be played.
pub(super) async fn judge_again(stand: &Stand, key: &TrialKey, folder: &TrialFolder) -> Result<Option<Try>, RunError> {
    let conductor = &stand.conductor;
    let recorded = folder.whole_record()?;
    let is_new = recorded.is_none();
    let recorded = recorded.or_else(|| folder.played_record());
    let Some(mut record) = recorded.filter(|record| record.key == *key && unjudged(record).is_some()) else {
        return Ok(None);
    };
    record.retried = folder.usage_of_kept();
    let task = conductor
        .tasks
        .get(&key.task)
        .ok_or_else(|| RunError::Damaged(format!("task `{}`", key.task)))?;
    let cell = conductor
        .cells
        .get(&key.cell)
        .ok_or_else(|| RunError::Damaged(format!("cell {}", key.cell)))?;
    let begun = Instant::now();
    // What its first judging told of turns that it came to is not told a second time.
    let known = record.warnings.clone();
    let mut judgements = BTreeMap::new();
    for turn in turns_to_judge(&record, conductor.lock.test_turns) {
        let tree = match block_in_place(|| stored_tree(folder, &conductor.run.blobs(), turn)) {
            Ok(tree) => tree,
            Err(text) => {
                let text = format!("the conversation is played again: {text}");
                stand.note(&Event::Warning { key: key.clone(), text })?;
                return Ok(None);
            }
        };
        let mut warn = |text: String| {
            if !known.contains(&text) {
                record.warnings.push(text.clone());
            }
            stand.note(&Event::Warning { key: key.clone(), text })
        };
        let judging = Judging {
            tester: &conductor.tester,
            task,
            options: &cell.cell.options,
            retries: conductor.lock.settings.retries,
            explained: false,
        };
        match judging.judge((turn, &tree), &mut warn).await? {
            Ok((judgement, _)) => {
                note_missing(&mut record.turns, turn, &tree, &judgement);
                judgements.insert(turn, judgement);
            }
            Err(reason) => {
                let outcome = Outcome::InfrastructureFailure { reason };
                if is_new {
                    record.outcome = outcome.clone();
                    folder.complete(&record)?;
                }
                stand.note(&Event::TrialEnded {
                    key: key.clone(),
                    outcome: outcome.clone(),
                })?;
                return Ok(Some(Try::Ended(outcome)));
            }
        }
    }
    let Some((record, event)) = complete(folder, record, judgements, begun.elapsed().as_secs_f64())? else {
        return Ok(None);
    };
    stand.note(&event)?;
    stand.note(&Event::TrialEnded {
        key: key.clone(),
        outcome: record.outcome.clone(),
    })?;
    Ok(Some(Try::Ended(record.outcome)))
}
