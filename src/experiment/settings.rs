//! What is the same for all cells of an experiment: its tasks, and how it is run.

use std::path::PathBuf;

use serde::de::{Error, Unexpected};
use serde::{Deserialize, Deserializer};
use sha2::{Digest, Sha256};

use crate::budget::Budget;
use crate::conversation::Interaction;
use crate::plan::{ContainmentKind, Endpoints, SandboxKind, TestTurns};
use crate::task::Task;

/// Which tasks are run: those of `paths` that are included and not excluded, of these the sample, of it at most `limit`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tasks {
    /// Files or folders, absolute once they are read; none: the built-in tasks.
    pub paths: Vec<PathBuf>,
    /// What the turns of MT-Sec rows are, where neither the row nor the file's name says it.
    pub rows_are: Option<Interaction>,
    /// Globs of task ids and CWEs; none: every task.
    pub include: Vec<String>,
    pub exclude: Vec<String>,
    pub sample: Option<Sample>,
    pub limit: Option<usize>,
}

/// Tasks that are chosen by chance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// At most so many; at least one.
    #[serde(deserialize_with = "at_least_one")]
    pub count: usize,
    #[serde(default)]
    pub seed: u64,
}

impl Sample {
    /// Takes out the tasks that are not chosen. Those are chosen whose hash with the seed is lowest: neither the order of the tasks
    /// nor what else is there changes which of two comes first, and a larger sample holds the smaller. Gives what it took out.
    pub fn choose(&self, tasks: &mut Vec<Task>) -> Vec<Task> {
        let rank =
            |task: &Task| -> [u8; 32] { Sha256::digest(format!("{}\n{}", self.seed, task.id).as_bytes()).into() };
        let mut ranks: Vec<[u8; 32]> = tasks.iter().map(rank).collect();
        ranks.sort_unstable();
        let Some(first_out) = ranks.get(self.count) else {
            return Vec::new();
        };
        tasks.extract_if(.., |task| rank(task) >= *first_out).collect()
    }
}

/// How an experiment is run; the same names as of `run`'s options.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    pub attempts: u32,
    pub retries: u32,
    pub test_turns: TestTurns,
    pub agent_versions: Vec<String>,
    pub api_base: Endpoints,
    /// Limits are in seconds; `None`: the recipe's.
    pub turn_limit: Option<f64>,
    pub session_limit: Option<f64>,
    pub quiet_limit: Option<f64>,
    pub trial_limit: Option<f64>,
    pub agent_turn_limit: Option<f64>,
    pub agent_session_limit: Option<f64>,
    pub agent_trial_limit: Option<f64>,
    /// Of every try of a trial.
    pub trial_budget: Budget,
    pub run_budget: Budget,
    pub sandbox: SandboxKind,
    pub containment: ContainmentKind,
}

fn at_least_one<'de, D: Deserializer<'de>>(source: D) -> Result<usize, D::Error> {
    match usize::deserialize(source)? {
        0 => Err(unexpected(Unexpected::Unsigned(0), "a number from 1 on")),
        number => Ok(number),
    }
}

/// A number of attempts.
pub fn attempts<'de, D: Deserializer<'de>>(source: D) -> Result<Option<u32>, D::Error> {
    let number = u32::deserialize(source)?;
    match (1..=1000).contains(&number) {
        true => Ok(Some(number)),
        false => Err(unexpected(
            Unexpected::Unsigned(number.into()),
            "a number from 1 to 1000",
        )),
    }
}

/// A limit.
pub fn seconds<'de, D: Deserializer<'de>>(source: D) -> Result<Option<f64>, D::Error> {
    let number = f64::deserialize(source)?;
    match number.is_finite() && number > 0.0 {
        true => Ok(Some(number)),
        false => Err(unexpected(Unexpected::Float(number), "a number of seconds above 0")),
    }
}

/// A budget.
pub fn budget<'de, D: Deserializer<'de>>(source: D) -> Result<Budget, D::Error> {
    let budget = Budget::deserialize(source)?;
    if let Some(usd) = budget.usd.filter(|usd| !(usd.is_finite() && *usd > 0.0)) {
        return Err(unexpected(Unexpected::Float(usd), "a number of US dollars above 0"));
    }
    match budget.tokens {
        Some(0) => Err(unexpected(Unexpected::Unsigned(0), "a number of tokens from 1 on")),
        _ => Ok(budget),
    }
}

fn unexpected<E: Error>(found: Unexpected<'_>, wanted: &str) -> E {
    E::invalid_value(found, &wanted)
}
