//! From an experiment file, the options beside it, and what its run has already, to what is to be run.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use super::super::check::kept_cell;
use super::super::lock::EXPERIMENT;
use super::super::stored::{at_versions, stored_recipe, stored_request, stored_tasks};
use super::super::{Failed, agents};
use super::{Place, Sweep, Swept, grow};
use crate::canary;
use crate::console::Console;
use crate::conversation::Interaction;
use crate::experiment::{Experiment, Overrides, WantedCell};
use crate::gateway::catalogue::ModelSpec;
use crate::plan::{self, Lock, TrialKey};
use crate::recipe::{Recipe, Recipes};
use crate::report::number_of;
use crate::runner::Request;
use crate::runner::resolve::{self, ResolvedCell};
use crate::store::RunFolder;
use crate::task::Task;

/// A run of the experiment that is there already.
struct Earlier {
    folder: RunFolder,
    lock: Lock,
    /// Its trials that were run.
    ran: HashSet<TrialKey>,
}

/// A cell of the file, what it is run with, and where it is written.
struct Named {
    resolved: ResolvedCell,
    wanted: WantedCell,
}

/// Everything that can be known before anything is started.
///
/// # Errors
/// What is wrong with the file, its cells or the run that is to grow.
pub fn plan(sweep: Sweep, console: &Console) -> Result<(Request, Swept), Failed> {
    let experiment = Experiment::read(&sweep.file).map_err(Failed::bad_input)?;
    let text = std::fs::read_to_string(&sweep.file).map_err(Failed::bad_input)?;
    let overrides = Overrides {
        models: sweep.models.clone(),
        ..Overrides::default()
    };
    let wanted = experiment.cells(&overrides);
    let selection = sweep.selection.clone().or(&experiment.tasks);
    let dataset = selection.load_sample(experiment.tasks.sample)?;
    let name = sweep.job_name.clone().unwrap_or_else(|| experiment.name.clone());
    let path = sweep.jobs_dir.join(&name);
    let earlier = match path.join("lock.json").exists() {
        true => Some(open(&path, sweep.dry_run)?),
        false => None,
    };

    let mut request = request(&sweep, &experiment);
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

    let count = dataset.tasks.len();
    let tasks = match &earlier {
        None => {
            let mut tasks = dataset.tasks;
            tasks.iter_mut().for_each(|task| canary::plant(task, rand::random()));
            tasks
        }
        Some(Earlier { folder, lock, ran }) => {
            grow::same_settings(folder.path(), lock, &request)?;
            let was_run: HashSet<&str> = ran.iter().map(|trial| trial.task.as_str()).collect();
            let stays = |task: &Task| was_run.contains(task.id.as_str());
            grow::merge_tasks(folder.path(), stored_tasks(folder, lock)?, dataset.tasks, stays)?
        }
    };
    let spans = own
        .iter()
        .map(|cell| (&cell.resolved.cell, cell.wanted.interactions.as_slice()));
    let mut trials = plan::trials(&tasks[..count], spans, request.attempts);
    tell_left_out(&tasks[..count], &own, &request.interactions, console);
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
            jobs: sweep.jobs_dir,
            name,
        },
        Some(earlier) => {
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
        skipped_rows: dataset.skipped.len(),
        names,
        text,
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
        let told = |count: usize, what: &str| (count > 0).then(|| format!("{} {what}", number_of(count, "trial")));
        let words = [
            told(sorted.reused, "of the file were run before and are not run again"),
            told(
                sorted.stay.len(),
                "were run before that the file does not ask for: they stay, behind the others",
            ),
            told(
                sorted.dropped,
                "were planned that the file does not ask for any more: they are left out",
            ),
        ];
        let words: Vec<String> = words.into_iter().flatten().collect();
        if !words.is_empty() {
            console.say(&format!(
                "{}: {} asked for; {}",
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
fn request(sweep: &Sweep, experiment: &Experiment) -> Request {
    let settings = &experiment.settings;
    Request {
        agent_versions: settings.agent_versions.clone(),
        api_base: sweep.api_base.clone().or_else(|| settings.api_base.clone()),
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
    }
}

/// The recipes of all scaffolds; of those that the run has already, its own copies, in their places.
fn recipes(request: &mut Request, wanted: &[WantedCell], earlier: Option<&Earlier>) -> Result<Recipes, Failed> {
    let mut recipes: Vec<Recipe> = Vec::new();
    if let Some(Earlier { folder, lock, .. }) = earlier {
        for (index, scaffold) in stored_request(folder.path())?.scaffolds.iter().enumerate() {
            recipes.push(stored_recipe(folder.path(), scaffold, index)?);
            request.scaffolds.push(scaffold.clone());
        }
        // What a crash has kept from the lock is not part of the run.
        let is_used = |recipe: &Recipe| lock.cells.iter().any(|cell| cell.scaffold == recipe.source.name);
        let used = recipes.iter().rposition(is_used).map_or(0, |last| last + 1);
        recipes.truncate(used);
        request.scaffolds.truncate(used);
    }
    let before = recipes.len();
    for cell in wanted {
        let scaffold = &cell.asked.scaffold;
        match request.scaffolds.iter().position(|known| known == scaffold) {
            None => {
                recipes.push(agents::recipe(scaffold)?);
                request.scaffolds.push(scaffold.clone());
            }
            Some(index) if index < before && Recipe::is_path(scaffold) && Path::new(scaffold).exists() => {
                let digest = |recipe: &Recipe| recipe.own.as_ref().map(|own| own.digest.clone());
                if digest(&agents::recipe(scaffold)?) != digest(&recipes[index]) {
                    return Err(Failed::bad_input(anyhow::anyhow!(
                        "{scaffold}: it is not the recipe that the run was started with, or its program has changed: give it another `name` and file, or the run another --job-name"
                    )));
                }
            }
            Some(_) => {}
        }
    }
    at_versions(recipes, request)
}

/// The cells that the file asks for, each once, needing no key.
fn cells(
    experiment: &Experiment,
    wanted: &[WantedCell],
    request: &Request,
    recipes: &Recipes,
    as_written: bool,
) -> Result<Vec<Named>, Failed> {
    let mut cells: Vec<Named> = Vec::new();
    for cell in wanted {
        let resolved = resolved(experiment, cell, request, recipes, &resolve::no_call)?;
        let Some(same) = cells.iter_mut().find(|known| known.resolved.cell == resolved.cell) else {
            cells.push(Named {
                resolved,
                wanted: cell.clone(),
            });
            continue;
        };
        // The file can name what a recipe does anyway.
        if let (true, Some(one), Some(other)) = (as_written, &same.wanted.name, &cell.name) {
            let (line, column) = same.wanted.place;
            let message = format!("cell `{other}` is the same as `{one}` ({line}:{column}): leave one of them out");
            return Err(Failed::bad_input(experiment.wrong(cell, message)));
        }
        let named = &mut same.wanted;
        named.name = named.name.take().or_else(|| cell.name.clone());
        for interaction in &cell.interactions {
            if !named.interactions.contains(interaction) {
                named.interactions.push(*interaction);
            }
        }
    }
    Ok(cells)
}

/// A cell of the file with its recipe and model; what is wrong is told at its place.
fn resolved(
    experiment: &Experiment,
    wanted: &WantedCell,
    request: &Request,
    recipes: &Recipes,
    keys: resolve::Keys<'_>,
) -> Result<ResolvedCell, Failed> {
    let index = request
        .scaffolds
        .iter()
        .position(|known| *known == wanted.asked.scaffold);
    let recipe = index.and_then(|index| recipes.iter().nth(index));
    let recipe = recipe.ok_or_else(|| anyhow::anyhow!("no recipe of {} was read", wanted.asked.scaffold))?;
    resolve::cell_with(&wanted.asked, recipe, request, keys)
        .map_err(|error| Failed::bad_input(experiment.wrong(wanted, error.to_string())))
}

/// Tasks that lack what a cell asks for are left out of it, and never silently.
fn tell_left_out(tasks: &[Task], cells: &[Named], interactions: &[Interaction], console: &Console) {
    for interaction in interactions {
        let asking = || {
            cells
                .iter()
                .filter(|cell| cell.wanted.interactions.contains(interaction))
        };
        let lacks = |task: &&Task| asking().any(|cell| !task.offers(*interaction, &cell.resolved.cell.options));
        let without = tasks.iter().filter(lacks).count();
        if without > 0 {
            console.warn(&format!(
                "{without} of {} tasks cannot be run with {interaction} in every cell that asks for it, and are left out where they cannot",
                tasks.len()
            ));
        }
    }
}
