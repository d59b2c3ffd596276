//! `agents`: the pinned agents on this machine.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use super::{Failed, Result};
use crate::console::Console;
use crate::exit_code::Exit;
use crate::recipe::{self, Dialect, Recipe, Recipes, Supports};
use crate::scaffold::{Hold, InstallError, Installed, Installer, Progress, Status, asked};

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
    /// Replace what is installed of it, which no run may be using; where that fails, it stays
    #[arg(long)]
    force: bool,
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
            let installed = match self.force {
                true => with_progress(&recipe, console, |installer, show| installer.replace(&recipe, show))?,
                false => hold(&recipe, console)?.0,
            };
            console.result(&line(&installed))?;
        }
        Ok(Exit::Done)
    }
}

impl Verify {
    fn carry_out(self, console: &Console) -> Result {
        for recipe in self.version.of(vec![recipe(&self.scaffold)?])? {
            let status = with_progress(&recipe, console, |installer, show| Ok(installer.verify(&recipe, show)))?;
            match status {
                Status::Ready(installed) => console.result(&line(&installed))?,
                Status::Missing { folder } => {
                    let version = asked(&recipe);
                    return Err(Failed::missing(anyhow::anyhow!(
                        "{} {} is not installed (looked for {}): `mtsec-agents agents install {}{version}` does it",
                        recipe.source.name,
                        recipe.source.version,
                        folder.display(),
                        self.scaffold
                    )));
                }
                Status::Installing { folder } => {
                    return Err(Failed::missing(anyhow::anyhow!(
                        "{} is just being installed in {} by another process",
                        recipe.source.name,
                        folder.display()
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
        let mut agents = Vec::new();
        for recipe in self.version.of(builtin()?)? {
            let listed = Listed::of(&recipe, installer.status(&recipe));
            match self.json {
                true => console.result(&format!("{}\n", serde_json::to_string(&listed)?))?,
                false => agents.push(listed),
            }
        }
        if !self.json {
            console.result(&table(&agents, width()))?;
        }
        Ok(Exit::Done)
    }
}

/// One agent in the list.
#[derive(Debug, Serialize)]
struct Listed {
    name: String,
    version: String,
    state: &'static str,
    /// Where it is, or will be; nowhere, if it is part of this program.
    folder: Option<PathBuf>,
    digest: Option<String>,
    drive: &'static str,
    speaks: Vec<Dialect>,
    supports: Supports,
}

impl Listed {
    fn of(recipe: &Recipe, status: Status) -> Self {
        let source = &recipe.source;
        let (state, folder, digest) = match (status, &source.install) {
            (Status::Ready(_), recipe::Install::Own) => ("built-in", None, None),
            (Status::Ready(installed), _) => ("installed", Some(installed.folder), installed.digest),
            (Status::Missing { folder }, _) => ("missing", Some(folder), None),
            (Status::Installing { folder }, _) => ("being installed", Some(folder), None),
            (Status::Broken { folder, .. }, _) => ("broken", Some(folder), None),
        };
        Self {
            name: source.name.clone(),
            version: source.version.clone(),
            state,
            folder,
            digest,
            drive: source.drive.name(),
            speaks: source.speaks.clone(),
            supports: source.supports.clone(),
        }
    }
}

/// The list for people: on a terminal of this many columns without what has no room there.
fn table(agents: &[Listed], width: Option<u16>) -> String {
    let full = drawn(agents, true, None);
    let longest = full.lines().map(|line| line.chars().count()).max();
    match (width, longest) {
        (Some(width), Some(longest)) if longest > usize::from(width) => {
            // A path that is broken is of no use; `agents verify` and `--json` tell it.
            drawn(agents, false, Some(width))
        }
        _ => full,
    }
}

fn drawn(agents: &[Listed], with_folder: bool, width: Option<u16>) -> String {
    let mut table = Table::new();
    let folder = with_folder.then_some("folder");
    table.load_style(presets::NOTHING).set_header(
        ["agent", "version", "state", "driven", "can do"]
            .into_iter()
            .chain(folder),
    );
    if let Some(width) = width {
        table
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(width);
    }
    for agent in agents {
        let folder = agent
            .folder
            .as_ref()
            .map_or_else(String::new, |folder| folder.display().to_string());
        let row = [
            agent.name.clone(),
            agent.version.clone(),
            agent.state.to_owned(),
            agent.drive.to_owned(),
            agent.supports.to_string(),
        ];
        table.add_row(row.into_iter().chain(with_folder.then_some(folder)));
    }
    let lines = table.lines().map(|line| line.trim_end().to_owned() + "\n");
    lines.collect()
}

/// The columns of the terminal that the list goes to.
fn width() -> Option<u16> {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
    Some(size.ws_col).filter(|columns| *columns > 0)
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
    let cache = super::parts::cache()?;
    Ok(Installer::new(&cache))
}

/// The agent, installed when it is missing, with progress. Nobody replaces it as long as the hold is kept.
///
/// # Errors
/// It cannot be installed, or has been changed since it was.
pub fn hold(recipe: &Recipe, console: &Console) -> std::result::Result<(Installed, Hold), Failed> {
    with_progress(recipe, console, |installer, show| installer.hold(recipe, show))
}

/// What an installer does, shown as it goes on.
fn with_progress<T>(
    recipe: &Recipe,
    console: &Console,
    work: impl FnOnce(&Installer, &mut dyn FnMut(Progress)) -> std::result::Result<T, InstallError>,
) -> std::result::Result<T, Failed> {
    let installer = installer()?;
    let bar = console.spinner();
    let name = format!("{} {}", recipe.source.name, recipe.source.version);
    let mut show = |progress: Progress| match progress {
        Progress::Waiting => console.step(&bar, &format!("{name}: waiting for another process that installs it")),
        Progress::Step(step) => console.step(&bar, &format!("{name}: {step}")),
        Progress::Detail(detail) => console.detail(&bar, &format!("{name}: {detail}")),
    };
    let done = work(&installer, &mut show);
    bar.finish_and_clear();
    done.map_err(Failed::missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_a_narrow_terminal_no_line_is_longer_than_it_and_every_word_is_whole() {
        let recipes = builtin().unwrap();
        let folder = PathBuf::from("/home/someone/.cache/mtsec-agents/agents/x/1.0");
        let agents: Vec<Listed> = recipes
            .iter()
            .map(|recipe| Listed::of(recipe, Status::Installing { folder: folder.clone() }))
            .collect();
        let wide = table(&agents, Some(1000));
        assert_eq!(wide, table(&agents, None));
        assert!(wide.contains(&folder.display().to_string()), "{wide}");
        assert_eq!(wide.lines().count(), agents.len() + 1);
        let narrow = table(&agents, Some(72));
        assert!(narrow.lines().all(|line| line.chars().count() <= 72), "{narrow}");
        assert!(!narrow.contains(".cache"), "{narrow}");
        for word in ["being installed", "openhands", "thinking-tokens,", "no-shell-commands,"] {
            assert!(narrow.contains(word), "{word}: {narrow}");
        }
    }
}
