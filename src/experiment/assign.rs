//! What a key's value is: read from a file into a cell, and told of a cell again.

use std::path::Path;
use std::str::FromStr;

use crate::conversation::Interaction;
use crate::plan::{CellRequest, EFFORTS, Key};
use crate::recipe::Recipe;

/// Paths of a file start at its folder.
pub struct Folder<'a>(pub &'a Path);

impl Folder<'_> {
    /// A scaffold or a model as it is asked for: the path of a recipe or a script is made absolute.
    pub fn resolve(&self, key: Key, text: &str) -> Result<String, String> {
        let absolute = |path: &str| {
            let path = std::path::absolute(self.0.join(path)).map_err(|error| format!("`{path}`: {error}"))?;
            let path = path.to_str().map(str::to_owned);
            path.ok_or_else(|| format!("the path of `{text}` is not UTF-8"))
        };
        match (key, text.strip_prefix("script:")) {
            (Key::Scaffold, _) if Recipe::is_path(text) => absolute(text),
            (Key::Model | Key::Critic, Some(path)) => Ok(format!("script:{}", absolute(path)?)),
            _ => Ok(text.to_owned()),
        }
    }
}

/// Sets what `key` stands for; `None` leaves it to the recipe, the model or the task.
///
/// # Errors
/// The value is none that the key takes.
pub fn assign(asked: &mut CellRequest, folder: &Folder<'_>, key: Key, text: Option<&str>) -> Result<(), String> {
    let options = &mut asked.options;
    let Some(text) = text else {
        match key {
            Key::EditFormat => options.edit_format = None,
            Key::ReasoningEffort => options.reasoning_effort = None,
            Key::ThinkingTokens => options.thinking_tokens = None,
            Key::Turns => options.turns = None,
            Key::Critic => options.critic = None,
            _ => return Err("null is no value: leave the key out, or give it one".to_owned()),
        }
        return Ok(());
    };
    match key {
        Key::Scaffold => asked.scaffold = folder.resolve(key, named(text)?)?,
        Key::Model => asked.model = folder.resolve(key, named(text)?)?,
        Key::Interaction => drop(interaction(text)?),
        Key::EditFormat => options.edit_format = Some(text.parse()?),
        Key::NoLint => options.no_lint = truth(text)?,
        Key::NoShellCommands => options.no_shell_commands = truth(text)?,
        Key::RepoMap => options.repo_map = number(text, 0, u32::MAX)?,
        Key::ReasoningEffort if EFFORTS.contains(&text) => options.reasoning_effort = Some(text.to_owned()),
        Key::ReasoningEffort => {
            return Err(format!(
                "unknown effort `{text}`: expected one of {}",
                EFFORTS.join(", ")
            ));
        }
        Key::ThinkingTokens => options.thinking_tokens = Some(number(text, 0, u32::MAX)?),
        Key::Concat => options.concat = text.parse()?,
        Key::CodeDiff => options.code_diff = truth(text)?,
        Key::NoPreamble => options.no_preamble = truth(text)?,
        Key::Policy => options.policy = text.parse()?,
        Key::Turns => options.turns = Some(number(text, 1, 100)?),
        Key::Seed => options.seed = number(text, 0, u64::MAX)?,
        Key::Feedback => options.feedback.retries = number(text, 0, 100)?,
        Key::Reveal => options.feedback.reveal = text.parse()?,
        Key::HeldOut => options.held_out = truth(text)?,
        Key::Critic => options.critic = Some(folder.resolve(key, named(text)?)?),
    }
    Ok(())
}

/// The interaction of this name.
pub fn interaction(text: &str) -> Result<Interaction, String> {
    text.parse::<Interaction>().map_err(|error| error.to_string())
}

fn named(text: &str) -> Result<&str, String> {
    match text.trim().is_empty() {
        true => Err("the name is empty".to_owned()),
        false => Ok(text),
    }
}

fn truth(text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| format!("`{text}` is neither true nor false"))
}

fn number<N: FromStr + PartialOrd + std::fmt::Display>(text: &str, least: N, most: N) -> Result<N, String> {
    let number = text
        .parse::<N>()
        .ok()
        .filter(|number| (&least..=&most).contains(&number));
    number.ok_or_else(|| format!("`{text}` is no number from {least} to {most}"))
}
