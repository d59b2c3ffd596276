//! From an experiment file, the options beside it, and what its run has already, to what is to be run.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use super::super::check::{kept_cell, tell_other_program};
use super::super::lock::EXPERIMENT;
use super::super::stored::stored_tasks;
use super::super::{Failed, endpoints, said};
use super::cells::{Named, cells, recipes, resolved};
use super::{Place, Sweep, Swept, grow};
use crate::canary;
use crate::console::Console;
use crate::dataset::Dataset;
use crate::experiment::{Experiment, Overrides};
use crate::gateway::catalogue::ModelSpec;
use crate::plan::{self, Lock, TrialKey};
use crate::recipe::Recipes;
use crate::report::{either, number_of};
use crate::runner::Request;
use crate::runner::resolve::ResolvedCell;
use crate::store::RunFolder;
use crate::task::Task;

/// A run of the experiment that is there already.
pub struct Earlier {
    pub folder: RunFolder,
    pub lock: Lock,
    /// Its trials that were run.
    ran: HashSet<TrialKey>,
}

/// Everything that can be known before anything is started.
///
/// # Errors
/// What is wrong with the file, its cells or the run that is to grow.
pub fn plan(sweep: Sweep, console: &Console) -> Result<(Request, Swept), Failed> {
    let chosen = sweep.destination.name()?;
    let experiment = Experiment::read(&sweep.file).map_err(Failed::bad_input)?;
    let overrides = Overrides {
        models: sweep.models.clone(),
        ..Overrides::default()
    };
    let wanted = experiment.cells(&overrides);
    let selection = sweep.selection.clone().or(&experiment.tasks);
    let dataset = selection.load_sample(experiment.tasks.sample)?;
    if let Some(sample) = experiment.tasks.sample
        && dataset.tasks.len() < sample.count
        && !selection.is_limited()
    {
        console.warn(&format!(
            "the sample is to be of {}, and there are {}: all are taken",
            number_of(sample.count, "task"),
            dataset.tasks.len()
        ));
    }
    let name = chosen.unwrap_or_else(|| experiment.name.clone());
    let path = sweep.destination.jobs_dir.join(&name);
    let earlier = match path.join("lock.json").exists() {
        true => Some(open(&path, sweep.dry_run)?),
        false => None,
    };

    let mut request = request(&sweep, &experiment)?;
    (request.tasks, request.include, request.exclude, request.limit) = selection.parts();
    let recipes = recipes(&mut request, &wanted, earlier.as_ref())?;
    let mut own = cells(&experiment, &wanted, &request, &recipes, sweep.models.is_empty())?;
    for cell in &own {
        let new = |known: &Vec<String>, name: &String| !known.contains(name);
        if new(&request.models, &cell.resolved.cell.model) {
            request.models.push(cell.resolved.cell.model.clone());
        }
        for interaction in &cell.wanted.interactions {
            if !request.interactions.contains(interaction) {
                request.interactions.push(*interaction);
            }
        }
    }

    let skipped_rows = dataset.skipped.len();
    let (tasks, count) = tasks(dataset, &own, earlier.as_ref(), &request, &experiment)?;
    let spans: Vec<_> = own.iter().map(Named::span).collect();
    let mut trials = plan::trials(&tasks[..count], spans.iter().copied(), request.attempts);
    for told in said::left_out(&tasks[..count], &spans, true) {
        console.warn(&told);
    }
    let asked = trials.len();

    let mut names: BTreeMap<String, String> = BTreeMap::new();
    let is_done = |trial: &TrialKey| earlier.as_ref().is_some_and(|earlier| earlier.ran.contains(trial));
    for cell in &mut own {
        let id = cell.resolved.cell.id();
        // What is not run calls nobody, and needs no key.
        if !sweep.dry_run && trials.iter().any(|trial| trial.cell == id && !is_done(trial)) {
            cell.resolved = resolved(&experiment, &cell.wanted, &request, &recipes, &crate::keys::get)?;
        }
        names.extend(cell.wanted.name.clone().map(|name| (id, name)));
    }
    let mut cells: Vec<ResolvedCell> = own.into_iter().map(|cell| cell.resolved).collect();
    let place = match earlier {
        None => Place::New {
            jobs: sweep.destination.jobs_dir,
            name,
        },
        Some(earlier) => {
            tell_other_program(&earlier.lock.version, console);
            let kept = earlier.keep(&mut trials, &mut cells, &recipes, console)?;
            for (id, name) in kept {
                if !names.values().any(|known| *known == name) {
                    names.entry(id).or_insert(name);
                }
            }
            let (folder, lock) = (Box::new(earlier.folder), Box::new(earlier.lock));
            Place::Grown { folder, lock }
        }
    };
    let swept = Swept {
        recipes,
        cells,
        tasks,
        trials,
        wanted: asked,
        skipped_rows,
        names,
        text: experiment.text,
        place,
    };
    Ok((request, swept))
}

/// The run that is there; held by this process, unless it is only looked at.
fn open(path: &Path, only_look: bool) -> Result<Earlier, Failed> {
    let folder = match only_look {
        true => RunFolder::open(path),
        false => RunFolder::open_exclusive(path),
    };
    let folder = folder.map_err(Failed::bad_input)?;
    if !path.join(EXPERIMENT).is_file() {
        return Err(Failed::bad_input(anyhow::anyhow!(
            "{} was not made by `sweep`: choose another --job-name",
            path.display()
        )));
    }
    let lock: Lock = folder.read_json("lock.json").map_err(Failed::bad_input)?;
    let ran = grow::ran(&folder, &lock).map_err(Failed::bad_input)?;
    Ok(Earlier { folder, lock, ran })
}

impl Earlier {
    /// Adds the trials that stay, and the cells of theirs that the file does not have; returns the names of those.
    fn keep(
        &self,
        trials: &mut Vec<TrialKey>,
        cells: &mut Vec<ResolvedCell>,
        recipes: &Recipes,
        console: &Console,
    ) -> Result<BTreeMap<String, String>, Failed> {
        let path = self.folder.path();
        let was_run = |cell: &&plan::Cell| self.ran.iter().any(|trial| trial.cell == cell.id());
        let before = self.lock.cells.iter().filter(was_run);
        let before: Vec<bool> = before.map(|cell| ModelSpec::parse(&cell.model).is_scripted()).collect();
        let now: Vec<bool> = cells.iter().map(|cell| cell.model.is_scripted()).collect();
        grow::same_kind(path, &before, &now)?;

        let sorted = grow::Sorted::new(&self.lock, trials, &self.ran);
        let asked = trials.len();
        let mut names = BTreeMap::new();
        for cell in &self.lock.cells {
            let id = cell.id();
            let is_new = cells.iter().all(|known| known.cell.id() != id);
            if is_new && sorted.stay.iter().any(|trial| trial.cell == id) {
                cells.push(kept_cell(&self.folder, &self.lock, cell, recipes, |_| false)?);
                names.extend(self.lock.names.get(&id).map(|name| (id, name.clone())));
            }
        }
        let told = |count: usize, what: &str| {
            let were = either(count, "was", "were");
            (count > 0).then(|| format!("{} {were} {what}", number_of(count, "trial")))
        };
        let words = [
            told(sorted.reused, "run before, and not again"),
            told(
                sorted.stay.len(),
                "run before that the file does not ask for, and kept behind the others",
            ),
            told(
                sorted.dropped,
                "planned that the file does not ask for any more, and left out",
            ),
        ];
        let words: Vec<String> = words.into_iter().flatten().collect();
        if !words.is_empty() {
            console.say(&format!(
                "{}: the file asks for {}; {}",
                path.display(),
                number_of(asked, "trial"),
                words.join("; ")
            ));
        }
        trials.extend(sorted.stay);
        Ok(names)
    }
}

/// What is asked for, as `run.yaml` keeps it; its cells are in the experiment file.
fn request(sweep: &Sweep, experiment: &Experiment) -> Result<Request, Failed> {
    let settings = &experiment.settings;
    let models = sweep.models.iter().map(String::as_str).chain(experiment.models());
    let typed = endpoints::of(&sweep.api_base, models)?;
    Ok(Request {
        agent_versions: settings.agent_versions.clone(),
        api_base: typed.or(&settings.api_base),
        attempts: sweep.attempts.unwrap_or(settings.attempts),
        concurrent: sweep.concurrent,
        retries: sweep.retries.unwrap_or(settings.retries),
        turn_limit: settings.turn_limit,
        session_limit: settings.session_limit,
        quiet_limit: settings.quiet_limit,
        trial_limit: settings.trial_limit,
        agent_turn_limit: settings.agent_turn_limit,
        agent_session_limit: settings.agent_session_limit,
        agent_trial_limit: settings.agent_trial_limit,
        trial_budget: sweep.budgets.trial().or(settings.trial_budget),
        run_budget: sweep.budgets.run().or(settings.run_budget),
        test_turns: settings.test_turns,
        sandbox: settings.sandbox,
        containment: settings.containment,
        ..Request::default()
    })
}

/// The run's own copies of the tasks, with all that is said in the cells, and how many of them the file asks for: the others are
/// of trials that stay.
fn tasks(
    mut dataset: Dataset,
    cells: &[Named],
    earlier: Option<&Earlier>,
    request: &Request,
    experiment: &Experiment,
) -> Result<(Vec<Task>, usize), Failed> {
    for cell in cells {
        if let Some(misfit) = cell.resolved.cell.options.misfit(&cell.wanted.interactions) {
            return Err(Failed::bad_input(experiment.wrong(&cell.wanted, misfit)));
        }
    }
    let count = dataset.tasks.len();
    let mut left = Vec::new();
    match earlier {
        None => {
            let plant = |task: &mut Task| canary::plant(task, rand::random());
            dataset.tasks.iter_mut().for_each(plant);
        }
        Some(Earlier { folder, lock, ran }) => {
            grow::same_settings(folder.path(), lock, request)?;
            let known: HashSet<&str> = ran.iter().map(|trial| trial.task.as_str()).collect();
            let was_run = |task: &Task| known.contains(task.id.as_str());
            dataset.tasks = grow::merge_tasks(folder.path(), stored_tasks(folder, lock)?, dataset.tasks, was_run)?;
            left = dataset.tasks.split_off(count);
        }
    }
    let spans: Vec<_> = cells.iter().map(Named::span).collect();
    let mut tasks = said::complete(&dataset, &spans)?;
    tasks.append(&mut left);
    Ok((tasks, count))
}
