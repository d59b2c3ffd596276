//! `run.yaml`: what the user asked for, as given.

use std::path::PathBuf;

use serde::{Deserialize, Deserializer, Serialize};

use crate::budget::Budget;
use crate::conversation::{Interaction, Policy};
use crate::plan::{
    CellRequest, Concat, ContainmentKind, EditFormat, Endpoints, Feedback, Options, SandboxKind, TestTurns, is_default,
};

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
    pub api_base: Endpoints,
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
    #[serde(skip_serializing_if = "is_default")]
    pub policy: Policy,
    #[serde(skip_serializing_if = "is_default")]
    pub turns: Option<u32>,
    #[serde(skip_serializing_if = "is_default")]
    pub seed: u64,
    #[serde(skip_serializing_if = "is_default")]
    pub feedback: Feedback,
    #[serde(skip_serializing_if = "is_default")]
    pub held_out: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub critic: Option<String>,
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

impl Request {
    /// The cells that it asks for of a scaffold: every model in every edit format.
    pub fn cells_of(&self, scaffold: &str) -> Vec<CellRequest> {
        let formats: Vec<Option<EditFormat>> = match self.edit_formats.as_slice() {
            [] => vec![None],
            formats => formats.iter().copied().map(Some).collect(),
        };
        let in_formats = |model: &String| {
            let cell = |edit_format: &Option<EditFormat>| CellRequest {
                scaffold: scaffold.to_owned(),
                model: model.clone(),
                options: Options {
                    edit_format: *edit_format,
                    ..self.options()
                },
            };
            formats.iter().map(cell).collect::<Vec<_>>()
        };
        self.models.iter().flat_map(in_formats).collect()
    }

    /// The options that all its cells have.
    fn options(&self) -> Options {
        Options {
            edit_format: None,
            no_lint: self.no_lint,
            no_shell_commands: self.no_shell_commands,
            repo_map: self.repo_map,
            reasoning_effort: self.reasoning_effort.clone(),
            thinking_tokens: self.thinking_tokens,
            concat: self.concat,
            code_diff: self.code_diff,
            no_preamble: self.no_preamble,
            policy: self.policy,
            turns: self.turns,
            seed: self.seed,
            feedback: self.feedback,
            held_out: self.held_out,
            critic: self.critic.clone(),
            dialects: self.dialects.clone(),
        }
    }
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

    #[test]
    fn endpoints_are_none_an_address_or_a_mapping() {
        for text in [
            "api_base: null",
            "api_base: http://a/v1",
            "api_base: {local: http://a/v1}",
        ] {
            let request: Request = crate::yaml::read("run.yaml", text).unwrap();
            let again: Request = crate::yaml::read("run.yaml", &crate::yaml::write(&request).unwrap()).unwrap();
            assert_eq!(again, request);
            assert_eq!(request.api_base == Endpoints::Own, text.ends_with("null"), "{text}");
        }
    }
}
