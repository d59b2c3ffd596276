//! `drive.shim` of a recipe: an agent behind a driver of our own.

use serde::Deserialize;

use crate::trial::Failure;

/// An agent behind a driver of our own: one process per conversation, told and heard in JSON lines.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shim {
    /// A driver that comes with the program, laid out as `driver.py` in the agent's own folder; `None`: the command line
    /// names one.
    #[serde(default)]
    pub driver: Option<ShimDriver>,
    /// Most steps of the agent in one turn.
    pub iterations: u32,
    /// Longest command of the model, in seconds.
    pub command_seconds: u32,
    /// Longest call of the model, in seconds.
    pub call_seconds: u32,
    /// How often the agent itself tries a call: the gateway has its own tries.
    pub tries: u32,
    /// What its errors mean; the first that matches counts, and none means that the agent has crashed.
    #[serde(default)]
    pub failures: Vec<ShimFailure>,
}

/// The drivers that come with the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ShimDriver {
    Openhands,
}

/// An error of a driver, by a regular expression.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShimFailure {
    pub kind: Failure,
    pub error: String,
}

/// `drive.shim` of a recipe, ready for use.
#[derive(Debug)]
pub struct ShimRules {
    pub source: Shim,
    failures: Vec<(Failure, regex::Regex)>,
}

impl ShimRules {
    pub(super) fn compile(source: Shim) -> Result<Self, (String, String)> {
        let mut failures = Vec::new();
        for (index, failure) in source.failures.iter().enumerate() {
            let compiled = regex::Regex::new(&failure.error);
            let field = || format!("drive.shim.failures[{index}].error");
            let compiled = compiled.map_err(|error| (field(), error.to_string().replace('\n', " ")))?;
            failures.push((failure.kind, compiled));
        }
        Ok(Self { source, failures })
    }

    /// What an error of the driver means.
    pub fn failure(&self, error: &str) -> Failure {
        let found = self.failures.iter().find(|(_, pattern)| pattern.is_match(error));
        found.map_or(Failure::AgentCrashed, |(kind, _)| *kind)
    }
}
