//! What a run is made of: the tester, the drivers of agents, what holds them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Failed;
use crate::containment::{Containers, Namespaces};
use crate::docker::Engine;
use crate::plan::{ContainmentKind, SandboxKind};
use crate::process::{Bare, Containment};
use crate::python;
use crate::recipe::Recipe;
use crate::runner::Scratch;
use crate::sandbox::{InDocker, Launcher};
use crate::scaffold::{Installed, Installer, Scaffold, driver};
use crate::tester::{PYTHON, TestLimits, Tester, TesterConfig, TesterError};

/// The runtime of everything that waits: the work is done by agents, so two threads are plenty.
pub fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
}

/// Where agents and test environments are cached.
pub fn cache() -> std::result::Result<PathBuf, Failed> {
    Installer::default_cache().ok_or_else(|| {
        Failed::missing(anyhow::anyhow!(
            "there is no cache folder: set MTSEC_CACHE, XDG_CACHE_HOME or HOME"
        ))
    })
}

/// The tester in its sandbox.
pub async fn start_tester(sandbox: SandboxKind) -> std::result::Result<Tester, Failed> {
    let interpreter = python::find(PYTHON).map_err(Failed::missing)?;
    let concurrent = std::thread::available_parallelism().map_or(1, usize::from);
    let executable = std::env::current_exe()?;
    let launcher = match sandbox {
        SandboxKind::Namespaces => executable.into(),
        SandboxKind::Docker => {
            let engine = Engine::connect().await.map_err(Failed::missing)?;
            Launcher::Container(Arc::new(InDocker::new(engine, &executable, concurrent)?))
        }
    };
    let config = TesterConfig {
        launcher,
        interpreter,
        limits: TestLimits::default(),
        concurrent,
        cache: cache()?,
    };
    Tester::start(config).await.map_err(Failed::missing)
}

/// Why there is no verdict: a task that cannot be used is bad input, and anything else is missing here.
pub fn no_verdict(error: TesterError) -> Failed {
    match error.is_broken_task() {
        true => Failed::bad_input(error),
        false => Failed::missing(error),
    }
}

/// The driver of an agent.
pub fn scaffold(
    recipe: &Arc<Recipe>,
    installed: &Installed,
    containment: Arc<dyn Containment>,
) -> std::result::Result<Arc<dyn Scaffold>, Failed> {
    let program = std::env::current_exe()?;
    Ok(driver(recipe.clone(), installed.clone(), program, containment))
}

/// What the run's agents are held in; Docker's `engine` where there is one.
///
/// # Errors
/// This program does not know its own place.
pub fn containment(
    kind: ContainmentKind,
    engine: Option<Engine>,
    run: &Path,
) -> std::result::Result<Arc<dyn Containment>, Failed> {
    let program = std::env::current_exe()?;
    Ok(match (engine, kind) {
        (Some(engine), _) => {
            let name = run.file_name().unwrap_or_default().to_string_lossy();
            Arc::new(Containers::new(engine, &program, &name)?)
        }
        (None, ContainmentKind::None) => Arc::new(Bare),
        (None, _) => Arc::new(Namespaces::new(program)),
    })
}

/// Tries whether the agents can work where they will be held, before a run begins.
///
/// # Errors
/// One cannot.
pub async fn check_agents(
    agents: &[(&Arc<Recipe>, Installed)],
    containment: Arc<dyn Containment>,
) -> std::result::Result<(), Failed> {
    // On a full disk nothing can be tried; who needs the room will say so.
    let Ok(scratch) = Scratch::passing() else {
        return Ok(());
    };
    for (recipe, agent) in agents {
        let checked = scaffold(recipe, agent, containment.clone())?
            .check(scratch.path())
            .await;
        checked.map_err(|error| Failed::missing(anyhow::Error::new(error).context(recipe.source.name.clone())))?;
    }
    Ok(())
}

/// How many trials are live at once where nobody says it.
pub fn default_concurrency() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(8)
}
