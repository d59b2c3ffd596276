//! What can be wrong with a source of tasks.

use std::path::PathBuf;

use crate::conversation::Interaction;

/// Each message says where it is and what to do.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    #[error("cannot read {path}: {source}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{path}{}: {message}", place(*line, *column))]
    Json {
        path: PathBuf,
        line: usize,
        column: usize,
        message: String,
    },
    #[error(transparent)]
    Yaml(#[from] crate::yaml::YamlError),
    #[error("{origin}: task `{id}`: {problem}")]
    Task {
        origin: String,
        id: String,
        problem: String,
    },
    #[error("task id `{id}` is used twice: in {first} and in {second}; ids must be unique within a run")]
    Duplicate { id: String, first: String, second: String },
    #[error(
        "{origin}: the row has turns but nothing says which interaction they are: add a field \"interaction\" \
             (expansion, editing or refactor), put that word into the file's name, or say `--rows-are`"
    )]
    UnknownInteraction { origin: String },
    #[error(
        "`--rows-are {interaction}`: no row holds the turns of {interaction}, which are made from the task; name one of expansion, editing or refactor"
    )]
    NotWritten { interaction: Interaction },
    #[error("no task to run in {place}{}", match skipped { 0 => String::new(), n => format!(" ({n} rows without dynamic tests were skipped)") })]
    NoTasks { place: String, skipped: usize },
    #[error(
        "{path}: this build cannot read Parquet: rebuild with `--features parquet`, or convert the table to JSON lines"
    )]
    ParquetNotBuilt { path: PathBuf },
    #[cfg(feature = "parquet")]
    #[error("{path}: {source}")]
    Parquet {
        path: PathBuf,
        source: ::parquet::errors::ParquetError,
    },
}

/// `:line:column`, as far as they are known (from 1).
fn place(line: usize, column: usize) -> String {
    [line, column]
        .iter()
        .take_while(|number| **number > 0)
        .map(|number| format!(":{number}"))
        .collect()
}
