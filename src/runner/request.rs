//! `run.yaml`: what the user asked for, as given.

use std::path::PathBuf;

use serde::{Deserialize, Deserializer, Serialize};

use crate::budget::Budget;
use crate::conversation::Interaction;
use crate::plan::{Concat, ContainmentKind, EditFormat, SandboxKind, TestTurns};

/// Everything that decides what a run does, before anything is resolved.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Request {
    /// Names, or paths of recipes. Runs of earlier versions had one, under another name.
    #[serde(alias = "scaffold", deserialize_with = "one_or_more")]
    pub scaffolds: Vec<String>,
    /// `VERSION`, or `SCAFFOLD=VERSION`; none: the pinned ones.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub agent_versions: Vec<String>,
    pub models: Vec<String>,
    pub api_base: Option<String>,
    /// By name; none: what is known of the model's server.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dialects: Vec<String>,
    /// Empty: the built-in tasks.
    pub tasks: Vec<PathBuf>,
    pub include: Vec<String>,
    pub exclude: Vec<String>,
    pub limit: Option<usize>,
    /// Empty: every interaction that a task has.
    pub interactions: Vec<Interaction>,
    pub attempts: u32,
    /// `None`: the number of cores, at most 8.
    pub concurrent: Option<usize>,
    pub retries: u32,
    /// Empty: the recipe's default. More than one: a cell for each.
    pub edit_formats: Vec<EditFormat>,
    pub no_lint: bool,
    pub no_shell_commands: bool,
    pub repo_map: u32,
    pub reasoning_effort: Option<String>,
    pub thinking_tokens: Option<u32>,
    pub concat: Concat,
    pub code_diff: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub no_preamble: bool,
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
    pub test_turns: TestTurns,
    pub sandbox: SandboxKind,
    pub containment: ContainmentKind,
    /// The recorded run that is replayed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replay: Option<PathBuf>,
    /// The last turn that is answered from the record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<usize>,
}

fn one_or_more<'de, D: Deserializer<'de>>(source: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Names {
        One(String),
        More(Vec<String>),
    }
    Ok(match Names::deserialize(source)? {
        Names::One(name) => vec![name],
        Names::More(names) => names,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_of_earlier_versions_name_one_scaffold() {
        for (text, wanted) in [
            ("scaffold: aider", vec!["aider"]),
            ("scaffolds: [aider, llm]", vec!["aider", "llm"]),
        ] {
            let request: Request = crate::yaml::read("run.yaml", text).unwrap();
            assert_eq!(request.scaffolds, wanted);
        }
    }
}
