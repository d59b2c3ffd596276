//! Reading tasks: our own format, SecCodePLT rows, MT-Sec rows, and the built-in tasks.
//!
//! Whatever the source, a task is checked here, before any work starts, and an error names file, line and column.

mod builtin;
mod distraction;
mod error;
pub mod feedback;
mod folder;
mod merge;
#[cfg(feature = "parquet")]
mod parquet;
pub mod prompt;
mod rows;
mod rules;

use std::path::{Path, PathBuf};

pub use distraction::distract;
pub use error::DatasetError;

use crate::conversation::Interaction;
use crate::task::Task;

/// Tasks in the order of their sources, and what was left out.
#[derive(Debug, Default)]
pub struct Dataset {
    pub tasks: Vec<Task>,
    /// Tasks of the sources that were not chosen to be run: the first turns of `random` may be about them.
    pub others: Vec<Task>,
    /// Rows that cannot be judged, left out on purpose: never part of a denominator.
    pub skipped: Vec<Skipped>,
}

/// A row that was left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    pub id: String,
    pub origin: String,
    pub reason: &'static str,
}

/// Why rows without dynamic tests are left out (52 of SecCodePLT's 139 rows are judged by a rule in prose only).
pub const NO_DYNAMIC_TESTS: &str = "no dynamic tests";

/// Reads the built-in tasks.
///
/// # Errors
/// Only when the program was built with a broken task.
pub fn builtin() -> Result<Dataset, DatasetError> {
    let mut dataset = Dataset::default();
    for task in builtin::tasks()? {
        merge::add(&mut dataset.tasks, task)?;
    }
    finish(dataset, "the built-in tasks")
}

/// Reads every path: a folder of task folders, one task folder, or a file of rows (`.jsonl`, `.json`, `.parquet`).
///
/// `interaction` says what the turns of MT-Sec rows are where neither row nor file name does.
///
/// # Errors
/// The first thing that is wrong, with file, line and column; also when no testable task is left.
pub fn load(paths: &[PathBuf], interaction: Option<Interaction>) -> Result<Dataset, DatasetError> {
    if let Some(interaction) = interaction.filter(|named| !named.is_written()) {
        return Err(DatasetError::NotWritten { interaction });
    }
    let mut dataset = Dataset::default();
    for path in paths {
        load_one(path, interaction, &mut dataset)?;
    }
    let names: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    finish(dataset, &names.join(", "))
}

fn load_one(path: &Path, interaction: Option<Interaction>, dataset: &mut Dataset) -> Result<(), DatasetError> {
    let metadata = std::fs::metadata(path).map_err(|source| DatasetError::Read {
        path: path.into(),
        source,
    })?;
    let found = if metadata.is_dir() {
        folder::tasks(path)?
            .into_iter()
            .map(|task| rows::Row::Task(Box::new(task)))
            .collect()
    } else if path.extension().is_some_and(|extension| extension == "parquet") {
        parquet_rows(path, interaction)?
    } else {
        rows::read(path, interaction)?
    };
    for row in found {
        match row {
            rows::Row::Task(task) => merge::add(&mut dataset.tasks, *task)?,
            rows::Row::Skipped(skipped) => dataset.skipped.push(skipped),
        }
    }
    Ok(())
}

#[cfg(feature = "parquet")]
fn parquet_rows(path: &Path, interaction: Option<Interaction>) -> Result<Vec<rows::Row>, DatasetError> {
    parquet::read(path, interaction)
}

#[cfg(not(feature = "parquet"))]
fn parquet_rows(path: &Path, _: Option<Interaction>) -> Result<Vec<rows::Row>, DatasetError> {
    Err(DatasetError::ParquetNotBuilt { path: path.into() })
}

fn finish(dataset: Dataset, place: &str) -> Result<Dataset, DatasetError> {
    if dataset.tasks.is_empty() {
        return Err(DatasetError::NoTasks {
            place: place.to_owned(),
            skipped: dataset.skipped.len(),
        });
    }
    Ok(dataset)
}
