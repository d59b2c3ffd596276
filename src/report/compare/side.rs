//! One side of a comparison: the chosen rows of a run, and which rows of two sides belong together.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;

use serde::Serialize;

use super::choice::{Dimension, SideChoice};
use crate::conversation::Interaction;
use crate::plan::{Cell, Lock, TrialKey};
use crate::store::{RunFolder, StoreError};
use crate::task::Task;

/// What a row is of.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Labels {
    /// With its version, such as `aider 0.82.1`.
    pub scaffold: String,
    pub model: String,
    /// Those that differ from the recipe's defaults.
    pub options: String,
    pub interaction: Interaction,
    /// [`Cell::id`].
    pub cell: String,
}

impl Labels {
    fn of(cell: &Cell, interaction: Interaction) -> Self {
        Self {
            scaffold: format!("{} {}", cell.scaffold, cell.version),
            model: cell.answered_by(),
            options: cell.options.to_string(),
            interaction,
            cell: cell.id(),
        }
    }

    /// Its value in a dimension.
    pub fn value(&self, dimension: Dimension) -> &str {
        match dimension {
            Dimension::Scaffold => &self.scaffold,
            Dimension::Model => &self.model,
            Dimension::Options => &self.options,
            Dimension::Interaction => self.interaction.name(),
            Dimension::Cell => &self.cell,
        }
    }

    fn is(&self, dimension: Dimension, wanted: &str) -> bool {
        let value = self.value(dimension);
        match dimension {
            // Without the version it is any version.
            Dimension::Scaffold => value == wanted || value.split(' ').next() == Some(wanted),
            Dimension::Cell => !wanted.is_empty() && value.starts_with(wanted),
            _ => value == wanted,
        }
    }
}

/// The chosen rows of a run.
pub struct Side {
    /// As the user chose it.
    pub name: String,
    pub scripted: bool,
    pub(super) run: RunFolder,
    /// The run's own copies of the chosen tasks, by id.
    pub(super) tasks: HashMap<String, Task>,
    pub(in crate::report) rows: Vec<SideRow>,
    /// What the user has named: it is compared, and need not agree.
    named: Vec<Dimension>,
    place: PathBuf,
}

/// One cell under one interaction.
pub(in crate::report) struct SideRow {
    pub labels: Labels,
    /// In the order of the plan.
    pub trials: Vec<TrialKey>,
}

impl Side {
    /// The rows of a run that were chosen, and their trials of these tasks.
    ///
    /// # Errors
    /// The run's lock cannot be read.
    pub fn open(choice: &SideChoice, run: RunFolder, lock: Lock, tasks: Vec<Task>) -> Result<Self, StoreError> {
        let cells: HashMap<String, &Cell> = lock.cells.iter().map(|cell| (cell.id(), cell)).collect();
        let tasks: HashMap<String, Task> = tasks.into_iter().map(|task| (task.id.clone(), task)).collect();
        let mut rows: Vec<SideRow> = Vec::new();
        for key in lock.trials {
            let Some(cell) = cells.get(&key.cell) else {
                return Err(StoreError::Damaged {
                    path: run.path().join("lock.json"),
                    message: format!("trial {key} belongs to no cell of the run"),
                });
            };
            let labels = Labels::of(cell, key.interaction);
            let chosen = choice
                .wanted
                .iter()
                .all(|(dimension, value)| labels.is(*dimension, value));
            if !chosen || !tasks.contains_key(&key.task) {
                continue;
            }
            match rows.iter_mut().find(|row| row.labels == labels) {
                Some(row) => row.trials.push(key),
                None => rows.push(SideRow {
                    labels,
                    trials: vec![key],
                }),
            }
        }
        let order = |row: &SideRow| {
            let cell = lock.cells.iter().position(|cell| cell.id() == row.labels.cell);
            (cell, row.labels.interaction)
        };
        rows.sort_by_key(order);
        Ok(Self {
            name: choice.to_string(),
            scripted: lock.scripted,
            place: run.path().canonicalize().unwrap_or_else(|_| run.path().to_owned()),
            named: choice.wanted.iter().map(|(dimension, _)| *dimension).collect(),
            run,
            tasks,
            rows,
        })
    }

    /// What rows there are, for the message that tells that none fits: one a line.
    pub fn describe(&self) -> String {
        let lines = self.rows.iter().map(|row| {
            let value = |dimension: &Dimension| format!("{}={}", dimension.name(), row.labels.value(*dimension));
            let parts: Vec<String> = Dimension::ALL.iter().map(value).collect();
            format!("  {}\n", parts.join(", "))
        });
        match self.rows.is_empty() {
            true => "  (no row)\n".to_owned(),
            false => lines.collect(),
        }
    }
}

/// Which rows belong together: those that agree in everything but what is compared. That is what the user has named on
/// either side, and what has a single value on each.
pub(super) fn partners<'a>(a: &'a Side, b: &'a Side) -> Vec<(&'a SideRow, &'a SideRow)> {
    let single = |side: &Side, dimension: Dimension| {
        let values: BTreeSet<&str> = side.rows.iter().map(|row| row.labels.value(dimension)).collect();
        values.len() <= 1
    };
    let named = |dimension: Dimension| a.named.contains(&dimension) || b.named.contains(&dimension);
    let must_agree: Vec<Dimension> = match named(Dimension::Cell) {
        true => Vec::new(),
        // Cells need not: they may differ in their limits alone, which are told by nothing else.
        false => Dimension::ALL
            .into_iter()
            .filter(|dimension| *dimension != Dimension::Cell && !named(*dimension))
            .filter(|dimension| !(single(a, *dimension) && single(b, *dimension)))
            .collect(),
    };
    let mut found = Vec::new();
    for first in &a.rows {
        for second in &b.rows {
            let agree = |dimension: &Dimension| first.labels.value(*dimension) == second.labels.value(*dimension);
            let itself = a.place == b.place && first.labels == second.labels;
            if !itself && must_agree.iter().all(agree) {
                found.push((first, second));
            }
        }
    }
    found
}
