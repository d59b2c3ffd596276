//! The options of a cell.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Concat, Feedback};
use crate::conversation::{Interaction, Policy};

/// The levels of [`Options::reasoning_effort`] that all agents and providers know: Codex does not start with another one.
pub const EFFORTS: [&str; 4] = ["minimal", "low", "medium", "high"];

/// The knobs of a scaffold. What a recipe cannot set is refused before any work starts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Options {
    /// `None`: the recipe's default.
    pub edit_format: Option<EditFormat>,
    /// `--no-lint`: the agent does not lint its own edits.
    pub no_lint: bool,
    /// `--no-shell-commands`: the agent neither suggests nor runs shell commands.
    pub no_shell_commands: bool,
    /// Repo-map budget in tokens; 0 is off, the paper's base setting.
    pub repo_map: u32,
    pub reasoning_effort: Option<String>,
    /// Thinking budget in tokens.
    pub thinking_tokens: Option<u32>,
    /// `--concat`: whether the code of all turns so far counts, or that of the last one; for models without an agent.
    #[serde(default, skip_serializing_if = "is_default")]
    pub concat: Concat,
    /// `--code-diff`: after the first turn the model is asked for what changes, not for the whole program.
    #[serde(default, skip_serializing_if = "is_default")]
    pub code_diff: bool,
    /// `--no-preamble`: the agent is not told how the work will come.
    #[serde(default, skip_serializing_if = "is_default")]
    pub no_preamble: bool,
    /// `--policy`: where the task's security policy is said.
    #[serde(default, skip_serializing_if = "is_default")]
    pub policy: Policy,
    /// `--turns`: the conversations of so many turns; `None`: the task's own.
    #[serde(default, skip_serializing_if = "is_default")]
    pub turns: Option<u32>,
    /// `--seed`: decides what is chosen by chance: the first turns of `random`, and the tests that are held out.
    #[serde(default, skip_serializing_if = "is_default")]
    pub seed: u64,
    /// `--feedback`: what the tests show after the last turn is said to the agent.
    #[serde(default, skip_serializing_if = "is_default")]
    pub feedback: Feedback,
    /// `--held-out`: the tests are split: feedback is of the one half, the verdict of the other.
    #[serde(default, skip_serializing_if = "is_default")]
    pub held_out: bool,
    /// `--critic`: the model that puts failures in words for `debugging-natural`; `None`: the cell's own.
    #[serde(default, skip_serializing_if = "is_default")]
    pub critic: Option<String>,
    /// `--dialect`: the wire dialects that the model's server is said to speak, by name; none: what is known of it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub dialects: Vec<String>,
}

impl Options {
    /// What of these options does not fit these interactions, if there is such a thing: one that no trial heeds, one that a trial
    /// could not heed in its sense, one that is missing.
    pub fn misfit(&self, interactions: &[Interaction]) -> Option<String> {
        let heeds = |of: &[Interaction]| interactions.iter().any(|interaction| of.contains(interaction));
        let debugging = interactions.iter().find(|interaction| interaction.is_debugging());
        if let (Some(interaction), false) = (debugging, self.held_out) {
            return Some(format!(
                "{interaction} tells the agent which tests fail, and the verdict must be of others: hold tests out with --held-out (`held_out: true` in an experiment)"
            ));
        }
        if self.seed != 0 && !self.held_out && !heeds(&[Interaction::Random]) {
            let seed = self.seed;
            return Some(format!(
                "--seed {seed} decides nothing here: random is not among the interactions, and no tests are held out"
            ));
        }
        if let Some(critic) = &self.critic
            && !heeds(&[Interaction::DebuggingNatural])
        {
            return Some(format!(
                "--critic {critic} is asked nothing here: debugging-natural is not among the interactions"
            ));
        }
        let Feedback { reveal, .. } = self.feedback;
        let is_told = |interaction: &Interaction| self.feedback.turns(*interaction) > 0;
        if !is_default(&reveal) && !interactions.iter().any(is_told) {
            return Some(format!(
                "--reveal {reveal} concerns nothing here: the agent is told of no failed test without --feedback"
            ));
        }
        if matches!(self.policy, Policy::First | Policy::Every) && heeds(&[Interaction::Random]) {
            return Some(format!(
                "--policy {} would say the task's policy with the prompts of other tasks in random: choose last or system",
                self.policy
            ));
        }
        let of_turns = [
            &Interaction::CONVERSATIONS[..],
            &[Interaction::LongerSingle, Interaction::Random],
        ]
        .concat();
        let turns = self.turns.filter(|_| !heeds(&of_turns))?;
        Some(format!(
            "--turns {turns} concerns none of the interactions: single has one turn"
        ))
    }
}

/// Options that came later are not written unless they are set, so that the cells of earlier runs keep their names.
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl fmt::Display for Options {
    /// Only what was asked for, such as `whole no-lint`; nothing for the recipe's defaults.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = Vec::new();
        words.extend(self.edit_format.map(|format| format.to_string()));
        words.extend(self.no_lint.then(|| "no-lint".to_owned()));
        words.extend(self.no_shell_commands.then(|| "no-shell-commands".to_owned()));
        words.extend((self.repo_map > 0).then(|| format!("repo-map={}", self.repo_map)));
        words.extend(self.reasoning_effort.as_ref().map(|effort| format!("effort={effort}")));
        words.extend(self.thinking_tokens.map(|tokens| format!("thinking={tokens}")));
        words.extend((!is_default(&self.concat)).then(|| format!("concat={}", self.concat)));
        words.extend(self.code_diff.then(|| "code-diff".to_owned()));
        words.extend(self.no_preamble.then(|| "no-preamble".to_owned()));
        words.extend((!is_default(&self.policy)).then(|| format!("policy={}", self.policy)));
        words.extend(self.turns.map(|turns| format!("turns={turns}")));
        words.extend((self.seed != 0).then(|| format!("seed={}", self.seed)));
        words.extend((!is_default(&self.feedback)).then(|| self.feedback.to_string()));
        words.extend(self.held_out.then(|| "held-out".to_owned()));
        words.extend(self.critic.as_ref().map(|critic| format!("critic={critic}")));
        words.extend((!self.dialects.is_empty()).then(|| format!("dialect={}", self.dialects.join(","))));
        f.write_str(&words.join(" "))
    }
}

/// How the agent asks the model to write edits (paper, table 11).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EditFormat {
    Diff,
    Udiff,
    Whole,
}

impl EditFormat {
    pub const ALL: [EditFormat; 3] = [Self::Diff, Self::Udiff, Self::Whole];

    /// The agent's own name of the format.
    pub fn name(self) -> &'static str {
        match self {
            Self::Diff => "diff",
            Self::Udiff => "udiff",
            Self::Whole => "whole",
        }
    }
}

impl fmt::Display for EditFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for EditFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|format| format.name() == text)
            .ok_or_else(|| format!("unknown edit format `{text}`: expected diff, udiff or whole"))
    }
}
