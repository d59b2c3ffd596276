//! Recipes: what is known of one agent, as data. A recipe is a YAML file under `scaffolds/`.

mod compiled;
mod exec;
mod install;
mod recipes;
mod schema;
mod shim;
mod supports;
mod template;
mod terminal;
mod traffic;

pub use compiled::{Driven, OwnRecipe, Recipe};
pub use exec::*;
pub use install::{Install, Npm, Packed, Pip, Present};
pub use recipes::Recipes;
pub use schema::*;
pub use shim::*;
pub use supports::Supports;
pub use template::{Places, Rendered};
pub use terminal::*;
pub use traffic::Traffic;

pub use crate::gateway::dialect::Dialect;

use std::path::Path;

use sha2::{Digest, Sha256};

use crate::yaml::{self, YamlError};

/// The recipes that come with the program: file name and text.
const BUILTIN: [(&str, &str); 4] = [
    ("scaffolds/aider.yaml", include_str!("../../scaffolds/aider.yaml")),
    (
        "scaffolds/openhands.yaml",
        include_str!("../../scaffolds/openhands.yaml"),
    ),
    ("scaffolds/codex.yaml", include_str!("../../scaffolds/codex.yaml")),
    ("scaffolds/llm.yaml", include_str!("../../scaffolds/llm.yaml")),
];

/// A recipe cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RecipeError {
    #[error("unknown scaffold `{name}`: expected one of {known}, or the path of a recipe (./my-agent.yaml)")]
    Unknown { name: String, known: String },
    #[error("cannot read the recipe {file}: {source}")]
    Read { file: String, source: std::io::Error },
    #[error("two scaffolds of the run are named `{name}`: give one of the recipes another name")]
    Twice { name: String },
    #[error("--agent-version {version}: {why}")]
    Version { version: String, why: String },
    #[error(transparent)]
    Syntax(#[from] YamlError),
    #[error("{file}: {field}: {message}")]
    Value {
        file: String,
        field: String,
        message: String,
    },
}

impl Recipe {
    /// Names of the recipes that come with the program.
    pub fn names() -> Vec<String> {
        BUILTIN.iter().map(|(file, _)| stem(file).to_owned()).collect()
    }

    /// The recipe of this name that comes with the program.
    pub fn builtin(name: &str) -> Result<Recipe, RecipeError> {
        let (file, text) = BUILTIN
            .iter()
            .find(|(file, _)| stem(file) == name)
            .ok_or_else(|| RecipeError::Unknown {
                name: name.to_owned(),
                known: Self::names().join(", "),
            })?;
        Self::parse(file, text)
    }

    /// Whether a scaffold is named by the path of its recipe.
    pub fn is_path(scaffold: &str) -> bool {
        scaffold.contains('/') || scaffold.ends_with(".yaml") || scaffold.ends_with(".yml")
    }

    /// The recipe in a file of the user's.
    ///
    /// # Errors
    /// It cannot be read, or it is no recipe.
    pub fn load(path: &Path) -> Result<Recipe, RecipeError> {
        let file = path.display().to_string();
        let absolute = std::path::absolute(path);
        let text = absolute.and_then(|path| Ok((std::fs::read_to_string(&path)?, path)));
        let (text, path) = text.map_err(|source| RecipeError::Read { file, source })?;
        Self::own(&path, &path.display().to_string(), text)
    }

    /// A recipe of the user's whose text is kept in `file`, and that was written at `path`: what it names relative to
    /// itself is there.
    ///
    /// # Errors
    /// It is no recipe.
    pub fn own(path: &Path, file: &str, text: String) -> Result<Recipe, RecipeError> {
        let mut recipe = Self::parse(file, &text)?;
        let name = &recipe.source.name;
        let plain = |character: char| character.is_ascii_alphanumeric() || "-_.".contains(character);
        if name.is_empty() || name.starts_with('.') || name.len() > 64 || !name.chars().all(plain) {
            return Err(RecipeError::Value {
                file: file.to_owned(),
                field: "name".into(),
                message: "expected letters, digits, `-`, `_` and `.`, at most 64, and no dot at the start".into(),
            });
        }
        if let Install::Present(present) = &mut recipe.source.install
            && let Some(folder) = path.parent()
        {
            present.program = folder.join(&present.program);
            for needed in &mut present.needs {
                *needed = folder.join(&*needed);
            }
        }
        let mut digest = Sha256::new_with_prefix(text.as_bytes());
        if let Install::Present(present) = &recipe.source.install {
            // A changed program is another agent. One that is not there is told of when it is needed.
            digest.update(std::fs::read(&present.program).unwrap_or_default());
        }
        let digest = hex::encode(digest.finalize());
        recipe.own = Some(OwnRecipe { text, digest });
        Ok(recipe)
    }

    /// Reads a recipe; `file` is only named in errors.
    pub fn parse(file: &str, text: &str) -> Result<Recipe, RecipeError> {
        let source: Source = yaml::read(file, text)?;
        Recipe::compile(file, source)
    }
}

fn stem(file: &str) -> &str {
    let name = file.rsplit('/').next().unwrap_or(file);
    name.strip_suffix(".yaml").unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_recipe_that_comes_with_the_program_loads() {
        for name in Recipe::names() {
            let recipe = Recipe::builtin(&name).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(recipe.source.name, name);
        }
        assert!(
            Recipe::builtin("nobody")
                .unwrap_err()
                .to_string()
                .contains("expected one of aider")
        );
    }

    #[test]
    fn a_malformed_recipe_names_file_line_and_column() {
        let text = BUILTIN[0].1.replace("default_answer:", "default_answr:");
        let error = Recipe::parse("mine.yaml", &text).unwrap_err();
        let RecipeError::Syntax(YamlError { file, line, .. }) = &error else {
            panic!("{error}")
        };
        let expected = text
            .lines()
            .position(|line| line.trim_start().starts_with("default_answr"))
            .unwrap()
            + 1;
        assert_eq!((file.as_str(), *line), ("mine.yaml", expected as u64), "{error}");

        let text = BUILTIN[0].1.replace(r"'^Create new file\?$'", "'^Create ( new file'");
        let error = Recipe::parse("mine.yaml", &text).unwrap_err().to_string();
        assert!(
            error.starts_with("mine.yaml: drive.pty.answers[") && error.contains("new file"),
            "{error}"
        );

        let text = BUILTIN[0].1.replace("{{ api_base }}", "{{ api_base");
        let error = Recipe::parse("mine.yaml", &text).unwrap_err().to_string();
        assert!(error.starts_with("mine.yaml: env.ANTHROPIC_API_BASE"), "{error}");
    }
}
