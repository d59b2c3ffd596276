//! What `run` and `resume` share: everything is checked, then started, then reported.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::check::{Checked, check_carried, check_writable};
use super::replay::{self, Planned};
use super::signals::stop_on_signals;
use super::{Failed, Result, agents, tasks};
use crate::console::Console;
use crate::dataset::Dataset;
use crate::exit_code::Exit;
use crate::gateway::backend::Backends;
use crate::gateway::upstream::UpstreamConfig;
use crate::gateway::{Gateway, GatewayConfig};
use crate::plan::{Lock, Settings};
use crate::python;
use crate::recipe::Recipe;
use crate::report::{Format, render, summarise};
use crate::runner::resolve::{self};
use crate::runner::{Conductor, Request, RunError};
use crate::scaffold::{Installed, Installer, PtyScaffold};
use crate::store::{RunFolder, StoreError};
use crate::tester::{PYTHON, TestLimits, Tester, TesterConfig};
use crate::yaml;

/// A run to be done, or to be gone on with.
pub struct Job {
    pub request: Request,
    pub start: Start,
    pub concurrent: Option<usize>,
    pub json: bool,
    pub console: Arc<Console>,
}

/// Where a run begins.
pub enum Start {
    New {
        dataset: Box<Dataset>,
        jobs: PathBuf,
        /// The user's choice; otherwise the run is named after the time.
        name: Option<String>,
        dry_run: bool,
    },
    /// A new run that replays a recorded one.
    Replay(Box<Planned>),
    Again {
        folder: Box<RunFolder>,
        retry_infrastructure: bool,
    },
}

/// Creates the run's folder. Of runs that start in the same second each gets a name of its own.
fn create(jobs: &Path, name: Option<String>) -> std::result::Result<RunFolder, StoreError> {
    if let Some(name) = name {
        return RunFolder::create(jobs, &name);
    }
    let time = jiff::Zoned::now().strftime("%Y-%m-%d__%H-%M-%S").to_string();
    let mut made = RunFolder::create(jobs, &time);
    for number in 2..=99 {
        if !matches!(made, Err(StoreError::Exists(_) | StoreError::InUse(_))) {
            break;
        }
        made = RunFolder::create(jobs, &format!("{time}-{number}"));
    }
    made
}

impl Job {
    pub fn carry_out(self) -> Result {
        let recipe = Arc::new(agents::recipe(&self.request.scaffold)?);
        let checked = self.check(&recipe)?;
        if let Start::New { dry_run: true, .. } = self.start {
            return self.dry_run(&checked);
        }
        match &self.start {
            Start::New { jobs, .. } => check_writable(jobs)?,
            Start::Replay(planned) => check_writable(&planned.jobs)?,
            Start::Again { .. } => {}
        }
        runtime()?.block_on(self.live(recipe, checked))
    }

    async fn live(self, recipe: Arc<Recipe>, checked: Checked) -> Result {
        let Self {
            request,
            start,
            concurrent,
            json,
            console,
        } = self;
        tasks::tell_skipped(&console, checked.skipped_rows);
        let tester = start_tester().await?;
        for task in &checked.tasks {
            tester.check(task).await.map_err(|error| match error.is_broken_task() {
                true => Failed::bad_input(error),
                false => Failed::missing(error),
            })?;
        }
        let installed = tokio::task::block_in_place(|| agents::ensure(&recipe, &console))?;
        check_carried(&checked, &scaffold(&recipe, &installed)?)?;

        let (run, lock, retry_infrastructure) = match start {
            Start::New { jobs, name, .. } => {
                let run = create(&jobs, name).map_err(Failed::bad_input)?;
                let lock = write_lock(&run, &request, &checked, &tester)?;
                (run, lock, false)
            }
            Start::Replay(planned) => {
                let run = create(&planned.jobs, planned.name).map_err(Failed::bad_input)?;
                let lock = write_lock(&run, &request, &checked, &tester)?;
                (run, lock, false)
            }
            Start::Again {
                folder,
                retry_infrastructure,
            } => {
                let lock = folder.read_json("lock.json")?;
                (*folder, lock, retry_infrastructure)
            }
        };
        let backends = Arc::new(Backends::new(UpstreamConfig::default()));
        let mut cells = HashMap::new();
        for cell in checked.cells {
            let id = cell.cell.id();
            let agent = Box::new(scaffold(&recipe, &installed)?);
            let runtime = resolve::runtime(cell, &recipe, agent, backends.clone(), checked.source.clone())
                .map_err(Failed::bad_input)?;
            cells.insert(id, Arc::new(runtime));
        }
        let path = run.path().to_owned();
        let shown = console.clone();
        let conductor = Conductor {
            run,
            lock,
            tasks: checked
                .tasks
                .into_iter()
                .map(|task| (task.id.clone(), Arc::new(task)))
                .collect(),
            cells,
            gateway: Gateway::start(GatewayConfig::default())
                .await
                .map_err(Failed::missing)?,
            tester,
            concurrent: concurrent.unwrap_or_else(default_concurrency),
            retry_infrastructure,
            cancel: stop_on_signals(console.clone())?,
            show: Box::new(move |event| shown.event(event)),
        };
        let tally = conductor.conduct().await.map_err(|error| match error {
            RunError::Store(error) => Failed::missing(anyhow::Error::new(error).context(format!(
                "the run stopped; `mtsec-agents resume {}` goes on",
                path.display()
            ))),
            error => Failed::from(error),
        })?;
        let agrees = print_summary(&path, json, &console)?;
        console.say(&format!("Everything was kept in {}", path.display()));
        Ok(match (tally.missing, tally.infrastructure_failures) {
            (1.., _) => {
                console.say(&format!(
                    "Interrupted: `mtsec-agents resume {}` finishes the other {} trials",
                    path.display(),
                    tally.missing
                ));
                Exit::Interrupted
            }
            (0, 1..) => Exit::InfrastructureFailures,
            (0, 0) if tally.diverged > 0 || !agrees => Exit::Differs,
            (0, 0) => Exit::Done,
        })
    }
}

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
pub async fn start_tester() -> std::result::Result<Tester, Failed> {
    let interpreter = python::find(PYTHON).map_err(Failed::missing)?;
    let config = TesterConfig {
        launcher: std::env::current_exe()?,
        interpreter,
        limits: TestLimits::default(),
        concurrent: std::thread::available_parallelism().map_or(1, usize::from),
        cache: cache()?,
    };
    Tester::start(config).await.map_err(Failed::missing)
}

fn scaffold(recipe: &Arc<Recipe>, installed: &Installed) -> std::result::Result<PtyScaffold, Failed> {
    Ok(PtyScaffold::new(
        recipe.clone(),
        installed.clone(),
        std::env::current_exe()?,
    ))
}

fn default_concurrency() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(8)
}

/// Writes what was asked and what it was resolved to; `lock.json` last, for it makes the folder a run.
fn write_lock(
    run: &RunFolder,
    request: &Request,
    checked: &Checked,
    tester: &Tester,
) -> std::result::Result<Lock, Failed> {
    let mut lines = Vec::new();
    for task in &checked.tasks {
        serde_json::to_writer(&mut lines, task)?;
        lines.push(b'\n');
    }
    run.write("tasks.jsonl", &lines)?;
    run.write("run.yaml", yaml::write(request)?.as_bytes())?;
    let lock = Lock {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        created: jiff::Timestamp::now(),
        cells: checked.cells.iter().map(|cell| cell.cell.clone()).collect(),
        trials: checked.trials.clone(),
        test_turns: request.test_turns,
        tasks_digest: hex::encode(Sha256::digest(&lines)),
        skipped_rows: checked.skipped_rows,
        scripted: checked.cells.iter().any(|cell| cell.model.is_scripted())
            || checked.source.as_ref().is_some_and(|source| source.lock.scripted),
        settings: Settings {
            api_base: request.api_base.clone(),
            retries: request.retries,
            tester: tester.describe(),
        },
        replays: checked.source.as_ref().map(|source| source.path.clone()),
    };
    run.write("lock.json", &serde_json::to_vec_pretty(&lock)?)?;
    Ok(lock)
}

/// Prints the table; whether a replay came out as recorded.
fn print_summary(path: &Path, json: bool, console: &Console) -> std::result::Result<bool, Failed> {
    let run = RunFolder::open(path)?;
    let summary = summarise(&run)?;
    if let Some(source) = &summary.replays {
        return replay::print(&run, source, &summary, json, console);
    }
    console.result(&render(&summary, if json { Format::Json } else { Format::Table })?)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_the_same_second_have_names_of_their_own() {
        let jobs = tempfile::tempdir().unwrap();
        let runs: Vec<_> = (0..3).map(|_| create(jobs.path(), None).unwrap()).collect();
        assert_eq!(std::fs::read_dir(jobs.path()).unwrap().count(), runs.len());
        create(jobs.path(), Some("mine".into())).unwrap();
        std::fs::write(jobs.path().join("mine/lock.json"), "{}").unwrap();
        assert!(matches!(
            create(jobs.path(), Some("mine".into())),
            Err(StoreError::Exists(_))
        ));
    }
}
