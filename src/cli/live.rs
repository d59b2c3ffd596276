//! What `run` and `resume` share: everything is checked, then started, then reported.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use super::{Failed, Result, agents, tasks};
use crate::console::Console;
use crate::conversation::Interaction;
use crate::dataset::{Dataset, prompt};
use crate::exit_code::Exit;
use crate::gateway::backend::Backends;
use crate::gateway::upstream::UpstreamConfig;
use crate::gateway::{Gateway, GatewayConfig};
use crate::plan::{self, Lock, Settings, TrialKey};
use crate::python;
use crate::recipe::Recipe;
use crate::report::{Format, render, summarise};
use crate::runner::resolve::{self, ResolvedCell};
use crate::runner::{Conductor, Request, RunError};
use crate::scaffold::{Installed, Installer, PtyScaffold, Scaffold};
use crate::store::RunFolder;
use crate::task::Task;
use crate::tester::{PYTHON, TestLimits, Tester, TesterConfig};
use crate::yaml;

/// A run to be done, or to be gone on with.
pub struct Job {
    pub request: Request,
    pub start: Start,
    pub concurrent: Option<usize>,
    pub json: bool,
    pub console: Console,
}

/// Where a run begins.
pub enum Start {
    New {
        dataset: Box<Dataset>,
        jobs: PathBuf,
        name: String,
        dry_run: bool,
    },
    Again {
        folder: Box<RunFolder>,
        retry_infrastructure: bool,
    },
}

/// A run whose inputs are all good.
struct Checked {
    cells: Vec<ResolvedCell>,
    tasks: Vec<Task>,
    trials: Vec<TrialKey>,
    skipped_rows: usize,
}

impl Job {
    pub fn carry_out(self) -> Result {
        let recipe = Arc::new(agents::recipe(&self.request.scaffold)?);
        let checked = self.check(&recipe)?;
        if let Start::New { dry_run: true, .. } = self.start {
            return self.dry_run(&checked);
        }
        if let Start::New { jobs, .. } = &self.start {
            check_writable(jobs)?;
        }
        runtime()?.block_on(self.live(recipe, checked))
    }

    /// Everything that can be wrong with the input, found before anything is started.
    fn check(&self, recipe: &Recipe) -> std::result::Result<Checked, Failed> {
        let (cells, tasks, trials, skipped_rows) = match &self.start {
            Start::New { dataset, .. } => {
                let cells = resolve::cells(&self.request, recipe).map_err(Failed::bad_input)?;
                let interactions = match self.request.interactions.as_slice() {
                    [] => Interaction::ALL.to_vec(),
                    chosen => chosen.to_vec(),
                };
                let plain: Vec<plan::Cell> = cells.iter().map(|cell| cell.cell.clone()).collect();
                let trials = plan::trials(&dataset.tasks, &interactions, &plain, self.request.attempts);
                self.tell_left_out(&dataset.tasks);
                (cells, dataset.tasks.clone(), trials, dataset.skipped.len())
            }
            Start::Again { folder, .. } => {
                let lock: Lock = folder.read_json("lock.json").map_err(Failed::bad_input)?;
                let tasks = stored_tasks(folder, &lock)?;
                let api_base = lock.settings.api_base.as_deref();
                let cells = lock.cells.into_iter().map(|cell| {
                    if cell.version != recipe.source.version {
                        return Err(Failed::bad_input(anyhow::anyhow!(
                            "the run was made with {} {}, and this program drives {}: finish it with the version of mtsec-agents that began it",
                            cell.scaffold, cell.version, recipe.source.version
                        )));
                    }
                    resolve::resolve_cell(cell, api_base).map_err(Failed::bad_input)
                });
                (
                    cells.collect::<std::result::Result<_, _>>()?,
                    tasks,
                    lock.trials,
                    lock.skipped_rows,
                )
            }
        };
        resolve::check_models(&cells, &tasks).map_err(Failed::bad_input)?;
        if trials.is_empty() {
            let wanted: Vec<&str> = self.request.interactions.iter().map(|known| known.name()).collect();
            return Err(Failed::bad_input(anyhow::anyhow!(
                "no selected task has a {} conversation",
                wanted.join(" or ")
            )));
        }
        Ok(Checked {
            cells,
            tasks,
            trials,
            skipped_rows,
        })
    }

    /// Tasks that lack an interaction that was asked for are left out of it, and never silently.
    fn tell_left_out(&self, tasks: &[Task]) {
        for interaction in &self.request.interactions {
            let without = tasks
                .iter()
                .filter(|task| !task.interactions().contains(interaction))
                .count();
            if without > 0 {
                self.console.warn(&format!(
                    "{without} of {} tasks have no {interaction} conversation and are left out of it",
                    tasks.len()
                ));
            }
        }
    }

    fn dry_run(&self, checked: &Checked) -> Result {
        tasks::tell_skipped(&self.console, checked.skipped_rows);
        if self.json {
            let cells: Vec<_> = checked
                .cells
                .iter()
                .map(|cell| serde_json::json!({ "id": cell.cell.id(), "cell": cell.cell }))
                .collect();
            let plan =
                serde_json::json!({ "cells": cells, "trials": checked.trials, "skipped_rows": checked.skipped_rows });
            self.console
                .result(&format!("{}\n", serde_json::to_string_pretty(&plan)?));
            return Ok(Exit::Done);
        }
        let mut text = String::new();
        for cell in &checked.cells {
            let plan::Cell {
                scaffold,
                version,
                model,
                options,
                ..
            } = &cell.cell;
            text.push_str(&format!(
                "cell {}: {scaffold} {version}, model {model}, {options}\n",
                cell.cell.id()
            ));
        }
        for trial in &checked.trials {
            text.push_str(&format!("trial {trial}\n"));
        }
        let (cells, trials) = (checked.cells.len(), checked.trials.len());
        text.push_str(&format!(
            "{cells} cells, {} tasks, {trials} trials; nothing was started\n",
            checked.tasks.len()
        ));
        self.console.result(&text);
        Ok(Exit::Done)
    }

    async fn live(self, recipe: Arc<Recipe>, checked: Checked) -> Result {
        let Self {
            request,
            start,
            concurrent,
            json,
            console,
        } = self;
        let console = Arc::new(console);
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
                let run = RunFolder::create(&jobs, &name).map_err(Failed::bad_input)?;
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
            let runtime = resolve::runtime(cell, agent, backends.clone()).map_err(Failed::bad_input)?;
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
        print_summary(&path, json, &console)?;
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

fn check_writable(jobs: &Path) -> std::result::Result<(), Failed> {
    let probe = || -> std::io::Result<()> {
        std::fs::create_dir_all(jobs)?;
        let mut file = tempfile::NamedTempFile::new_in(jobs)?;
        std::io::Write::write_all(&mut file, &[0; 64 * 1024])?;
        file.as_file().sync_data()
    };
    probe().map_err(|error| {
        Failed::bad_input(anyhow::anyhow!(
            "cannot write to the jobs folder {}: {error}",
            jobs.display()
        ))
    })
}

/// Refuses conversations that the agent's terminal could not carry to its model byte for byte.
fn check_carried(checked: &Checked, scaffold: &PtyScaffold) -> std::result::Result<(), Failed> {
    for task in &checked.tasks {
        for interaction in task.interactions() {
            if !checked
                .trials
                .iter()
                .any(|trial| trial.task == task.id && trial.interaction == interaction)
            {
                continue;
            }
            let conversation = prompt::conversation(task, interaction).map_err(Failed::bad_input)?;
            for (index, turn) in conversation.turns.iter().enumerate() {
                scaffold.carries(turn).map_err(|refusal| {
                    let place = format!("{}: task `{}`, {interaction}, turn {}", task.origin, task.id, index + 1);
                    Failed::bad_input(anyhow::Error::new(refusal).context(place))
                })?;
            }
        }
    }
    Ok(())
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
        scripted: checked.cells.iter().any(|cell| cell.model.is_scripted()),
        settings: Settings {
            api_base: request.api_base.clone(),
            retries: request.retries,
            tester: tester.describe(),
        },
    };
    run.write("lock.json", &serde_json::to_vec_pretty(&lock)?)?;
    Ok(lock)
}

/// The run's own copy of its tasks.
fn stored_tasks(run: &RunFolder, lock: &Lock) -> std::result::Result<Vec<Task>, Failed> {
    let path = run.path().join("tasks.jsonl");
    let damaged = |why: String| Failed::bad_input(anyhow::anyhow!("{}: {why}", path.display()));
    let text = std::fs::read(&path).map_err(|error| damaged(error.to_string()))?;
    if hex::encode(Sha256::digest(&text)) != lock.tasks_digest {
        return Err(damaged("it is not what the run was started with".into()));
    }
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines
        .map(|line| serde_json::from_slice(line).map_err(|error| damaged(error.to_string())))
        .collect()
}

fn print_summary(path: &Path, json: bool, console: &Console) -> std::result::Result<(), Failed> {
    let summary = summarise(&RunFolder::open(path)?)?;
    console.result(&render(&summary, if json { Format::Json } else { Format::Table })?);
    Ok(())
}

/// The first signal ends live trials cleanly; the second ends the program now. Agents die with their terminals.
fn stop_on_signals(console: Arc<Console>) -> std::io::Result<CancellationToken> {
    use tokio::signal::unix::{SignalKind, signal};
    let cancel = CancellationToken::new();
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let mut hangup = signal(SignalKind::hangup())?;
    let token = cancel.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = hangup.recv() => {}
            }
            if token.is_cancelled() {
                std::process::exit(Exit::Interrupted as i32);
            }
            console.warn("stopping: live trials are ended, finished ones are kept; once more to stop at once");
            token.cancel();
        }
    });
    Ok(cancel)
}
