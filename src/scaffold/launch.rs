//! Everything that happens before an agent's first byte: its places, its files, its process.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use minijinja::Value;

use super::install::Installed;
use super::installed::PATH;
use super::{OpenError, Stage, repository, shown};
use crate::process::{Containment, Room, Shown, children, mark, shepherd};
use crate::pty::{self, Recorder, Spawned};
use crate::recipe::{Driven, Places, Recipe, Rendered, Terminal};

/// The places of a session, and everything that its recipe's templates may name.
pub struct Prepared {
    pub workspace: PathBuf,
    /// The driver's own folder: recordings and reports lie above the agent's, so that it cannot lay links in their way.
    pub logs: PathBuf,
    home: PathBuf,
    tmp: PathBuf,
    /// The agent's own folder below `logs`.
    own: PathBuf,
    shown: Vec<Shown>,
    gateway: PathBuf,
    trial: String,
    places: Places,
}

/// A process to be started below its shepherd.
pub struct Start {
    pub argv: Vec<OsString>,
    /// The whole environment.
    pub env: Vec<(OsString, OsString)>,
    /// Where the shepherd tells how its agent ended.
    pub report: PathBuf,
    /// Where the containment tells of the agent's processes.
    pub trace: Option<PathBuf>,
}

/// What was started at a terminal, and where it leaves its traces.
pub struct Launched {
    pub spawned: Spawned,
    pub workspace: PathBuf,
    pub report: PathBuf,
    pub trace: Option<PathBuf>,
    pub calls: Option<PathBuf>,
}

fn prepare(path: &Path) -> impl FnOnce(std::io::Error) -> OpenError + use<> {
    let path = path.to_owned();
    move |source| OpenError::Prepare { path, source }
}

fn unfilled(recipe: &Recipe) -> impl FnOnce(minijinja::Error) -> OpenError + use<> {
    let path = recipe.source.name.clone().into();
    move |error| OpenError::Prepare {
        path,
        source: std::io::Error::other(error.to_string()),
    }
}

impl Prepared {
    /// Resolves the places of a stage, and makes the repository where the agent needs one. Nothing is rendered yet.
    pub fn new(
        recipe: &Recipe,
        installed: &Installed,
        containment: &dyn Containment,
        stage: &Stage,
    ) -> Result<Self, OpenError> {
        let real = |path: &Path| path.canonicalize().map_err(prepare(path));
        let (workspace, home, tmp) = (real(&stage.workspace)?, real(&stage.home)?, real(&stage.tmp)?);
        let own = stage.logs.join("agent");
        std::fs::create_dir_all(&own).map_err(prepare(&own))?;
        let (logs, own) = (real(&stage.logs)?, real(&own)?);
        if !installed.program.is_file() {
            let source = std::io::ErrorKind::NotFound.into();
            return Err(OpenError::Spawn {
                program: installed.program.display().to_string(),
                source,
            });
        }
        // An agent at a terminal finds its files by the repository; one that is told its folder does not.
        let with_repository = matches!(recipe.driven, Driven::Pty(_)) && repository::is_needed(stage);
        if with_repository {
            repository::create(stage, &workspace)?;
        }
        let api_base = containment.api_base(&stage.api_base);
        let folders = [&workspace, &home, &tmp, &own];
        let places = places(recipe, installed, stage, &api_base, folders, with_repository);
        Ok(Self {
            places,
            shown: shown(installed),
            gateway: stage.gateway.clone(),
            trial: stage.trial.clone(),
            workspace,
            logs,
            home,
            tmp,
            own,
        })
    }

    /// Fills in one template of the recipe.
    pub fn fill(&self, recipe: &Recipe, template: &str) -> Result<String, OpenError> {
        recipe.fill(template, &self.places).map_err(unfilled(recipe))
    }

    /// Fills in the recipe's templates, which may also name `more`, and writes nothing: once the agent has run, a link may
    /// lie in the way of every file.
    pub fn fill_all(&self, recipe: &Recipe, more: Places) -> Result<Rendered, OpenError> {
        let mut places = self.places.clone();
        places.extend(more);
        recipe.render(&places).map_err(unfilled(recipe))
    }

    /// Fills in the recipe's templates, which may also name `more`, and writes its files; before anything of the agent runs.
    pub fn render(&self, recipe: &Recipe, more: Places) -> Result<Rendered, OpenError> {
        let rendered = self.fill_all(recipe, more)?;
        for (path, content) in &rendered.files {
            if let Some(parent) = path.parent() {
                std::fs::create_dir_all(parent).map_err(prepare(parent))?;
            }
            std::fs::write(path, content).map_err(prepare(path))?;
        }
        Ok(rendered)
    }

    /// The rendered command line in its containment, below a shepherd; `program` is our own executable, and `private` a
    /// folder of the driver's that exists, for this process alone.
    pub fn start(
        &self,
        rendered: &Rendered,
        program: &Path,
        containment: &dyn Containment,
        private: &Path,
    ) -> Result<Start, OpenError> {
        let room = Room {
            workspace: &self.workspace,
            home: &self.home,
            tmp: &self.tmp,
            logs: &self.own,
            shown: &self.shown,
            gateway: &self.gateway,
            private,
            trial: &self.trial,
        };
        let wrapped = containment
            .wrap(rendered.argv.clone(), room)
            .map_err(prepare(&self.workspace))?;
        let report = private.join("shepherd.json");
        let own = [
            ("PATH", PATH.into()),
            ("HOME", self.home.clone().into_os_string()),
            ("TMPDIR", self.tmp.clone().into()),
        ];
        let own = own
            .into_iter()
            .map(|(name, value): (&str, OsString)| (name.into(), value));
        let given = rendered.env.iter().map(|(name, value)| (name.into(), value.into()));
        // Before there is a shepherd that could be killed.
        children::adopt().map_err(|source| OpenError::Spawn {
            program: program.display().to_string(),
            source,
        })?;
        Ok(Start {
            argv: shepherd::command(program, &report, wrapped.argv),
            env: own.chain([mark::mark(&self.home)]).chain(given).collect(),
            report,
            trace: wrapped.trace,
        })
    }
}

/// Starts the agent at a terminal of its own; `program` is our own executable.
pub fn launch(
    recipe: &Recipe,
    terminal: Terminal,
    installed: &Installed,
    program: &Path,
    containment: &dyn Containment,
    stage: &Stage,
) -> Result<Launched, OpenError> {
    let prepared = Prepared::new(recipe, installed, containment, stage)?;
    let rendered = prepared.render(recipe, Places::new())?;
    let start = prepared.start(&rendered, program, containment, &prepared.logs)?;
    let folder = prepared.logs.join("turns/0");
    let recorder = Recorder::open(&folder).map_err(prepare(&folder))?;
    let size = (terminal.rows, terminal.columns);
    let spawned =
        pty::spawn(start.argv, start.env, &prepared.workspace, size, recorder).map_err(|source| OpenError::Spawn {
            program: program.display().to_string(),
            source,
        })?;
    Ok(Launched {
        spawned,
        workspace: prepared.workspace,
        report: start.report,
        trace: start.trace,
        calls: rendered.calls,
    })
}

/// What the recipe's templates may name.
fn places(
    recipe: &Recipe,
    installed: &Installed,
    stage: &Stage,
    api_base: &str,
    [workspace, home, tmp, logs]: [&PathBuf; 4],
    repository: bool,
) -> Places {
    let path = |path: &Path| Value::from(path.display().to_string());
    let text = |text: &Option<String>| text.as_deref().map_or(Value::from(()), Value::from);
    let number = |number: Option<f64>| number.map_or(Value::from(()), Value::from);
    let format = stage.options.edit_format.or(recipe.source.supports.default_edit_format);
    let (model, options) = (&stage.model, &stage.options);
    Places::from([
        ("workspace", path(workspace)),
        ("home", path(home)),
        ("tmp", path(tmp)),
        ("logs", path(logs)),
        ("files", Value::from_iter(stage.files.iter().map(|file| path(file)))),
        ("repository", Value::from(repository)),
        ("api_base", Value::from(api_base)),
        ("api_key", Value::from(stage.api_key.as_str())),
        (
            "model",
            Value::from(Places::from([
                ("name", Value::from(model.name.as_str())),
                ("max_input_tokens", Value::from(model.max_input_tokens)),
                ("max_output_tokens", Value::from(model.max_output_tokens)),
                ("input_price", number(model.input_price)),
                ("output_price", number(model.output_price)),
                ("temperature", number(model.temperature)),
                ("dialect", Value::from(model.dialect.name())),
                ("accepts_reasoning_effort", Value::from(model.accepts_reasoning_effort)),
                ("family", Value::from(model.dialect.family())),
            ])),
        ),
        (
            "options",
            Value::from(Places::from([
                (
                    "edit_format",
                    format.map_or(Value::from(()), |format| Value::from(format.name())),
                ),
                ("no_lint", Value::from(options.no_lint)),
                ("no_shell_commands", Value::from(options.no_shell_commands)),
                ("repo_map", Value::from(options.repo_map)),
                ("reasoning_effort", text(&options.reasoning_effort)),
                (
                    "thinking_tokens",
                    options.thinking_tokens.map_or(Value::from(()), Value::from),
                ),
            ])),
        ),
        (
            "agent",
            Value::from(Places::from([
                ("folder", path(&installed.folder)),
                ("program", path(&installed.program)),
                ("interpreter", path(&installed.interpreter)),
                ("version", Value::from(installed.version.as_str())),
            ])),
        ),
    ])
}
