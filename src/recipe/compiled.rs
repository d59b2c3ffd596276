//! A recipe that is ready for use: its expressions compiled, its templates checked.

use std::sync::Arc;

use super::template::Templates;
use super::terminal::TerminalRules;
use super::{Drive, RecipeError, Source};
use crate::diagnosis::Signs;
use crate::plan::Options;

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
    /// By what words the traffic shows what went wrong.
    pub signs: Arc<Signs>,
}

/// `drive` of a recipe, ready for use.
#[derive(Debug, Clone)]
pub enum Driven {
    /// Through a terminal.
    Pty(Arc<TerminalRules>),
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
        };
        let signs = Signs::compile(&source.name, source.signs.clone());
        let signs = signs.map_err(|(field, message)| wrong(format!("signs.{field}"), message))?;
        Ok(Self {
            signs: Arc::new(signs),
            templates: Templates::compile(&source).map_err(at)?,
            driven,
            varies,
            source,
            own: None,
        })
    }

    /// Why these options cannot be had, if they cannot.
    pub fn refuses(&self, options: &Options) -> Option<String> {
        let format = options.edit_format?;
        let known = &self.source.supports.edit_formats;
        (!known.contains(&format)).then(|| format!("{} has no edit format `{format}`", self.source.name))
    }
}
