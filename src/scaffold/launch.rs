//! Everything that happens before an agent's first byte: its places, its files, its process.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use minijinja::Value;

use super::install::Installed;
use super::installed::PATH;
use super::{OpenError, Stage, repository, shown};
use crate::process::{Containment, Room, children, mark, shepherd};
use crate::pty::{self, Recorder, Spawned};
use crate::recipe::{Places, Recipe};

/// What was started, and where it leaves its traces.
pub struct Launched {
    pub spawned: Spawned,
    pub workspace: PathBuf,
    pub report: PathBuf,
    /// Where the containment tells of the agent's processes.
    pub trace: Option<PathBuf>,
    pub calls: Option<PathBuf>,
}

/// Starts the agent under a shepherd; `program` is our own executable.
pub fn launch(
    recipe: &Recipe,
    installed: &Installed,
    program: &Path,
    containment: &dyn Containment,
    stage: &Stage,
) -> Result<Launched, OpenError> {
    let prepare = |path: &Path| {
        let path = path.to_owned();
        move |source| OpenError::Prepare { path, source }
    };
    let real = |path: &Path| path.canonicalize().map_err(prepare(path));
    let (workspace, home, tmp) = (real(&stage.workspace)?, real(&stage.home)?, real(&stage.tmp)?);
    // Recordings and the shepherd's report lie above the folder that the agent writes to, so that it cannot lay links
    // in their way.
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
    let with_repository = repository::is_needed(stage);
    let places = places(
        recipe,
        installed,
        stage,
        &containment.api_base(&stage.api_base),
        [&workspace, &home, &tmp, &own],
        with_repository,
    );
    let rendered = recipe.render(&places).map_err(|error| OpenError::Prepare {
        path: recipe.source.name.clone().into(),
        source: std::io::Error::other(error.to_string()),
    })?;
    for (path, content) in &rendered.files {
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(prepare(parent))?;
        }
        std::fs::write(path, content).map_err(prepare(path))?;
    }
    if with_repository {
        repository::create(stage, &workspace)?;
    }

    let room = Room {
        workspace: &workspace,
        home: &home,
        tmp: &tmp,
        logs: &own,
        shown: &shown(installed),
        gateway: &stage.gateway,
        private: &logs,
        trial: &stage.trial,
    };
    let report = logs.join("shepherd.json");
    let wrapped = containment.wrap(rendered.argv, room).map_err(prepare(&workspace))?;
    let argv = shepherd::command(program, &report, wrapped.argv);
    let private = [
        ("PATH", PATH.into()),
        ("HOME", home.clone().into_os_string()),
        ("TMPDIR", tmp.clone().into()),
    ];
    let env = private
        .into_iter()
        .map(|(name, value): (&str, OsString)| (name.into(), value))
        .chain([mark::mark(&home)])
        .chain(
            rendered
                .env
                .into_iter()
                .map(|(name, value)| (name.into(), value.into())),
        );
    let folder = logs.join("turns/0");
    let recorder = Recorder::open(&folder).map_err(prepare(&folder))?;
    let size = (recipe.source.terminal.rows, recipe.source.terminal.columns);
    // Before there is a shepherd that could be killed.
    children::adopt().map_err(|source| OpenError::Spawn {
        program: program.display().to_string(),
        source,
    })?;
    let spawned = pty::spawn(argv, env, &workspace, size, recorder).map_err(|source| OpenError::Spawn {
        program: program.display().to_string(),
        source,
    })?;
    Ok(Launched {
        spawned,
        workspace,
        report,
        trace: wrapped.trace,
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
                ("accepts_reasoning_effort", Value::from(model.accepts_reasoning_effort)),
                ("accepts_thinking_tokens", Value::from(model.accepts_thinking_tokens)),
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
