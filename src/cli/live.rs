//! What `run` and `resume` share: everything is checked, then started, then reported.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::check::{
    Checked, check_carried, check_containment, check_needs, check_temporary, check_writable, same_agents,
};
use super::lock::write_lock;
use super::parts::{check_agents, containment, default_concurrency, no_verdict, runtime, scaffold, start_tester};
use super::replay::{self, Planned};
use super::signals::stop_on_signals;
use super::stored::{at_versions, settle_tasks, stored_recipes};
use super::sweep::{self, Swept};
use super::{Failed, Result, agents, gc, held_out, tasks};
use crate::budget::Budget;
use crate::canary;
use crate::console::Console;
use crate::dataset::Dataset;
use crate::docker::Engine;
use crate::exit_code::Exit;
use crate::gateway::backend::Backends;
use crate::gateway::upstream::UpstreamConfig;
use crate::gateway::{Gateway, GatewayConfig};
use crate::plan::{ContainmentKind, InstalledAgent, Lock};
use crate::process::Bare;
use crate::recipe::Recipes;
use crate::report::{Format, number_of, render, summarise};
use crate::runner::resolve::{self};
use crate::runner::{Conductor, Request, RunError};
use crate::store::{RunFolder, StoreError};

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
    /// An experiment, in a run of its own that may be there already.
    Sweep(Box<Swept>),
    Again {
        folder: Box<RunFolder>,
        retry_infrastructure: bool,
        /// What replaces the run's own budget.
        run_budget: Budget,
    },
}

/// Creates the run's folder. Of runs that start in the same second each gets a name of its own.
pub(super) fn create(jobs: &Path, name: Option<String>) -> std::result::Result<RunFolder, StoreError> {
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
        let recipes = self.recipes()?;
        agents::tell_other_versions(&recipes, &self.console);
        let checked = self.check(&recipes)?;
        if let Start::New { dry_run: true, .. } = self.start {
            return self.dry_run(&checked, &recipes);
        }
        check_needs(&recipes)?;
        check_temporary()?;
        match &self.start {
            Start::New { jobs, .. } => check_writable(jobs)?,
            Start::Replay(planned) => check_writable(&planned.jobs)?,
            Start::Sweep(swept) => swept.check_writable()?,
            Start::Again { .. } => {}
        }
        runtime()?.block_on(self.live(recipes, checked))
    }

    /// The recipes: of a run that is gone on with or replayed, the run's own copies.
    fn recipes(&self) -> std::result::Result<Recipes, Failed> {
        let scaffolds = &self.request.scaffolds;
        match &self.start {
            Start::New { .. } => {
                let recipes = scaffolds.iter().map(|scaffold| agents::recipe(scaffold));
                at_versions(recipes.collect::<std::result::Result<_, _>>()?, &self.request)
            }
            Start::Replay(planned) => stored_recipes(&planned.source.path, &self.request),
            Start::Sweep(swept) => Ok(swept.recipes.clone()),
            Start::Again { folder, .. } => stored_recipes(folder.path(), &self.request),
        }
    }

    async fn live(self, recipes: Recipes, mut checked: Checked) -> Result {
        let Self {
            request,
            start,
            concurrent,
            json,
            console,
        } = self;
        tasks::tell_skipped(&console, checked.skipped_rows);
        let is_sweep = matches!(start, Start::Sweep(_));
        let (sandbox, held) = match &start {
            Start::New { .. } | Start::Replay(_) | Start::Sweep(_) => (request.sandbox, request.containment),
            Start::Again { folder, .. } => {
                let settings = folder.read_json::<Lock>("lock.json")?.settings;
                (settings.sandbox, settings.containment)
            }
        };
        let earlier = match &start {
            Start::New { .. } | Start::Replay(_) => None,
            Start::Sweep(swept) => swept.folder(),
            Start::Again { folder, .. } => Some(&**folder),
        };
        if let Some(folder) = earlier {
            folder.tidy();
            settle_tasks(folder)?;
        }
        gc::reap(earlier.map(RunFolder::path), &console).await;
        let tester = start_tester(sandbox).await?;
        let engine = match held {
            ContainmentKind::Docker => Some(Engine::connect().await.map_err(Failed::missing)?),
            ContainmentKind::Namespaces => {
                tokio::task::block_in_place(check_containment)?;
                None
            }
            ContainmentKind::None => None,
        };
        // A run that goes on has its canaries already, and so has an experiment that may grow.
        if let Start::New { .. } = start {
            checked
                .tasks
                .iter_mut()
                .for_each(|task| canary::plant(task, rand::random()));
        }
        let mut counts = HashMap::new();
        for task in &checked.tasks {
            counts.insert(task.id.clone(), tester.check(task).await.map_err(no_verdict)?);
        }
        // The trials of a run that goes on, or of a recorded one, are what they are.
        if !matches!(start, Start::Again { .. } | Start::Replay(_)) {
            held_out::leave_out(&mut checked, &counts, &console)?;
        }
        let mut installed = Vec::new();
        // Until this run is over nobody takes its agents away.
        let mut holds = Vec::new();
        for recipe in recipes.iter() {
            let (agent, hold) = tokio::task::block_in_place(|| agents::hold(recipe, &console))?;
            holds.push(hold);
            check_carried(&checked, recipe, scaffold(recipe, &agent, Arc::new(Bare))?.as_ref())?;
            installed.push((recipe, agent));
        }
        let held_in = |run: &Path| containment(held, engine.clone(), run);
        check_agents(&installed, held_in(Path::new("preflight"))?).await?;

        let agents = installed.iter().map(|(_, agent)| InstalledAgent {
            scaffold: agent.name.clone(),
            version: agent.version.clone(),
            digest: agent.digest.clone(),
        });
        let agents: Vec<InstalledAgent> = agents.collect();

        let (run, lock, retry_infrastructure) = match start {
            Start::New { jobs, name, .. } => {
                let run = create(&jobs, name).map_err(Failed::bad_input)?;
                let lock = write_lock(&run, &request, &recipes, &checked, &tester, agents, None)?;
                (run, lock, false)
            }
            Start::Replay(planned) => {
                if let Err(error) = same_agents(&planned.source.lock, &agents) {
                    console.warn(&error.to_string());
                }
                let run = create(&planned.jobs, planned.name).map_err(Failed::bad_input)?;
                let lock = write_lock(&run, &request, &recipes, &checked, &tester, agents, None)?;
                (run, lock, false)
            }
            Start::Sweep(swept) => {
                let (run, sweeping, agents) = swept.begin(&tester, agents)?;
                let lock = write_lock(&run, &request, &recipes, &checked, &tester, agents, Some(sweeping))?;
                (run, lock, false)
            }
            Start::Again {
                folder,
                retry_infrastructure,
                run_budget,
            } => {
                let mut lock: Lock = folder.read_json("lock.json")?;
                same_agents(&lock, &agents)?;
                lock.settings.run_budget = run_budget.or(lock.settings.run_budget);
                (*folder, lock, retry_infrastructure)
            }
        };
        let containment = held_in(run.path())?;
        let backends = Arc::new(Backends::new(UpstreamConfig::default()));
        let mut scaffolds = HashMap::new();
        for (recipe, agent) in &installed {
            let driven = scaffold(recipe, agent, containment.clone())?;
            scaffolds.insert(recipe.source.name.clone(), (*recipe, driven));
        }
        let mut cells = HashMap::new();
        for cell in checked.cells {
            let id = cell.cell.id();
            let (recipe, agent) = scaffolds
                .get(&cell.cell.scaffold)
                .ok_or_else(|| anyhow::anyhow!("no scaffold of the cell {id} was started"))?;
            let runtime = resolve::runtime(cell, recipe, agent.clone(), backends.clone(), checked.source.clone())
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
            RunError::Scratch { .. } | RunError::Gateway(_) => Failed::missing(error),
            error => Failed::from(error),
        })?;
        let agrees = match is_sweep {
            true => sweep::print(&path, json, &console)?,
            false => print_summary(&path, json, &console)?,
        };
        console.say(&format!("Everything was kept in {}", path.display()));
        Ok(match (tally.missing, tally.infrastructure_failures) {
            (1.., _) if tally.budget_used_up => {
                console.say(&format!(
                    "Stopped by the run's budget: `mtsec-agents resume {} --run-budget-usd N` (or --run-budget-tokens N) with a larger one finishes the other {}",
                    path.display(),
                    number_of(tally.missing, "trial")
                ));
                Exit::BudgetUsedUp
            }
            (1.., _) => {
                console.say(&format!(
                    "Interrupted: `mtsec-agents resume {}` finishes the other {}",
                    path.display(),
                    number_of(tally.missing, "trial")
                ));
                Exit::Interrupted
            }
            (0, 1..) => Exit::InfrastructureFailures,
            (0, 0) if tally.diverged > 0 || !agrees => Exit::Differs,
            (0, 0) => Exit::Done,
        })
    }
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
