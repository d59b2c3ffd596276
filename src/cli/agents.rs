//! `agents`: the pinned agents on this machine.

use std::path::Path;

use clap::{Args, Subcommand};
use comfy_table::{Table, presets};

use super::{Failed, Result};
use crate::console::Console;
use crate::exit_code::Exit;
use crate::recipe::{Recipe, Recipes};
use crate::scaffold::{Installed, Installer, Progress, Status};

/// List, install and verify the pinned agents
#[derive(Debug, Subcommand)]
pub enum Agents {
    List(List),
    Install(Install),
    Verify(Verify),
}

/// List the agents that can be driven, what each can do, and whether it is installed
#[derive(Debug, Args)]
pub struct List {
    #[command(flatten)]
    version: Version,
    /// Print the list as JSON lines
    #[arg(long)]
    json: bool,
}

/// Install an agent at its pinned version into the cache
#[derive(Debug, Args)]
pub struct Install {
    /// Its name, or the path of its recipe, or `all` [default: all]
    #[arg(default_value = "all", hide_default_value = true)]
    scaffold: String,
    #[command(flatten)]
    version: Version,
}

/// Check that an installed agent is whole: every file is as it was installed
#[derive(Debug, Args)]
pub struct Verify {
    /// Its name, or the path of its recipe
    scaffold: String,
    #[command(flatten)]
    version: Version,
}

/// Another version than the pinned one.
#[derive(Debug, Args)]
pub struct Version {
    /// Another version than the pinned one, such as 1.2.3; AGENT=VERSION where more than one agent is meant
    #[arg(long = "agent-version", value_name = "VERSION")]
    version: Option<String>,
}

impl Version {
    /// The recipes at this version.
    fn of(&self, recipes: Vec<Recipe>) -> std::result::Result<Vec<Recipe>, Failed> {
        Recipes::at_versions(recipes, self.version.as_slice()).map_err(Failed::bad_input)
    }
}

impl Agents {
    pub fn carry_out(self, console: &Console) -> Result {
        match self {
            Self::List(list) => list.carry_out(console),
            Self::Install(install) => install.carry_out(console),
            Self::Verify(verify) => verify.carry_out(console),
        }
    }
}

impl Install {
    fn carry_out(self, console: &Console) -> Result {
        let recipes = match self.scaffold.as_str() {
            "all" => builtin()?,
            name => vec![recipe(name)?],
        };
        for recipe in self.version.of(recipes)? {
            tell_other_version(&recipe, console);
            let installed = ensure(&recipe, console)?;
            console.result(&line(&installed))?;
        }
        Ok(Exit::Done)
    }
}

impl Verify {
    fn carry_out(self, console: &Console) -> Result {
        for recipe in self.version.of(vec![recipe(&self.scaffold)?])? {
            match installer()?.verify(&recipe) {
                Status::Ready(installed) => console.result(&line(&installed))?,
                Status::Missing { folder } => {
                    let version = match &recipe.made_for {
                        Some(_) => format!(" --agent-version {}", recipe.source.version),
                        None => String::new(),
                    };
                    return Err(Failed::missing(anyhow::anyhow!(
                        "{} {} is not installed (looked for {}): `mtsec-agents agents install {}{version}` does it",
                        recipe.source.name,
                        recipe.source.version,
                        folder.display(),
                        self.scaffold
                    )));
                }
                Status::Broken { reason, .. } => return Err(Failed::missing(anyhow::anyhow!(reason))),
            }
        }
        Ok(Exit::Done)
    }
}

impl List {
    fn carry_out(self, console: &Console) -> Result {
        let installer = installer()?;
        let mut table = Table::new();
        table
            .load_style(presets::NOTHING)
            .set_header(["agent", "version", "state", "driven", "can do", "folder"]);
        for recipe in self.version.of(builtin()?)? {
            let (state, folder, digest) = match installer.status(&recipe) {
                Status::Ready(installed) => ("installed", installed.folder, installed.digest),
                Status::Missing { folder } => ("missing", folder, None),
                Status::Broken { folder, .. } => ("broken", folder, None),
            };
            let source = &recipe.source;
            if self.json {
                let line = serde_json::json!({
                    "name": source.name,
                    "version": source.version,
                    "state": state,
                    "folder": folder,
                    "digest": digest,
                    "drive": source.drive.name(),
                    "speaks": source.speaks,
                    "supports": source.supports,
                });
                console.result(&format!("{line}\n"))?;
                continue;
            }
            table.add_row([
                source.name.clone(),
                source.version.clone(),
                state.to_owned(),
                source.drive.name().to_owned(),
                source.supports.to_string(),
                folder.display().to_string(),
            ]);
        }
        if !self.json {
            console.result(&format!("{}\n", table.trim_fmt()))?;
        }
        Ok(Exit::Done)
    }
}

fn line(installed: &Installed) -> String {
    let Installed { name, version, .. } = installed;
    format!("{name} {version} in {}\n", installed.folder.display())
}

/// The recipes that come with the program.
fn builtin() -> std::result::Result<Vec<Recipe>, Failed> {
    Recipe::names().iter().map(|name| recipe(name)).collect()
}

/// The recipe of a scaffold, by its name or by its path.
pub fn recipe(name: &str) -> std::result::Result<Recipe, Failed> {
    match Recipe::is_path(name) {
        true => Recipe::load(Path::new(name)),
        false => Recipe::builtin(name),
    }
    .map_err(Failed::bad_input)
}

/// Tells of every agent that is not at the version which its recipe was made for.
pub fn tell_other_versions(recipes: &Recipes, console: &Console) {
    for recipe in recipes.iter() {
        tell_other_version(recipe, console);
    }
}

fn tell_other_version(recipe: &Recipe, console: &Console) {
    if let Some(pinned) = &recipe.made_for {
        console.warn(&format!(
            "the recipe of {} was made for {pinned}: with {} it may not hold, and no checksum of its package is pinned",
            recipe.source.name, recipe.source.version
        ));
    }
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
