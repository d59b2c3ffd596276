//! Which tasks a command is about.

use std::path::PathBuf;

use clap::Args;
use globset::{Glob, GlobSet, GlobSetBuilder};

use super::Failed;
use crate::conversation::Interaction;
use crate::dataset::{self, Dataset};
use crate::experiment::{Sample, Tasks};
use crate::task::Task;

/// The options that choose tasks.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Tasks")]
pub struct Selection {
    /// Tasks to use instead of the built-in ones: a folder, or a file of rows (our own, SecCodePLT's, MT-Sec's); may be
    /// given more than once
    #[arg(long = "tasks", value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// What the turns of MT-Sec rows are, where neither the row nor the file's name says it
    #[arg(long, value_name = "NAME")]
    rows_are: Option<Interaction>,
    /// Only tasks whose id or CWE matches a glob, such as `CWE-79` or `cwe-60*`
    #[arg(short, long, value_name = "GLOB")]
    include: Vec<String>,
    /// No task whose id or CWE matches a glob
    #[arg(short = 'x', long, value_name = "GLOB")]
    exclude: Vec<String>,
    /// At most this many tasks
    #[arg(short, long, value_name = "N")]
    limit: Option<usize>,
}

impl Selection {
    /// Paths, included, excluded, limit: for the record of what was asked.
    pub fn parts(self) -> (Vec<PathBuf>, Vec<String>, Vec<String>, Option<usize>) {
        (self.paths, self.include, self.exclude, self.limit)
    }

    /// What an experiment chooses, where nothing else is asked for.
    pub fn or(self, tasks: &Tasks) -> Self {
        let either = |mine: Vec<String>, theirs: &Vec<String>| match mine.is_empty() {
            true => theirs.clone(),
            false => mine,
        };
        Self {
            paths: match self.paths.is_empty() {
                true => tasks.paths.clone(),
                false => self.paths,
            },
            rows_are: self.rows_are.or(tasks.rows_are),
            include: either(self.include, &tasks.include),
            exclude: either(self.exclude, &tasks.exclude),
            limit: self.limit.or(tasks.limit),
        }
    }

    /// Whether no more than some number of tasks is taken.
    pub fn is_limited(&self) -> bool {
        self.limit.is_some()
    }

    /// Loads and chooses.
    pub fn load(&self) -> Result<Dataset, Failed> {
        self.load_sample(None)
    }

    /// The same, of a sample of what is included and not excluded.
    pub fn load_sample(&self, sample: Option<Sample>) -> Result<Dataset, Failed> {
        let mut dataset = match self.paths.as_slice() {
            [] => dataset::builtin(),
            paths => dataset::load(paths, self.rows_are),
        }
        .map_err(Failed::bad_input)?;
        let (include, exclude) = (globs(&self.include)?, globs(&self.exclude)?);
        let matches = |set: &GlobSet, task: &Task| set.is_match(&task.id) || set.is_match(&task.cwe);
        for pattern in &self.include {
            let glob = globs(std::slice::from_ref(pattern))?;
            if !dataset.tasks.iter().any(|task| matches(&glob, task)) {
                return Err(Failed::bad_input(anyhow::anyhow!(
                    "--include `{pattern}` matches no task id and no CWE: `mtsec-agents tasks list` prints them"
                )));
            }
        }
        let is_chosen = |task: &Task| (self.include.is_empty() || matches(&include, task)) && !matches(&exclude, task);
        let (mut chosen, mut others): (Vec<Task>, Vec<Task>) = dataset.tasks.into_iter().partition(is_chosen);
        if let Some(sample) = sample {
            others.extend(sample.choose(&mut chosen));
        }
        if let Some(limit) = self.limit {
            others.extend(chosen.drain(limit.min(chosen.len())..));
        }
        dataset.tasks = chosen;
        dataset.others.extend(others);
        if dataset.tasks.is_empty() {
            return Err(Failed::bad_input(anyhow::anyhow!(
                "the selection leaves no task to run"
            )));
        }
        Ok(dataset)
    }
}

/// The options that choose among the tasks of a run.
#[derive(Debug, Clone, Args)]
pub struct Filter {
    /// Only tasks whose id or CWE matches a glob, such as `CWE-79` or `cwe-60*`
    #[arg(short, long, value_name = "GLOB")]
    pub include: Vec<String>,
    /// No task whose id or CWE matches a glob
    #[arg(short = 'x', long, value_name = "GLOB")]
    pub exclude: Vec<String>,
}

impl Filter {
    /// Takes out the tasks that are not chosen.
    pub fn apply(&self, tasks: &mut Vec<Task>) -> Result<(), Failed> {
        let (include, exclude) = (globs(&self.include)?, globs(&self.exclude)?);
        let matches = |set: &GlobSet, task: &Task| set.is_match(&task.id) || set.is_match(&task.cwe);
        tasks.retain(|task| (self.include.is_empty() || matches(&include, task)) && !matches(&exclude, task));
        match tasks.is_empty() {
            true => Err(Failed::bad_input(anyhow::anyhow!(
                "the selection leaves no task of the run"
            ))),
            false => Ok(()),
        }
    }
}

fn globs(patterns: &[String]) -> Result<GlobSet, Failed> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        set.add(Glob::new(pattern).map_err(Failed::bad_input)?);
    }
    set.build().map_err(Failed::bad_input)
}
