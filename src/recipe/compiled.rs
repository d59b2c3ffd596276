//! A recipe that is ready for use: its expressions compiled, its templates checked.

use std::sync::Arc;

use super::exec::ExecRules;
use super::shim::ShimRules;
use super::template::Templates;
use super::terminal::TerminalRules;
use super::{Drive, Install, RecipeError, Source};
use crate::conversation::{Delivery, Manner};
use crate::diagnosis::Signs;
use crate::plan::Options;

/// A recipe that is ready for use.
#[derive(Debug)]
pub struct Recipe {
    pub source: Source,
    /// What the user wrote, if it is no recipe of the program's own.
    pub own: Option<OwnRecipe>,
    /// The version that it was made for, where another one was asked for.
    pub made_for: Option<String>,
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
    /// Through a driver that speaks JSON lines.
    Shim(Arc<ShimRules>),
    /// By one process per turn.
    Exec(Arc<ExecRules>),
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
        for text in source.install.templates() {
            versioned(text, &source.version).map_err(|message| wrong("install".into(), message))?;
        }
        let at = |(field, message)| wrong(field, message);
        let driven = match &source.drive {
            Drive::Pty(pty) => Driven::Pty(Arc::new(TerminalRules::compile(pty.as_ref().clone()).map_err(at)?)),
            Drive::Shim(shim) => Driven::Shim(Arc::new(ShimRules::compile(shim.clone()).map_err(at)?)),
            Drive::Exec(exec) => Driven::Exec(Arc::new(ExecRules::compile(exec.as_ref().clone()).map_err(at)?)),
            Drive::Api(_) => Driven::Api,
        };
        let signs = Signs::compile(&source.name, source.signs.clone());
        let signs = signs.map_err(|(field, message)| wrong(format!("signs.{field}"), message))?;
        Ok(Self {
            signs: Arc::new(signs.taking_bare_answers(matches!(driven, Driven::Api))),
            templates: Templates::compile(&source).map_err(at)?,
            driven,
            varies,
            source,
            own: None,
            made_for: None,
        })
    }

    /// How the agent's user speaks to it under these options.
    pub fn manner(&self, options: &Options) -> Manner {
        Manner {
            delivery: match self.source.prompts {
                Delivery::Answer if options.code_diff => Delivery::Differences,
                delivery => delivery,
            },
            preamble: self.source.supports.preamble && !options.no_preamble,
            policy: options.policy,
            turns: options.turns,
            seed: options.seed,
        }
    }

    /// Asks for another version of the agent. What is pinned of the one that the recipe was made for is pinned no longer.
    ///
    /// # Errors
    /// It is no version, or the agent has no others.
    pub fn set_version(&mut self, version: &str) -> Result<(), RecipeError> {
        let refused = |why: String| RecipeError::Version {
            version: version.to_owned(),
            why,
        };
        // It becomes the name of a folder, and a part of what pip and npm are asked for.
        let plain = |character: char| character.is_ascii_alphanumeric() || ".-+_!".contains(character);
        let starts_well = version.starts_with(|character: char| character.is_ascii_alphanumeric());
        if !starts_well || version.len() > 64 || !version.chars().all(plain) {
            return Err(refused("this is no version, such as 1.2.3".into()));
        }
        if version == self.source.version {
            return Ok(());
        }
        let name = &self.source.name;
        match &self.source.install {
            Install::Own => return Err(refused(format!("{name} is part of this program and has no versions"))),
            Install::Present(_) => {
                return Err(refused(format!(
                    "{name} is used where it is: install the other version there, and say so in its recipe"
                )));
            }
            Install::Pip(_) | Install::Npm(_) => {}
        }
        let of = |version: &str| {
            let texts = self.source.install.templates().into_iter();
            texts.map(|text| versioned(text, version)).collect::<Vec<_>>()
        };
        if of(version) == of(&self.source.version) {
            return Err(refused(format!(
                "the recipe of {name} names one version only: write `{{{{ version }}}}` for it under `install`"
            )));
        }
        if let Install::Npm(npm) = &mut self.source.install {
            npm.sha256 = None;
            npm.from.values_mut().for_each(|packed| packed.sha256 = None);
        }
        let pinned = std::mem::replace(&mut self.source.version, version.to_owned());
        self.made_for.get_or_insert(pinned);
        Ok(())
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
        self.source.supports.refuses(&self.source.name, options)
    }
}

/// Fills `{{ version }}` in.
fn versioned(text: &str, version: &str) -> Result<String, String> {
    let mut environment = minijinja::Environment::new();
    environment.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
    let rendered = environment.render_str(text, minijinja::context! { version });
    rendered.map_err(|error| error.to_string())
}
