//! Whether an installed agent's own sandbox can be set up on this machine, by the command of its recipe that tells.

use std::process::{Command, Stdio};

use minijinja::Value;

use super::Check;
use crate::process::children;
use crate::recipe::{Drive, Places, Recipe};
use crate::runner::Scratch;
use crate::scaffold::{Installed, PATH};

/// Runs the preflight of an agent that has one. A run does so once more, in the containment of its agents.
pub(super) fn preflight(recipe: &Recipe, installed: &Installed) -> Option<Check> {
    let Drive::Exec(exec) = &recipe.source.drive else {
        return None;
    };
    let preflight = exec.preflight.as_ref()?;
    let name = format!("sandbox of {}", recipe.source.name);
    let program = Value::from(installed.program.display().to_string());
    let places = Places::from([("agent", Value::from(Places::from([("program", program)])))]);
    let argv = preflight.argv.iter().map(|text| recipe.fill(text, &places));
    // One that needs a session's places cannot be run without a session.
    let argv = argv.collect::<Result<Vec<_>, _>>().ok()?;
    let (program, arguments) = argv.split_first()?;
    let scratch = match Scratch::passing() {
        Ok(scratch) => scratch,
        Err(error) => return Some(Check::told(&name, &error)),
    };
    let mut command = Command::new(program);
    command
        .args(arguments)
        .current_dir(scratch.path())
        .env_clear()
        .env("PATH", PATH)
        .env("HOME", scratch.path())
        .env("TMPDIR", scratch.path())
        .stdin(Stdio::null());
    Some(match children::output(&mut command) {
        Ok(output) if output.status.success() => Check::ok(&name, "can be set up"),
        // Other agents run without it.
        Ok(output) => Check::warning(&name, format!("cannot be set up: {}", output.status), &preflight.advice),
        Err(error) => Check::warning(&name, format!("cannot be tried: {error}"), &preflight.advice),
    })
}
