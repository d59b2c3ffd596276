//! A recipe that is ready for use: its expressions compiled, its templates checked.

use std::sync::Arc;

use super::template::Templates;
use super::terminal::TerminalRules;
use super::{Drive, RecipeError, Source, Supports};
use crate::plan::{Concat, Options};

/// A recipe that is ready for use.
#[derive(Debug)]
pub struct Recipe {
    pub source: Source,
    /// What the user wrote, if it is no recipe of the program's own.
    pub own: Option<OwnRecipe>,
    pub(crate) templates: Templates,
    /// How the agent is driven.
    pub driven: Driven,
    /// What varies from session to session in the agent's requests.
    pub varies: Vec<regex::Regex>,
}

/// `drive` of a recipe, ready for use.
#[derive(Debug, Clone)]
pub enum Driven {
    /// Through a terminal.
    Pty(Arc<TerminalRules>),
    /// There is no agent, only its model.
    Api,
}

/// A recipe that the user wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnRecipe {
    /// Its text, byte for byte.
    pub text: String,
    /// The SHA-256 of the text, in hex.
    pub digest: String,
}

impl Recipe {
    pub(super) fn compile(file: &str, source: Source) -> Result<Self, RecipeError> {
        let wrong = |field: String, message: String| RecipeError::Value {
            file: file.to_owned(),
            field,
            message,
        };
        let mut varies = Vec::new();
        for (index, text) in source.varies.iter().enumerate() {
            let field = format!("varies[{index}]");
            let compiled = regex::Regex::new(text);
            varies.push(compiled.map_err(|error| wrong(field, error.to_string().replace('\n', " ")))?);
        }
        let at = |(field, message)| wrong(field, message);
        let driven = match &source.drive {
            Drive::Pty(pty) => Driven::Pty(Arc::new(TerminalRules::compile(pty.as_ref().clone()).map_err(at)?)),
            Drive::Api(_) => Driven::Api,
        };
        Ok(Self {
            templates: Templates::compile(&source).map_err(at)?,
            driven,
            varies,
            source,
            own: None,
        })
    }

    /// Why these options cannot be had, if they cannot.
    pub fn refuses(&self, options: &Options) -> Option<String> {
        let Supports { concat, code_diff, .. } = self.source.supports;
        let name = &self.source.name;
        if options.concat != Concat::default() && !concat {
            return Some(format!(
                "{name} has no --concat: what counts is what an agent leaves in its workspace"
            ));
        }
        if options.code_diff && !code_diff {
            return Some(format!(
                "{name} has no --code-diff: it writes its edits as --edit-format says"
            ));
        }
        if options.code_diff && options.concat != Concat::default() {
            return Some("--code-diff and --concat exclude each other: differences apply to the program so far".into());
        }
        let format = options.edit_format?;
        let known = &self.source.supports.edit_formats;
        (!known.contains(&format)).then(|| format!("{} has no edit format `{format}`", self.source.name))
    }
}
