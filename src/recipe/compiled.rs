//! A recipe that is ready for use: its expressions compiled, its templates checked.

use std::sync::Arc;

use super::template::Templates;
use super::terminal::TerminalRules;
use super::{Drive, RecipeError, Shim, Source};
use crate::plan::Options;
use crate::trial::Failure;

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
    /// Through a driver that speaks JSON lines.
    Shim(Arc<ShimRules>),
}

/// `drive.shim` of a recipe, ready for use.
#[derive(Debug)]
pub struct ShimRules {
    pub source: Shim,
    failures: Vec<(Failure, regex::Regex)>,
}

impl ShimRules {
    fn compile(source: Shim) -> Result<Self, (String, String)> {
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
            Drive::Shim(shim) => Driven::Shim(Arc::new(ShimRules::compile(shim.clone()).map_err(at)?)),
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
        let format = options.edit_format?;
        let known = &self.source.supports.edit_formats;
        (!known.contains(&format)).then(|| format!("{} has no edit format `{format}`", self.source.name))
    }
}
