//! A replay beside the run that it repeats: verdicts and trees, trial by trial.

use std::collections::HashMap;

use comfy_table::{Table, presets};
use serde::Serialize;

use super::words::number_of;
use crate::plan::{Cell, Lock, TrialKey};
use crate::store::{RunFolder, StoreError, TrialFolder};
use crate::trial::{Divergence, Outcome, TrialRecord};
use crate::verdict::Verdict;
use crate::workspace::Manifest;

/// What came out as recorded, and what did not.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReplayComparison {
    pub trials: Vec<TrialComparison>,
}

/// One trial of a replay and the one that it repeats.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TrialComparison {
    pub key: TrialKey,
    /// The recorded trial's verdict; `None` where another model went on, for which nothing is recorded.
    pub recorded: Option<Verdict>,
    /// `None`: no verdict, or none yet.
    pub replayed: Option<Verdict>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub divergence: Option<Divergence>,
    /// Turn by turn, as far as both have a snapshot and the answers were recorded ones: whether the trees are the same.
    pub same_trees: Vec<bool>,
}

impl TrialComparison {
    /// Whether the trial came out as recorded, as far as there is anything to compare it with.
    pub fn agrees(&self) -> bool {
        self.divergence.is_none() && (self.recorded.is_none() || self.recorded == self.replayed)
    }
}

impl ReplayComparison {
    pub fn agrees(&self) -> bool {
        self.trials.iter().all(TrialComparison::agrees)
    }
}

/// Compares every trial of a replay that has its outcome.
///
/// # Errors
/// A record or a snapshot cannot be read.
pub fn compare_replay(run: &RunFolder, source: &RunFolder) -> Result<ReplayComparison, StoreError> {
    let lock: Lock = run.read_json("lock.json")?;
    let cells: HashMap<String, &Cell> = lock.cells.iter().map(|cell| (cell.id(), cell)).collect();
    let mut trials = Vec::new();
    for key in &lock.trials {
        let replay = cells.get(&key.cell).and_then(|cell| cell.replay.as_ref());
        let (Some(replay), Some(record)) = (replay, run.trial(key).whole_record()?) else {
            continue;
        };
        let recorded = source.trial(&TrialKey {
            cell: replay.cell.clone(),
            ..key.clone()
        });
        let before = recorded.whole_record()?;
        let compared = replay.until.unwrap_or(record.turns.len());
        trials.push(TrialComparison {
            key: key.clone(),
            recorded: before
                .filter(|_| replay.until.is_none())
                .and_then(|before| verdict(&before)),
            replayed: verdict(&record),
            divergence: match &record.outcome {
                Outcome::Diverged { divergence } => Some(divergence.clone()),
                _ => None,
            },
            same_trees: same_trees(&run.trial(key), &recorded, compared)?,
        });
    }
    Ok(ReplayComparison { trials })
}

fn verdict(record: &TrialRecord) -> Option<Verdict> {
    match record.outcome {
        Outcome::Judged { verdict } => Some(verdict),
        _ => None,
    }
}

fn same_trees(replayed: &TrialFolder, recorded: &TrialFolder, turns: usize) -> Result<Vec<bool>, StoreError> {
    let mut same = Vec::new();
    for turn in 1..=turns {
        let name = format!("turns/{turn}/snapshot.json");
        if !replayed.path().join(&name).exists() || !recorded.path().join(&name).exists() {
            break;
        }
        let (new, old): (Manifest, Manifest) = (replayed.read_json(&name)?, recorded.read_json(&name)?);
        same.push(new == old);
    }
    Ok(same)
}

/// The comparison for people, ending in a newline.
pub fn render_replay(comparison: &ReplayComparison) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table.set_header(["trial", "recorded", "replayed", "trees after the replayed turns"]);
    let shown = |verdict: Option<Verdict>| verdict.map_or_else(|| "–".to_owned(), |verdict| verdict.to_string());
    for trial in &comparison.trials {
        let replayed = match &trial.divergence {
            Some(divergence) => format!("diverged at turn {}, call {}", divergence.turn, divergence.call),
            None => shown(trial.replayed),
        };
        let trees: Vec<&str> = trial
            .same_trees
            .iter()
            .map(|same| if *same { "same" } else { "differs" })
            .collect();
        table.add_row([trial.key.to_string(), shown(trial.recorded), replayed, trees.join(", ")]);
    }
    let mut text = format!("{table}\n");
    for trial in &comparison.trials {
        if let Some(divergence) = &trial.divergence {
            text.push_str(&format!("{} diverged at {divergence}\n", trial.key));
        }
    }
    let differ = comparison.trials.iter().filter(|trial| !trial.agrees()).count();
    text.push_str(&match differ {
        0 => format!(
            "{} came out as recorded.\n",
            number_of(comparison.trials.len(), "trial")
        ),
        _ => format!(
            "{differ} of {} did not come out as recorded.\n",
            number_of(comparison.trials.len(), "trial")
        ),
    });
    text
}
