//! Whether an installed agent's own sandbox can be set up on this machine, as before each run.

use std::sync::Arc;

use super::Check;
use crate::cli::parts::runtime;
use crate::containment::Namespaces;
use crate::recipe::{Drive, Recipe};
use crate::runner::Scratch;
use crate::scaffold::{Hold, Installed, driver};

/// Runs the preflight of an agent that has one, in namespaces.
pub(super) fn preflight(recipe: &Arc<Recipe>, installed: &Installed) -> std::io::Result<Option<Check>> {
    match &recipe.source.drive {
        Drive::Exec(exec) if exec.preflight.is_some() => {}
        _ => return Ok(None),
    }
    let name = format!("sandbox of {}", recipe.source.name);
    let scratch = match Scratch::passing() {
        Ok(scratch) => scratch,
        Err(error) => return Ok(Some(Check::told(&name, &error))),
    };
    let _hold = Hold::share(&installed.folder);
    let program = std::env::current_exe()?;
    let containment = Arc::new(Namespaces::new(program.clone()));
    let scaffold = driver(recipe.clone(), installed.clone(), program, containment);
    Ok(Some(match runtime()?.block_on(scaffold.check(scratch.path())) {
        Ok(()) => Check::ok(&name, "can be set up"),
        // Other agents run without it.
        Err(error) => {
            let text = error.to_string();
            let whole = format!(
                "`mtsec-agents agents verify {}` tells whether it is whole.",
                recipe.source.name
            );
            let (what, remedy) = text.split_once('\n').unwrap_or((&text, &whole));
            Check::warning(&name, format!("cannot be set up: {what}"), remedy)
        }
    }))
}
