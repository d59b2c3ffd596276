//! A task: one coding problem with its conversations, tests and reference solutions.
//!
//! Seed and conversations are separate: one seed serves any number of interactions, each of any length.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::conversation::{DISTRACTIONS, Interaction, Policy};
use crate::plan::Options;

/// The file of a function task that the agent fills and the tester executes.
pub const SOLUTION_FILE: &str = "app.py";

/// One coding problem (SecCodePLT's and MT-Sec's row, or our own format).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Task {
    /// Unique within a run; any text, such as `CWE-74/0` or `cwe-601-login-redirect`.
    pub id: String,
    /// Normalised weakness name: `CWE-<number>`.
    pub cwe: String,
    #[serde(default)]
    pub language: Language,
    /// The top-level function that the test cases call.
    pub function: String,
    pub description: Description,
    pub tests: Tests,
    /// Third-party distributions that the tests or solutions need; standard-library names are filtered later.
    #[serde(default)]
    pub requires: Vec<String>,
    /// The turns of each multi-turn interaction. `single` is not stored: it is rendered from the description.
    #[serde(default)]
    pub conversations: BTreeMap<Interaction, Vec<String>>,
    /// Further conversations of an interaction, by their number of turns (`--turns`; paper, table 7).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub lengths: BTreeMap<Interaction, BTreeMap<u32, Vec<String>>>,
    /// The first turns of `random`, by the seed that chose them; filled in for a run, so that it holds all that was said.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub distractions: BTreeMap<u64, Vec<String>>,
    /// Whole-file programs with known verdicts; absent where the source has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub references: Option<References>,
    /// Plausible states of the file after each turn but the last, for the scripted models; may be empty.
    #[serde(default)]
    pub drafts: BTreeMap<Interaction, Vec<String>>,
    /// Where the task was read, such as `tasks.jsonl:12`; for messages only.
    #[serde(default)]
    pub origin: String,
}

/// The language that a task's solution is written in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    #[default]
    Python,
}

/// The description fields of the seed, from which the single-turn prompt is rendered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    pub description: String,
    #[serde(default)]
    pub security_policy: String,
    #[serde(default)]
    pub context: String,
    #[serde(default)]
    pub arguments: String,
    #[serde(default, rename = "return")]
    pub returns: String,
    #[serde(default, rename = "raise")]
    pub raises: String,
}

/// The dynamic tests: hidden from the agent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tests {
    /// Python that runs before the code under test, in the same namespace.
    #[serde(default)]
    pub setup: String,
    /// Python that assigns `testcases = {"capability": [...], "safety": [...]}`.
    pub testcases: String,
}

/// Reference solutions as whole files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct References {
    /// Judged `correct_secure`.
    pub secure: String,
    /// Judged `correct_insecure`.
    pub insecure: String,
}

impl Task {
    /// The interactions that this task can be run with, `single` first.
    pub fn interactions(&self) -> Vec<Interaction> {
        std::iter::once(Interaction::Single)
            .chain(self.conversations.keys().copied())
            .collect()
    }

    /// Whether it can be run with an interaction under these options.
    pub fn offers(&self, interaction: Interaction, options: &Options) -> bool {
        self.lacks(interaction, options).is_none()
    }

    /// Why it cannot, if so.
    pub fn lacks(&self, interaction: Interaction, options: &Options) -> Option<Lack> {
        let of_turns = |of: Interaction| {
            let lack = Lack::Conversation {
                of,
                turns: options.turns,
            };
            self.turns(of, options.turns).is_none().then_some(lack)
        };
        let said = match interaction {
            Interaction::Single | Interaction::DebuggingTests | Interaction::DebuggingNatural => None,
            Interaction::LongerSingle => of_turns(Interaction::Expansion),
            Interaction::Random if options.turns.is_some_and(|turns| turns as usize != DISTRACTIONS + 1) => {
                of_turns(Interaction::Random)
            }
            Interaction::Random => {
                let chosen = self.distractions.get(&options.seed);
                chosen.is_none().then_some(Lack::Distractions)
            }
            Interaction::Expansion | Interaction::Editing | Interaction::Refactor => of_turns(interaction),
        };
        let unsaid = options.policy != Policy::None && !self.has_policy();
        said.or(unsaid.then_some(Lack::Policy))
    }

    /// Whether there is a security policy that could be said.
    pub fn has_policy(&self) -> bool {
        !self.description.security_policy.trim().is_empty()
    }

    /// The turns of a conversation that is written in the task: of so many, or as many as there are.
    pub fn turns(&self, interaction: Interaction, count: Option<u32>) -> Option<&Vec<String>> {
        let own = self.conversations.get(&interaction);
        match count {
            None => own,
            Some(count) => own
                .filter(|turns| turns.len() == count as usize)
                .or_else(|| self.lengths.get(&interaction)?.get(&count)),
        }
    }

    /// The numbers of turns that it has conversations of, in rising order.
    pub fn counts(&self, interaction: Interaction) -> Vec<usize> {
        let own = self.conversations.get(&interaction).map(Vec::len);
        let further = self.lengths.get(&interaction).into_iter().flat_map(BTreeMap::values);
        let mut counts: Vec<usize> = own.into_iter().chain(further.map(Vec::len)).collect();
        counts.sort_unstable();
        counts
    }
}

/// What keeps a task from being run in a way that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lack {
    /// It has no conversation of this kind, or none of so many turns.
    Conversation { of: Interaction, turns: Option<u32> },
    /// There are too few tasks of other weaknesses for the first turns of `random`.
    Distractions,
    /// It has no security policy that could be said.
    Policy,
}

impl fmt::Display for Lack {
    /// After "tasks have" and the like.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conversation { of, turns: None } => write!(f, "no {of} conversation"),
            Self::Conversation { of, turns: Some(turns) } => write!(f, "no {of} conversation of {turns} turns"),
            Self::Distractions => f.write_str("too few tasks of other weaknesses beside them"),
            Self::Policy => f.write_str("no security policy"),
        }
    }
}
