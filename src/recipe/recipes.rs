//! The recipes of a run: one for each of its scaffolds.

use std::sync::Arc;

use super::{Recipe, RecipeError};

/// Recipes of different names, in the order in which they were asked for.
#[derive(Debug, Clone, Default)]
pub struct Recipes(Vec<Arc<Recipe>>);

impl Recipes {
    /// # Errors
    /// Two recipes have one name, so that their cells could not be told apart.
    pub fn new(recipes: Vec<Recipe>) -> Result<Self, RecipeError> {
        let mut known: Vec<Arc<Recipe>> = Vec::new();
        for recipe in recipes {
            let name = &recipe.source.name;
            if known.iter().any(|other| other.source.name == *name) {
                return Err(RecipeError::Twice { name: name.clone() });
            }
            known.push(recipe.into());
        }
        Ok(Self(known))
    }

    /// The recipes at other versions than the pinned ones: each of `wanted` is `VERSION`, where there is one recipe only,
    /// or `SCAFFOLD=VERSION`.
    ///
    /// # Errors
    /// None is meant, or its agent has no other versions.
    pub fn at_versions(recipes: Vec<Recipe>, wanted: &[String]) -> Result<Vec<Recipe>, RecipeError> {
        let mut recipes = recipes;
        for text in wanted {
            let only = recipes.len() == 1;
            let (name, version) = match text.split_once('=') {
                Some((name, version)) => (Some(name), version),
                None => (None, text.as_str()),
            };
            let meant = recipes
                .iter_mut()
                .find(|recipe| name.map_or(only, |name| recipe.source.name == name));
            let Some(recipe) = meant else {
                let names: Vec<&str> = recipes.iter().map(|recipe| recipe.source.name.as_str()).collect();
                let names = names.join(", ");
                let why = match name {
                    Some(name) => format!("`{name}` is no agent of this run, only {names}"),
                    None => format!("say of which agent, AGENT={text}: this run has {names}"),
                };
                let version = text.clone();
                return Err(RecipeError::Version { version, why });
            };
            recipe.set_version(version)?;
        }
        Ok(recipes)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Arc<Recipe>> {
        self.0.iter()
    }

    /// The place of this scaffold among those that were asked for, from 0.
    pub fn index(&self, scaffold: &str) -> usize {
        self.0
            .iter()
            .position(|recipe| recipe.source.name == scaffold)
            .unwrap_or_default()
    }

    /// The recipe of this scaffold.
    pub fn of(&self, scaffold: &str) -> Option<&Arc<Recipe>> {
        self.0.iter().find(|recipe| recipe.source.name == scaffold)
    }
}
