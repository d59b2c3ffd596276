//! From a recipe to the driver of its agent.

use std::path::PathBuf;
use std::sync::Arc;

use super::Scaffold;
use super::api::ApiScaffold;
use super::exec::ExecScaffold;
use super::install::Installed;
use super::pty::PtyScaffold;
use super::shim::ShimScaffold;
use crate::process::Containment;
use crate::recipe::{Driven, Recipe};

/// The recipe's agent, driven as the recipe says, in a containment. `program` is our own executable, which knows the hidden
/// commands.
pub fn driver(
    recipe: Arc<Recipe>,
    installed: Installed,
    program: PathBuf,
    containment: Arc<dyn Containment>,
) -> Arc<dyn Scaffold> {
    match recipe.driven.clone() {
        Driven::Pty(rules) => Arc::new(PtyScaffold::new(recipe, rules, installed, program, containment)),
        Driven::Shim(rules) => Arc::new(ShimScaffold::new(recipe, rules, installed, program, containment)),
        Driven::Exec(rules) => Arc::new(ExecScaffold::new(recipe, rules, installed, program, containment)),
        Driven::Api => Arc::new(ApiScaffold),
    }
}
