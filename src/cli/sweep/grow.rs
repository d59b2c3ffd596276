//! What becomes of an experiment's run when its file has changed: what is reused, what stays, what is refused.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use super::super::Failed;
use crate::canary;
use crate::conversation::Interaction;
use crate::gateway::catalogue::ModelCatalogue;
use crate::plan::{Lock, TrialKey};
use crate::runner::Request;
use crate::store::{RunFolder, StoreError};
use crate::task::Task;

/// The trials of a run and of a file, sorted out.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Sorted {
    /// How many of the file's were run before.
    pub reused: usize,
    /// Those that were run before, and that the file does not ask for.
    pub stay: Vec<TrialKey>,
    /// Those that were planned, are not asked for any more, and were not run.
    pub dropped: usize,
}

impl Sorted {
    /// `ran`: the trials of the run that were run.
    pub fn new(lock: &Lock, wanted: &[TrialKey], ran: &HashSet<TrialKey>) -> Self {
        let wanted: HashSet<&TrialKey> = wanted.iter().collect();
        let mut sorted = Self::default();
        for trial in &lock.trials {
            match (wanted.contains(trial), ran.contains(trial)) {
                (true, true) => sorted.reused += 1,
                (true, false) => {}
                (false, true) => sorted.stay.push(trial.clone()),
                (false, false) => sorted.dropped += 1,
            }
        }
        sorted
    }
}

/// The trials of a run that were run: they have their outcome, or were played and wait to be judged.
pub fn ran(run: &RunFolder, lock: &Lock) -> Result<HashSet<TrialKey>, StoreError> {
    let mut ran = HashSet::new();
    for trial in &lock.trials {
        let folder = run.trial(trial);
        if folder.whole_record()?.is_some() || folder.played_record().is_some() {
            ran.insert(trial.clone());
        }
    }
    Ok(ran)
}

/// Refuses settings that decide what a trial shows and that its cell does not tell.
///
/// # Errors
/// One of them was another when the run was started.
pub fn same_settings(run: &Path, lock: &Lock, request: &Request) -> Result<(), Failed> {
    let settings = &lock.settings;
    let catalogue = ModelCatalogue::built_in().map_err(Failed::bad_input)?;
    for cell in &lock.cells {
        for model in std::iter::once(&cell.model).chain(&cell.options.critic) {
            let [before, now] = [&settings.api_base, &request.api_base].map(|endpoints| {
                let endpoint = catalogue.endpoint(endpoints, model);
                endpoint.unwrap_or("the provider's")
            });
            if before != now {
                let what = format!("`api_base` {before} of `{model}`, and now it is {now}");
                return Err(other_run(run, &what));
            }
        }
    }
    let pairs = [
        (
            "containment",
            settings.containment.to_string(),
            request.containment.to_string(),
        ),
        ("sandbox", plain(&settings.sandbox)?, plain(&request.sandbox)?),
        (
            "trial_budget",
            settings.trial_budget.to_string(),
            request.trial_budget.to_string(),
        ),
        ("test_turns", plain(&lock.test_turns)?, plain(&request.test_turns)?),
    ];
    match pairs.into_iter().find(|(_, before, now)| before != now) {
        None => Ok(()),
        Some((name, before, now)) => Err(other_run(run, &format!("`{name}` {before}, and now it is {now}"))),
    }
}

/// A word of YAML.
fn plain(value: &impl serde::Serialize) -> Result<String, Failed> {
    Ok(serde_json::to_string(value)?.trim_matches('"').to_owned())
}

/// Refuses to judge with something else than before.
///
/// # Errors
/// It is something else.
pub fn same_tester(run: &Path, lock: &Lock, tester: &str) -> Result<(), Failed> {
    match lock.settings.tester == tester {
        true => Ok(()),
        false => Err(other_run(
            run,
            &format!("the tester {}, and now it is {tester}", lock.settings.tester),
        )),
    }
}

fn other_run(run: &Path, what: &str) -> Failed {
    Failed::bad_input(anyhow::anyhow!(
        "{} was started with {what}: trials of the two do not belong in one table. Give it another --job-name, or make it as it was",
        run.display()
    ))
}

/// Refuses to put numbers of scripted models and of real ones into one run, unless the file itself does: a try must not spoil
/// what was paid for, nor what is paid for be marked as a try.
///
/// # Errors
/// The run has the one, the file the other.
pub fn same_kind(run: &Path, before: &[bool], now: &[bool]) -> Result<(), Failed> {
    let all = |kind: bool, of: &[bool]| !of.is_empty() && of.iter().all(|scripted| *scripted == kind);
    let (with, asks) = match () {
        () if all(true, before) && all(false, now) => ("scripted models", "real ones"),
        () if all(false, before) && all(true, now) => ("real models", "scripted ones"),
        () => return Ok(()),
    };
    Err(Failed::bad_input(anyhow::anyhow!(
        "{} was run with {with}, and now {asks} are asked for: a try and the experiment each need a run of their own, give this one another --job-name",
        run.display()
    )))
}

/// The tasks of a run that grows: those of the file, then those of which trials were run. Of the latter, one that the file has too
/// keeps its canary and its chosen distractions, and may gain conversations; what no trial has seen may change.
///
/// # Errors
/// A task of which trials were run has another content now.
pub fn merge_tasks(
    run: &Path,
    stored: Vec<Task>,
    wanted: Vec<Task>,
    was_run: impl Fn(&Task) -> bool,
) -> Result<Vec<Task>, Failed> {
    let stored = stored.into_iter().filter(was_run);
    let mut stored: BTreeMap<String, Task> = stored.map(|task| (task.id.clone(), task)).collect();
    let mut tasks = Vec::new();
    for mut task in wanted {
        let Some(before) = stored.remove(&task.id) else {
            canary::plant(&mut task, rand::random());
            tasks.push(task);
            continue;
        };
        if let Some(random) = canary::planted(&before) {
            canary::plant(&mut task, random);
        }
        let (id, place) = (task.id.clone(), task.origin.clone());
        let merged = merge_task(before, task).map_err(|what| {
            Failed::bad_input(anyhow::anyhow!(
                "{place}: task `{id}` has another {what} than in {}, where trials of it were run: give the new one another id, or this run another --job-name",
                run.display()
            ))
        })?;
        tasks.push(merged);
    }
    tasks.extend(stored.into_values());
    Ok(tasks)
}

/// A task as it was, with what is new in `now`; the error says what has changed.
fn merge_task(before: Task, now: Task) -> Result<Task, &'static str> {
    let mut merged = now;
    let same = [
        (merged.cwe == before.cwe, "cwe"),
        (merged.language == before.language, "language"),
        (merged.function == before.function, "function"),
        (merged.description == before.description, "description"),
        (merged.tests == before.tests, "set of tests"),
        (merged.requires == before.requires, "`requires`"),
        (merged.references == before.references, "reference solution"),
        (
            unite(&mut merged.conversations, before.conversations),
            "conversation of the same kind",
        ),
        (unite(&mut merged.drafts, before.drafts), "set of drafts"),
        (
            unite_lengths(&mut merged.lengths, before.lengths),
            "conversation of the same length",
        ),
    ];
    if let Some((_, what)) = same.into_iter().find(|(same, _)| !same) {
        return Err(what);
    }
    // What was chosen by chance when the trials were run stays chosen, whatever other tasks there are now.
    merged.distractions.extend(before.distractions);
    merged.origin = before.origin;
    Ok(merged)
}

/// Adds what there was before; whether nothing that was there is another now.
fn unite<K: Ord, V: PartialEq>(now: &mut BTreeMap<K, V>, before: BTreeMap<K, V>) -> bool {
    before.into_iter().all(|(key, value)| match now.get(&key) {
        Some(known) => *known == value,
        None => now.insert(key, value).is_none(),
    })
}

type Lengths = BTreeMap<Interaction, BTreeMap<u32, Vec<String>>>;

fn unite_lengths(now: &mut Lengths, before: Lengths) -> bool {
    before
        .into_iter()
        .all(|(interaction, lengths)| unite(now.entry(interaction).or_default(), lengths))
}
