//! `doctor`: whether this machine has all that is needed, and the remedy for what it lacks.

mod machine;
mod preflight;

use std::sync::Arc;

use clap::Args;
use serde::Serialize;

use machine::{docker, git, limits, needs, on_path, room, temporary};
use preflight::preflight;

use super::parts::{cache, runtime};
use super::{Result, agents};
use crate::console::Console;
use crate::containment;
use crate::exit_code::Exit;
use crate::gateway::catalogue::ModelCatalogue;
use crate::keys;
use crate::python::{self, Wanted};
use crate::recipe::{Install, Recipe};
use crate::runner::Scratch;
use crate::sandbox::probe;
use crate::scaffold::Status;
use crate::tester::PYTHON;

/// Check that this machine has all that is needed, and say the remedy for what it lacks
///
/// Nothing is installed, started or changed. Exit code 0: nothing that is needed is missing; 3: something is.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Doctor {
    /// Folder of all runs
    #[arg(short = 'o', long, default_value = "jobs", value_name = "DIR")]
    jobs_dir: std::path::PathBuf,
    /// Print the checks as JSON lines
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  mtsec-agents doctor
  mtsec-agents doctor --json | jq 'select(.state != \"ok\")'";

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Ok,
    /// Not needed for everything, or likely to be too little.
    Warning,
    /// Nothing can be run without it.
    Missing,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Check {
    name: String,
    state: State,
    found: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

impl Check {
    fn ok(name: &str, found: impl Into<String>) -> Self {
        let (name, found) = (name.to_owned(), found.into());
        let (state, remedy) = (State::Ok, None);
        Self {
            name,
            state,
            found,
            remedy,
        }
    }

    fn warning(name: &str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            state: State::Warning,
            remedy: Some(remedy.into()),
            ..Self::ok(name, found)
        }
    }

    fn missing(name: &str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            state: State::Missing,
            ..Self::warning(name, found, remedy)
        }
    }

    /// An error whose text ends with its own remedy, on the lines after the first.
    fn told(name: &str, error: &impl std::fmt::Display) -> Self {
        let text = error.to_string();
        let (what, remedy) = text.split_once('\n').unwrap_or((&text, ""));
        Self::missing(name, what, remedy)
    }
}

impl Doctor {
    pub fn carry_out(self, console: &Console) -> Result {
        let mut checks = vec![sandbox()?, containment()?, tester_python()];
        checks.extend(agents_and_their_python()?);
        checks.push(git());
        checks.push(api_keys());
        checks.push(docker()?);
        checks.push(temporary());
        match cache() {
            Ok(cache) => checks.push(room(
                "cache",
                &cache,
                2 << 30,
                "set MTSEC_CACHE to a folder with more room",
            )),
            Err(error) => checks.push(Check::told("cache", &error)),
        }
        checks.push(room(
            "jobs folder",
            &self.jobs_dir,
            1 << 30,
            "name another folder with --jobs-dir",
        ));
        checks.extend(limits());
        for check in &checks {
            console.result(&if self.json {
                format!("{}\n", serde_json::to_string(check)?)
            } else {
                line(check)
            })?;
        }
        let missing = checks.iter().filter(|check| check.state == State::Missing).count();
        match missing {
            0 => console.say("nothing that is needed is missing"),
            count => console.warn(&format!(
                "{count} of {} things that are needed are missing",
                checks.len()
            )),
        }
        Ok(match missing {
            0 => Exit::Done,
            _ => Exit::MissingPrerequisite,
        })
    }
}

fn line(check: &Check) -> String {
    let state = match check.state {
        State::Ok => "ok     ",
        State::Warning => "warning",
        State::Missing => "MISSING",
    };
    let remedy = check.remedy.as_deref().filter(|remedy| !remedy.is_empty());
    let remedy = remedy.map_or_else(String::new, |remedy| {
        let lines: Vec<String> = remedy.lines().map(|line| format!("         {line}\n")).collect();
        lines.concat()
    });
    format!("{state}  {}: {}\n{remedy}", check.name, check.found)
}

/// Builds a sandbox and takes it down again.
fn sandbox() -> std::io::Result<Check> {
    Ok(match runtime()?.block_on(probe()) {
        Ok(report) => Check::ok("sandbox", report.to_string()),
        Err(error) => Check::told("sandbox", &error),
    })
}

fn containment() -> std::io::Result<Check> {
    let name = "containment of agents";
    let scratch = match Scratch::passing() {
        Ok(scratch) => scratch,
        Err(error) => return Ok(Check::told(name, &error)),
    };
    Ok(match containment::probe(&std::env::current_exe()?, scratch.path()) {
        Ok(()) => Check::ok(name, "Linux namespaces"),
        Err(error) => Check::told(name, &error),
    })
}

fn tester_python() -> Check {
    let name = "interpreter of the tester";
    match python::find(PYTHON) {
        Ok(python) => Check::ok(name, described(&python)),
        Err(error) => Check::told(name, &error),
    }
}

fn described(python: &python::Interpreter) -> String {
    let (major, minor, patch) = python.version;
    format!("CPython {major}.{minor}.{patch}, {}", python.executable.display())
}

/// Agents that are installed need nothing more; the others need a Python that can install them.
fn agents_and_their_python() -> std::io::Result<Vec<Check>> {
    let mut checks = Vec::new();
    for name in Recipe::names() {
        let (label, install) = (format!("agent {name}"), format!("`mtsec-agents agents install {name}`"));
        let Ok(recipe) = Recipe::builtin(&name).map(Arc::new) else {
            continue;
        };
        let status = agents::installer().map(|installer| installer.look_over(&recipe));
        let own_sandbox = match &status {
            Ok(Status::Ready(installed)) => preflight(&recipe, installed)?,
            _ => None,
        };
        checks.push(match status {
            Err(error) => Check::told(&label, &error),
            Ok(Status::Ready(installed)) => {
                Check::ok(&label, format!("{}, {}", installed.version, installed.folder.display()))
            }
            Ok(Status::Installing { folder }) => Check::warning(
                &label,
                format!("another process is installing it in {}", folder.display()),
                "Wait for it; a run would do so as well.",
            ),
            // Where the reason ends with its own remedy, that is the better one.
            Ok(Status::Broken { reason, .. }) => match reason.rsplit_once("; ") {
                Some((what, remedy)) => Check::warning(&label, what, format!("{remedy}.")),
                None => Check::warning(&label, reason, format!("{install} mends it.")),
            },
            Ok(Status::Missing { .. }) => match able_to_install(&label, &install, &recipe.source.install) {
                Some(check) => check,
                None => continue,
            },
        });
        checks.extend(own_sandbox);
        checks.extend(needs(&recipe));
    }
    Ok(checks)
}

/// Whether an agent that is missing can be installed. One that this machine cannot install is no reason to have no other.
fn able_to_install(label: &str, install: &str, way: &Install) -> Option<Check> {
    let ready = |found: String, index: &str| {
        let remedy = format!("{install} does it, and the first run would; it needs access to {index}.");
        Check::warning(label, format!("not installed; {found} can install it"), remedy)
    };
    match way {
        Install::Own | Install::Present(_) => None,
        Install::Pip(pip) => {
            let range = pip.python.parse().ok()?;
            Some(match python::find_for(Wanted::for_agents(range)) {
                Ok(python) => ready(described(&python), "a package index"),
                Err(error) => Check {
                    state: State::Warning,
                    ..Check::told(label, &error)
                },
            })
        }
        Install::Npm(_) => Some(match on_path("npm") {
            Some(npm) => ready(npm.display().to_string(), "npm's registry"),
            None => Check::warning(
                label,
                "not installed, and npm is not on PATH",
                "npm is needed once, to fetch it; on Debian and Ubuntu: apt install npm",
            ),
        }),
    }
}

/// Which keys are set: their names, never their values.
fn api_keys() -> Check {
    let name = "keys of providers";
    let catalogue = match ModelCatalogue::built_in() {
        Ok(catalogue) => catalogue,
        Err(error) => return Check::told(name, &error),
    };
    let mut variables: Vec<&str> = catalogue.providers().filter_map(|(_, variable)| variable).collect();
    variables.push("MTSEC_API_KEY");
    variables.sort_unstable();
    variables.dedup();
    let is_set = |variable: &&str| keys::get(variable).is_some_and(|key| !key.trim().is_empty());
    let (set, unset): (Vec<&str>, Vec<&str>) = variables.into_iter().partition(is_set);
    let (set, unset) = (set.join(", "), unset.join(", "));
    match set.is_empty() {
        false => Check::ok(name, format!("{set} set; not set: {unset}")),
        true => Check::warning(
            name,
            format!("none of {unset} is set"),
            "Set the key of the provider whose models you want; oracle and nop need none.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remedies_stand_below_what_they_are_for() {
        let check = Check::told("sandbox", &"refused\nswitch it on\nor do not");
        assert_eq!(
            line(&check),
            "MISSING  sandbox: refused\n         switch it on\n         or do not\n"
        );
        assert_eq!(line(&Check::ok("git", "here")), "ok       git: here\n");
    }
}
