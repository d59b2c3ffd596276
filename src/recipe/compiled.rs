//! A recipe that is ready for use: its expressions compiled, its templates checked.

use std::sync::Arc;

use super::exec::ExecRules;
use super::template::Templates;
use super::terminal::TerminalRules;
use super::{Drive, RecipeError, Source};
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
}

/// `drive` of a recipe, ready for use.
#[derive(Debug, Clone)]
pub enum Driven {
    /// Through a terminal.
    Pty(Arc<TerminalRules>),
    /// By one process per turn.
    Exec(Arc<ExecRules>),
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
        for text in source.install.templates() {
            versioned(text, &source.version).map_err(|message| wrong("install".into(), message))?;
        }
        let at = |(field, message)| wrong(field, message);
        let driven = match &source.drive {
            Drive::Pty(pty) => Driven::Pty(Arc::new(TerminalRules::compile(pty.as_ref().clone()).map_err(at)?)),
            Drive::Exec(exec) => Driven::Exec(Arc::new(ExecRules::compile(exec.as_ref().clone()).map_err(at)?)),
        };
        Ok(Self {
            templates: Templates::compile(&source).map_err(at)?,
            driven,
            varies,
            source,
            own: None,
        })
    }

    /// A text of `install` with the agent's version in it.
    ///
    /// # Errors
    /// It is no template, or names something else; never for a recipe that was loaded.
    pub fn versioned(&self, text: &str) -> Result<String, String> {
        versioned(text, &self.source.version)
    }

    /// Why these options cannot be had, if they cannot.
    pub fn refuses(&self, options: &Options) -> Option<String> {
        let format = options.edit_format?;
        let known = &self.source.supports.edit_formats;
        (!known.contains(&format)).then(|| format!("{} has no edit format `{format}`", self.source.name))
    }
}

/// Fills `{{ version }}` in.
fn versioned(text: &str, version: &str) -> Result<String, String> {
    let mut environment = minijinja::Environment::new();
    environment.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
    let rendered = environment.render_str(text, minijinja::context! { version });
    rendered.map_err(|error| error.to_string())
}
