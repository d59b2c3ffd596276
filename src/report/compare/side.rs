//! One side of a comparison: the chosen rows of a run, and which rows of two sides belong together.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::choice::{Dimension, SideChoice};
use super::standing::{Standing, after, read_trial};
use crate::conversation::Interaction;
use crate::plan::{Cell, Key, Limits, Lock, Settings, TrialKey};
use crate::store::{RunFolder, StoreError};
use crate::task::Task;
use crate::verdict::Verdict;

/// What a row is of.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Labels {
    /// The run's folder, as it was named.
    pub run: String,
    /// With its version, such as `aider 0.82.1`.
    pub scaffold: String,
    pub model: String,
    /// Those that differ from the recipe's defaults.
    pub options: String,
    pub interaction: Interaction,
    /// [`Cell::id`].
    pub cell: String,
    /// In the experiment file; empty where it has none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    #[serde(skip)]
    dialect: String,
    /// What [`Key::value`] says of each.
    #[serde(skip)]
    keys: BTreeMap<Key, String>,
}

impl Labels {
    fn of(run: &Path, lock: &Lock, cell: &Cell, interaction: Interaction) -> Self {
        let id = cell.id();
        Self {
            run: run.display().to_string(),
            scaffold: format!("{} {}", cell.scaffold, cell.version),
            model: cell.answered_by(),
            options: cell.options.to_string(),
            interaction,
            name: lock.names.get(&id).cloned().unwrap_or_default(),
            cell: id,
            dialect: cell.options.dialects.join(","),
            keys: Key::ALL
                .into_iter()
                .map(|key| (key, key.value(cell, interaction)))
                .collect(),
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
            Dimension::Name => &self.name,
            Dimension::Dialect => &self.dialect,
            Dimension::Option(key) => self.key(key),
        }
    }

    /// What an experiment file calls its value.
    pub fn key(&self, key: Key) -> &str {
        self.keys.get(&key).map_or("", String::as_str)
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
    pub(in crate::report) scripted: bool,
    /// What was the same for all of the run's trials.
    pub(super) settings: Settings,
    pub(super) skipped_rows: usize,
    /// Trials that are in no row, for the file of its experiment asks for them no more.
    pub(super) stay: usize,
    /// The run's own copies of the chosen tasks, by id.
    pub(in crate::report) tasks: HashMap<String, Task>,
    pub(in crate::report) rows: Vec<SideRow>,
    /// What the user has named: it is compared, and need not agree.
    named: Vec<Dimension>,
    place: PathBuf,
}

/// One cell under one interaction.
#[derive(Clone)]
pub(in crate::report) struct SideRow {
    pub labels: Labels,
    pub limits: Limits,
    /// How often the agent is told what fails, at most.
    pub retries: u32,
    /// In the order of the plan.
    pub trials: Vec<SideTrial>,
}

/// One trial of a row.
#[derive(Clone)]
pub(in crate::report) struct SideTrial {
    pub key: TrialKey,
    pub standing: Standing,
    /// Whether the file of its experiment still asks for it.
    pub asked: bool,
    /// Before feedback, after the first retry, and so on; empty where nothing was judged.
    pub verdicts: Vec<Verdict>,
    /// Turn and evidence of every refusal.
    pub refusals: Vec<(usize, String)>,
}

impl SideRow {
    /// The same after at most so many retries with feedback.
    pub fn after(&self, retries: u32) -> Self {
        let mut row = self.clone();
        for trial in &mut row.trials {
            if let Standing::Counts(_) = trial.standing {
                trial.standing = match after(&trial.verdicts, retries) {
                    Some(verdict) => Standing::Counts(verdict),
                    // Judged at the end only: nothing is known of how it stood then.
                    None => Standing::Missing,
                };
            }
        }
        row
    }
}

impl Side {
    /// The rows of a run that were chosen, and their trials of these tasks.
    ///
    /// # Errors
    /// A record cannot be read, or the run's lock is damaged.
    pub fn open(choice: &SideChoice, run: RunFolder, lock: Lock, tasks: Vec<Task>) -> Result<Self, StoreError> {
        let cells: HashMap<String, &Cell> = lock.cells.iter().map(|cell| (cell.id(), cell)).collect();
        let tasks: HashMap<String, Task> = tasks.into_iter().map(|task| (task.id.clone(), task)).collect();
        let mut rows: Vec<SideRow> = Vec::new();
        let asked = lock.trials.len().saturating_sub(lock.stay);
        for (index, key) in lock.trials.iter().enumerate() {
            let Some(cell) = cells.get(&key.cell) else {
                return Err(StoreError::Damaged {
                    path: run.path().join("lock.json"),
                    message: format!("trial {key} belongs to no cell of the run"),
                });
            };
            let labels = Labels::of(&choice.run, &lock, cell, key.interaction);
            let chosen = choice
                .wanted
                .iter()
                .all(|(dimension, value)| labels.is(*dimension, value));
            if !chosen || !tasks.contains_key(&key.task) {
                continue;
            }
            let trial = SideTrial {
                asked: index < asked,
                ..read_trial(&run, key)?
            };
            match rows.iter_mut().find(|row| row.labels == labels) {
                Some(row) => row.trials.push(trial),
                None => rows.push(SideRow {
                    labels,
                    limits: cell.limits,
                    retries: cell.options.feedback.turns(key.interaction),
                    trials: vec![trial],
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
            settings: lock.settings,
            skipped_rows: lock.skipped_rows,
            stay: 0,
            place: run.path().canonicalize().unwrap_or_else(|_| run.path().to_owned()),
            named: choice.wanted.iter().map(|(dimension, _)| *dimension).collect(),
            tasks,
            rows,
        })
    }

    /// The same with what the file of its experiment asks for, and nothing that was run for an earlier one.
    pub fn as_asked(mut self) -> Self {
        for row in &mut self.rows {
            self.stay += row.trials.extract_if(.., |trial| !trial.asked).count();
        }
        self.rows.retain(|row| !row.trials.is_empty());
        self
    }

    /// What rows there are, one a line.
    fn describe(&self) -> String {
        let lines = self.rows.iter().map(|row| {
            let value = |dimension: &Dimension| format!("{}={}", dimension.name(), row.labels.value(*dimension));
            let parts: Vec<String> = Dimension::TOLD.iter().map(value).collect();
            format!("  {}\n", parts.join(", "))
        });
        match self.rows.is_empty() {
            true => "  (no row)\n".to_owned(),
            false => lines.collect(),
        }
    }
}

/// What does not agree where it must; empty: the two rows belong together.
fn disagree(must_agree: &[Dimension], first: &SideRow, second: &SideRow) -> Vec<Dimension> {
    let differ = |dimension: &Dimension| first.labels.value(*dimension) != second.labels.value(*dimension);
    must_agree.iter().copied().filter(differ).collect()
}

/// What rows of two sides must agree in: all but what is compared. That is what the user has named on either side, and what has
/// a single value on each.
fn must_agree(a: &Side, b: &Side) -> Vec<Dimension> {
    let single = |side: &Side, dimension: Dimension| {
        let values: BTreeSet<&str> = side.rows.iter().map(|row| row.labels.value(dimension)).collect();
        values.len() <= 1
    };
    let named = |dimension: Dimension| a.named.contains(&dimension) || b.named.contains(&dimension);
    let is_compared = |dimension: Dimension| match dimension {
        // Cells need not agree, they may differ in their limits alone, and names are only names; options agree one by one.
        Dimension::Cell | Dimension::Name | Dimension::Options => true,
        Dimension::Interaction => named(dimension),
        // Who names a cell has named all that it consists of.
        _ => {
            let whole = named(Dimension::Cell) || named(Dimension::Name);
            named(dimension) || whole || (dimension.is_option() && named(Dimension::Options))
        }
    };
    Dimension::all()
        .filter(|dimension| !(is_compared(*dimension) || single(a, *dimension) && single(b, *dimension)))
        .collect()
}

/// A row of A and a row of B.
pub(super) type Partners<'a> = (&'a SideRow, &'a SideRow);

/// Which rows belong together, and those of both sides that belong to none.
pub(super) fn partners<'a>(a: &'a Side, b: &'a Side) -> (Vec<Partners<'a>>, [Vec<&'a SideRow>; 2]) {
    let must_agree = must_agree(a, b);
    let itself = |first: &SideRow, second: &SideRow| {
        let same = (&first.labels.cell, first.labels.interaction) == (&second.labels.cell, second.labels.interaction);
        a.place == b.place && same
    };
    let belong =
        |first: &SideRow, second: &SideRow| !itself(first, second) && disagree(&must_agree, first, second).is_empty();
    let mut found = Vec::new();
    for first in &a.rows {
        found.extend(
            b.rows
                .iter()
                .filter(|second| belong(first, second))
                .map(|second| (first, second)),
        );
    }
    // A row that is on both sides is what others are compared with.
    let alone = |row: &&SideRow, others: &[SideRow]| !others.iter().any(|other| itself(row, other));
    let in_first = |row: &&SideRow| !found.iter().any(|(first, _)| std::ptr::eq(*first, *row)) && alone(row, &b.rows);
    let in_second =
        |row: &&SideRow| !found.iter().any(|(_, second)| std::ptr::eq(*second, *row)) && alone(row, &a.rows);
    let left = [
        a.rows.iter().filter(in_first).collect(),
        b.rows.iter().filter(in_second).collect(),
    ];
    (found, left)
}

/// Why no row of A belongs to one of B: what the nearest two do not agree in, and what rows there are.
pub fn why_apart(a: &Side, b: &Side) -> String {
    let must_agree = must_agree(a, b);
    let all = a
        .rows
        .iter()
        .flat_map(|first| b.rows.iter().map(move |second| (first, second)));
    let nearest = all
        .map(|(first, second)| (disagree(&must_agree, first, second), first, second))
        .filter(|(differ, ..)| !differ.is_empty())
        .min_by_key(|(differ, ..)| differ.len());
    let mut text = "no row of A belongs to one of B: they must agree in all but what is compared".to_owned();
    if let Some((differ, first, second)) = nearest {
        let parts: Vec<String> = differ
            .iter()
            .map(|dimension| {
                let [one, other] = [first, second].map(|row| row.labels.value(*dimension));
                format!("{} (`{one}`, `{other}`)", dimension.name())
            })
            .collect();
        text.push_str(&format!(
            "; the nearest differ in {}: name it with KEY=VALUE",
            parts.join(" and ")
        ));
    }
    format!(
        "{text}\nA, {}:\n{}B, {}:\n{}",
        a.name,
        a.describe(),
        b.name,
        b.describe().trim_end()
    )
}
