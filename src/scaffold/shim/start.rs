//! How a driver comes up: cold inside the containment, or warm from the zygote.

use std::fs::File;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::process::ChildStdin;

use super::protocol::{Model, Start, Tell};
use super::wire::{Wire, keep_log};
use super::zygote::{Request, Zygote};
use crate::process::{Containment, Entry, pipes};
use crate::recipe::{Places, Recipe, ShimDriver, ShimRules};
use crate::scaffold::install::Installed;
use crate::scaffold::installed::PATH;
use crate::scaffold::launch::Prepared;
use crate::scaffold::ward::{Lineage, Ward};
use crate::scaffold::{OpenError, Stage};

/// The driver of OpenHands, and the process that is forked for it.
pub(super) const OPENHANDS: [(&str, &str); 2] = [
    ("driver.py", include_str!("../../../scaffolds/openhands/driver.py")),
    ("zygote.py", include_str!("../../../scaffolds/openhands/zygote.py")),
];
/// What stands in the containment for a driver that comes from outside: ends when its input does.
const STAND_IN: &str = "cat";
/// How long the stand-in may take to be there.
const PATIENCE: Duration = Duration::from_secs(60);

/// The preparing process that a scaffold keeps.
pub(super) type Kept = std::sync::Mutex<Option<Arc<Zygote>>>;

/// A driver that was started, and everything by which it is held.
pub(super) struct Started {
    pub wire: Wire,
    pub ward: Ward,
    pub lineage: Lineage,
    /// Keeps the stand-in of a warm driver alive.
    pub stand_in: Option<ChildStdin>,
    /// The folder of the session's records.
    pub logs: PathBuf,
    /// The driver's own log.
    pub log: PathBuf,
    /// The first thing that it is told.
    pub greeting: Tell,
}

pub(super) async fn start(
    recipe: &Recipe,
    rules: &ShimRules,
    installed: &Installed,
    program: &Path,
    containment: &Arc<dyn Containment>,
    kept: &Kept,
    stage: &Stage,
) -> Result<Started, OpenError> {
    let failed = |source: std::io::Error| OpenError::Spawn {
        program: recipe.source.name.clone(),
        source,
    };
    for needed in &recipe.source.needs {
        if !std::env::split_paths(PATH).any(|folder| folder.join(needed).is_file()) {
            let why = format!(
                "{} needs `{needed}`, which is not in {PATH}: install it",
                recipe.source.name
            );
            return Err(failed(std::io::Error::other(why)));
        }
    }
    let entry = match rules.source.driver {
        Some(ShimDriver::Openhands) => containment.entry(),
        None => None,
    };
    let warm = match entry {
        None => None,
        Some(entry) => match Zygote::of(recipe, installed, program, stage).await {
            Ok(zygote) => {
                *kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(zygote.clone());
                Some((entry, zygote))
            }
            Err(error) => {
                // Without it a trial takes longer, and nothing else.
                note_cold_start(stage, &error);
                None
            }
        },
    };
    let prepared = Prepared::new(recipe, installed, containment.as_ref(), stage)?;
    let mut rendered = prepared.render(recipe, Places::new())?;
    let own = prepared.logs.join("agent");
    match warm {
        Some(_) => rendered.argv = vec![STAND_IN.to_owned()],
        None if rules.source.driver.is_some() => {
            let (name, text) = OPENHANDS[0];
            std::fs::write(own.join(name), text).map_err(failed)?;
        }
        None => {}
    }
    let start = prepared.start(&rendered, program, containment.as_ref(), &prepared.logs)?;
    let env: Vec<(String, String)> = start
        .env
        .iter()
        .map(|(name, value)| {
            (
                name.to_string_lossy().into_owned(),
                value.to_string_lossy().into_owned(),
            )
        })
        .collect();
    let piped = pipes::spawn(start.argv, start.env, &prepared.workspace).map_err(failed)?;
    let ward = Ward::new(Box::new(piped.child), piped.pid, start.report, start.trace.clone());
    let mut lineage = Lineage::new(piped.pid, start.trace);
    let log = prepared.logs.join("driver.log");
    let file = File::options().create(true).append(true).open(&log).map_err(failed)?;
    let (wire, stand_in) = match warm {
        None => {
            tokio::spawn(keep_log(piped.stderr, file));
            (Wire::new(piped.stdin, piped.stdout), None)
        }
        Some((entry, zygote)) => {
            // What the launcher says of its own troubles.
            tokio::spawn(keep_log(piped.stderr, file.try_clone().map_err(failed)?));
            let agent = inside(&mut lineage, &prepared, &log).await?;
            let (ours, theirs) = UnixStream::pair().map_err(failed)?;
            let Entry { filter, processes } = entry;
            let request = Request {
                agent,
                env: env.into_iter().collect(),
                folder: prepared.workspace.display().to_string(),
                filter: hex::encode(filter),
                processes,
            };
            let forked = tokio::task::spawn_blocking(move || zygote.fork(&request, &theirs, &file)).await;
            forked
                .map_err(std::io::Error::other)
                .and_then(|forked| forked)
                .map_err(failed)?;
            ours.set_nonblocking(true).map_err(failed)?;
            let (output, input) = tokio::net::UnixStream::from_std(ours).map_err(failed)?.into_split();
            (Wire::new(input, output), Some(piped.stdin))
        }
    };
    let model = &stage.model;
    let effort = stage.options.reasoning_effort.clone();
    let greeting = Tell::Start(Box::new(Start {
        workspace: prepared.workspace.display().to_string(),
        folder: own.join("state").display().to_string(),
        api_base: containment.api_base(&stage.api_base),
        api_key: stage.api_key.clone(),
        model: Model {
            name: model.name.clone(),
            temperature: model.temperature,
            reasoning_effort: effort.filter(|_| model.accepts_reasoning_effort),
            max_input_tokens: model.max_input_tokens,
            max_output_tokens: model.max_output_tokens,
        },
        iterations: rules.source.iterations,
        command_seconds: rules.source.command_seconds,
        call_seconds: rules.source.call_seconds,
        tries: rules.source.tries,
    }));
    Ok(Started {
        wire,
        ward,
        lineage,
        stand_in,
        logs: prepared.logs,
        log,
        greeting,
    })
}

/// Waits for the stand-in, whose namespaces the driver enters.
async fn inside(lineage: &mut Lineage, prepared: &Prepared, log: &Path) -> Result<i32, OpenError> {
    let end = tokio::time::Instant::now() + PATIENCE;
    loop {
        // Between its fork and its start it is no agent yet: it still has the init's rights.
        if let Some(agent) = lineage.agent()
            && std::fs::read(format!("/proc/{}/comm", agent.pid))
                .is_ok_and(|name| name.trim_ascii() == STAND_IN.as_bytes())
        {
            return Ok(agent.pid);
        }
        if lineage.is_lost() || tokio::time::Instant::now() > end {
            let tail = super::wire::last_words(log);
            return Err(OpenError::Prepare {
                path: prepared.workspace.clone(),
                source: std::io::Error::other(format!("the containment did not come up: {tail}")),
            });
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Leaves a word where the session's records are.
fn note_cold_start(stage: &Stage, error: &std::io::Error) {
    let text = format!("started without the preparing process: {error}\n");
    let _ = std::fs::write(stage.logs.join("cold.txt"), text);
}
