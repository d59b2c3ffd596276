//! `agents`: the pinned agents on this machine.

use std::path::Path;

use clap::{Args, Subcommand};

use super::{Failed, Result};
use crate::console::Console;
use crate::exit_code::Exit;
use crate::recipe::Recipe;
use crate::scaffold::{Installed, Installer, Progress, Status};

/// List, install and verify the pinned agents
#[derive(Debug, Subcommand)]
pub enum Agents {
    List(List),
    Install(Install),
    Verify(Verify),
}

/// List the agents that can be driven, and whether they are installed
#[derive(Debug, Args)]
pub struct List {
    /// Print the list as JSON lines
    #[arg(long)]
    json: bool,
}

/// Install an agent at its pinned version into the cache
#[derive(Debug, Args)]
pub struct Install {
    /// Its name, or the path of its recipe
    scaffold: String,
}

/// Check that an installed agent is whole and of the pinned version
#[derive(Debug, Args)]
pub struct Verify {
    /// Its name, or the path of its recipe
    scaffold: String,
}

impl Agents {
    pub fn carry_out(self, console: &Console) -> Result {
        match self {
            Self::List(list) => list.carry_out(console),
            Self::Install(install) => {
                let installed = ensure(&recipe(&install.scaffold)?, console)?;
                console.result(&format!(
                    "{} {} in {}\n",
                    installed.name,
                    installed.version,
                    installed.folder.display()
                ))?;
                Ok(Exit::Done)
            }
            Self::Verify(verify) => {
                let recipe = recipe(&verify.scaffold)?;
                match installer()?.status(&recipe) {
                    Status::Ready(installed) => {
                        let folder = installed.folder.display();
                        console.result(&format!("{} {} in {folder}\n", installed.name, installed.version))?;
                        Ok(Exit::Done)
                    }
                    Status::Missing { folder } => Err(Failed::missing(anyhow::anyhow!(
                        "{} {} is not installed (looked for {}): `mtsec-agents agents install {}` does it",
                        recipe.source.name,
                        recipe.source.version,
                        folder.display(),
                        recipe.source.name
                    ))),
                    Status::Broken { reason, .. } => Err(Failed::missing(anyhow::anyhow!(reason))),
                }
            }
        }
    }
}

impl List {
    fn carry_out(self, console: &Console) -> Result {
        let installer = installer()?;
        for name in Recipe::names() {
            let recipe = recipe(&name)?;
            let (state, folder) = match installer.status(&recipe) {
                Status::Ready(installed) => ("installed", installed.folder),
                Status::Missing { folder } => ("missing", folder),
                Status::Broken { folder, .. } => ("broken", folder),
            };
            let version = &recipe.source.version;
            console.result(&if self.json {
                format!(
                    "{}\n",
                    serde_json::json!({ "name": name, "version": version, "state": state, "folder": folder })
                )
            } else {
                format!("{name} {version}  {state}  {}\n", folder.display())
            })?;
        }
        Ok(Exit::Done)
    }
}

/// The recipe of a scaffold, by its name or by its path.
pub fn recipe(name: &str) -> std::result::Result<Recipe, Failed> {
    match Recipe::is_path(name) {
        true => Recipe::load(Path::new(name)),
        false => Recipe::builtin(name),
    }
    .map_err(Failed::bad_input)
}

/// Where agents are installed.
pub fn installer() -> std::result::Result<Installer, Failed> {
    let cache = super::live::cache()?;
    Ok(Installer::new(&cache))
}

/// The agent, installed when it is missing, with progress.
pub fn ensure(recipe: &Recipe, console: &Console) -> std::result::Result<Installed, Failed> {
    let installer = installer()?;
    let bar = console.spinner();
    let name = format!("{} {}", recipe.source.name, recipe.source.version);
    let mut show = |progress: Progress| match progress {
        Progress::Waiting => console.step(&bar, &format!("{name}: waiting for another process that installs it")),
        Progress::Step(step) => console.step(&bar, &format!("{name}: {step}")),
        Progress::Detail(detail) => console.detail(&bar, &format!("{name}: {detail}")),
    };
    let installed = installer.ensure(recipe, &mut show);
    bar.finish_and_clear();
    installed.map_err(Failed::missing)
}
