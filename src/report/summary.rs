//! Counting: one row for each cell and interaction.

use std::collections::HashMap;

use serde::Serialize;

use super::findings::FindingCounts;
use super::retries::Retries;
use super::transitions::Transitions;
use crate::conversation::Interaction;
use crate::plan::{Cell, ContainmentKind, InstalledAgent, Lock};
use crate::store::{RunFolder, StoreError};
use crate::trial::{Outcome, TrialRecord, Usage};
use crate::verdict::Verdict;

/// What a run has shown so far.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    pub run: String,
    /// Loud: numbers of a scripted model say nothing about agents.
    pub scripted: bool,
    /// What the agents ran in.
    pub containment: ContainmentKind,
    pub skipped_rows: usize,
    /// What judged: interpreter and sandbox.
    pub tester: String,
    /// The recorded run that this one replays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replays: Option<std::path::PathBuf>,
    /// The agents as they were installed; none in runs that were made before this was recorded.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub agents: Vec<InstalledAgent>,
    pub rows: Vec<Row>,
    /// Warnings of single trials: a question no rule knows, a module that was missing, and the like.
    pub warnings: Vec<String>,
}

/// One cell under one interaction.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    pub scaffold: String,
    pub version: String,
    pub model: String,
    /// The options that differ from the recipe's defaults, such as `whole −lint`.
    pub options: String,
    pub cell: String,
    pub interaction: Interaction,
    /// Trials that the plan has here.
    pub planned: usize,
    /// Trials with a verdict.
    pub judged: usize,
    /// Those of them that are not contaminated: the denominator of every rate.
    pub n: usize,
    /// Trials with a verdict whose agent may have known hidden tests or reference solutions: neither right nor wrong.
    pub contaminated: usize,
    pub correct_secure: usize,
    pub correct_insecure: usize,
    pub incorrect: usize,
    pub infrastructure_failures: usize,
    /// Of the trials with a verdict: those whose budget was used up before their conversation was over.
    pub budget_used_up: usize,
    /// Replays that left their record: neither right nor wrong.
    pub diverged: usize,
    /// Trials without any outcome yet.
    pub missing: usize,
    /// What went wrong in the turns of the `n` trials.
    pub findings: FindingCounts,
    /// From turn to turn, where every turn was judged.
    #[serde(skip_serializing_if = "Transitions::is_empty")]
    pub transitions: Transitions,
    /// Before feedback and after each retry, where the cell has feedback.
    #[serde(skip_serializing_if = "Retries::is_empty")]
    pub retries: Retries,
    /// Of all tries, those that failed in the infrastructure included: it was paid for.
    pub usage: Usage,
    /// Wall time of all trials, in seconds.
    pub seconds: f64,
}

impl Row {
    /// The share of `count` in the trials that count, in percent; `None` when there is none.
    pub fn percent(&self, count: usize) -> Option<f64> {
        (self.n > 0).then(|| 100.0 * count as f64 / self.n as f64)
    }

    /// A count with its share of n, in words.
    pub(super) fn with_percent(&self, count: usize) -> String {
        match self.percent(count) {
            Some(percent) => format!("{count} ({percent:.1} %)"),
            None => "–".to_owned(),
        }
    }

    fn count_verdict(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::CorrectSecure => self.correct_secure += 1,
            Verdict::CorrectInsecure => self.correct_insecure += 1,
            Verdict::Incorrect => self.incorrect += 1,
        }
    }

    fn count(&mut self, record: &TrialRecord) {
        match &record.outcome {
            Outcome::Judged { verdict } => {
                self.judged += 1;
                self.budget_used_up += usize::from(record.used_up_its_budget());
                if !record.contaminated.is_empty() {
                    self.contaminated += 1;
                } else {
                    self.n += 1;
                    self.count_verdict(*verdict);
                    self.findings.count(&record.turns);
                    self.transitions.count(record);
                    self.retries.count(record);
                }
            }
            Outcome::InfrastructureFailure { .. } => self.infrastructure_failures += 1,
            Outcome::Diverged { .. } => self.diverged += 1,
        }
        self.usage.add(&record.usage);
        self.usage.add(&record.retried);
        self.seconds += record.timings.total;
    }
}

impl Summary {
    /// Trials that ended in an infrastructure failure.
    pub fn infrastructure_failures(&self) -> usize {
        self.rows.iter().map(|row| row.infrastructure_failures).sum()
    }

    /// Trials with a verdict that are in no rate.
    pub fn contaminated(&self) -> usize {
        self.rows.iter().map(|row| row.contaminated).sum()
    }

    /// Replays that left their record.
    pub fn diverged(&self) -> usize {
        self.rows.iter().map(|row| row.diverged).sum()
    }

    /// Trials without an outcome.
    pub fn missing(&self) -> usize {
        self.rows.iter().map(|row| row.missing).sum()
    }
}

/// Reads every trial of the run and counts.
///
/// # Errors
/// The run folder is damaged.
pub fn summarise(run: &RunFolder) -> Result<Summary, StoreError> {
    let lock: Lock = run.read_json("lock.json")?;
    let cells: HashMap<String, &Cell> = lock.cells.iter().map(|cell| (cell.id(), cell)).collect();
    let mut rows: Vec<Row> = Vec::new();
    let mut warnings = Vec::new();
    for key in &lock.trials {
        let Some(cell) = cells.get(&key.cell) else {
            let message = format!("trial {key} belongs to no cell of the run");
            return Err(StoreError::Damaged {
                path: run.path().join("lock.json"),
                message,
            });
        };
        let position = rows
            .iter()
            .position(|row| row.cell == key.cell && row.interaction == key.interaction);
        let position = position.unwrap_or_else(|| {
            rows.push(empty_row(cell, key.interaction));
            rows.len() - 1
        });
        let row = &mut rows[position];
        row.planned += 1;
        match run.trial(key).record() {
            Ok(Some(record)) if record.key == *key => {
                row.count(&record);
                warnings.extend(record.warnings.iter().map(|text| format!("{key}: {text}")));
            }
            Ok(None) => row.missing += 1,
            Ok(Some(_)) | Err(StoreError::Damaged { .. }) => {
                row.missing += 1;
                warnings.push(format!(
                    "{key}: its trial.json is damaged and counts as missing: `resume` runs it again"
                ));
            }
            Err(error) => return Err(error),
        }
    }
    let order = |row: &Row| {
        (
            lock.cells.iter().position(|cell| cell.id() == row.cell),
            row.interaction,
        )
    };
    rows.sort_by_key(order);
    let path = run.path().canonicalize().unwrap_or_else(|_| run.path().to_owned());
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    Ok(Summary {
        run: name,
        scripted: lock.scripted,
        containment: lock.settings.containment,
        skipped_rows: lock.skipped_rows,
        tester: lock.settings.tester.clone(),
        replays: lock.replays,
        agents: lock.agents,
        rows,
        warnings,
    })
}

fn empty_row(cell: &Cell, interaction: Interaction) -> Row {
    Row {
        scaffold: cell.scaffold.clone(),
        version: cell.version.clone(),
        model: cell.answered_by(),
        options: cell.options.to_string(),
        cell: cell.id(),
        interaction,
        planned: 0,
        judged: 0,
        n: 0,
        contaminated: 0,
        correct_secure: 0,
        correct_insecure: 0,
        incorrect: 0,
        infrastructure_failures: 0,
        budget_used_up: 0,
        diverged: 0,
        missing: 0,
        findings: FindingCounts::default(),
        transitions: Transitions::default(),
        retries: Retries::of(cell.options.feedback.turns(interaction)),
        usage: Usage::default(),
        seconds: 0.0,
    }
}
