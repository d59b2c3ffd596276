//! The file as it is written: what may be written in it, and where it is.

use serde::Deserialize;
use serde_yaml::Spanned;

use super::bases::Bases;
use super::mapping::{Mapping, Named, one_or_more};
use super::settings::{self, Settings, Tasks};
use super::table::Share;
use crate::budget::Budget;
use crate::plan::{ContainmentKind, SandboxKind, TestTurns};

/// An experiment file.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct File {
    pub name: Option<Spanned<String>>,
    pub about: String,
    pub tasks: Tasks,
    #[serde(deserialize_with = "settings::attempts")]
    pub attempts: Option<u32>,
    pub retries: Option<u32>,
    pub test_turns: TestTurns,
    pub agent_versions: Vec<String>,
    pub api_base: Bases,
    pub dialects: Vec<String>,
    #[serde(deserialize_with = "settings::seconds")]
    pub turn_limit: Option<f64>,
    #[serde(deserialize_with = "settings::seconds")]
    pub session_limit: Option<f64>,
    #[serde(deserialize_with = "settings::seconds")]
    pub quiet_limit: Option<f64>,
    #[serde(deserialize_with = "settings::seconds")]
    pub trial_limit: Option<f64>,
    #[serde(deserialize_with = "settings::seconds")]
    pub agent_turn_limit: Option<f64>,
    #[serde(deserialize_with = "settings::seconds")]
    pub agent_session_limit: Option<f64>,
    #[serde(deserialize_with = "settings::seconds")]
    pub agent_trial_limit: Option<f64>,
    #[serde(deserialize_with = "settings::budget")]
    pub trial_budget: Budget,
    #[serde(deserialize_with = "settings::budget")]
    pub run_budget: Budget,
    pub sandbox: SandboxKind,
    pub containment: ContainmentKind,
    pub matrix: Option<Spanned<Mapping>>,
    pub exclude: Vec<Spanned<Mapping>>,
    pub include: Vec<Spanned<Mapping>>,
    /// By their names, in the order of the file.
    pub cells: Named,
    pub defaults: Mapping,
    pub table: Option<Spanned<WrittenTable>>,
}

impl File {
    /// What is the same for all cells.
    pub fn settings(&self) -> Settings {
        Settings {
            attempts: self.attempts.unwrap_or(1),
            retries: self.retries.unwrap_or(1),
            test_turns: self.test_turns,
            agent_versions: self.agent_versions.clone(),
            api_base: self.api_base.endpoints(),
            turn_limit: self.turn_limit,
            session_limit: self.session_limit,
            quiet_limit: self.quiet_limit,
            trial_limit: self.trial_limit,
            agent_turn_limit: self.agent_turn_limit,
            agent_session_limit: self.agent_session_limit,
            agent_trial_limit: self.agent_trial_limit,
            trial_budget: self.trial_budget,
            run_budget: self.run_budget,
            sandbox: self.sandbox,
            containment: self.containment,
        }
    }
}

/// [`super::Table`], as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WrittenTable {
    pub caption: String,
    pub lines: Vec<Spanned<String>>,
    pub columns: Vec<Spanned<WrittenColumn>>,
    pub shares: Vec<Share>,
}

/// [`super::Column`], as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrittenColumn {
    pub title: Spanned<String>,
    /// None: every row.
    #[serde(rename = "where", default, deserialize_with = "one_or_more")]
    pub alternatives: Vec<Spanned<Mapping>>,
    #[serde(default)]
    pub after_retries: Option<Spanned<u32>>,
    #[serde(default)]
    pub baseline: Option<Spanned<String>>,
}
