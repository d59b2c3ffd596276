//! `sweep --dry-run`: what would be run, what was run before, and what the rest may use.

use std::collections::{BTreeSet, HashMap, HashSet};

use serde::Serialize;

use super::super::check::{Checked, recipe_of};
use super::super::{Failed, tasks};
use super::{Place, Swept, grow};
use crate::console::Console;
use crate::conversation::Interaction;
use crate::plan::{Cell, TrialKey};
use crate::report::{number_of, thousands};
use crate::runner::estimate::{Basis, Estimate, Used};
use crate::runner::resolve::{self, ResolvedCell};
use crate::task::Task;

/// All that is printed.
#[derive(Serialize)]
struct Planned {
    cells: Vec<PlannedCell>,
    tasks: usize,
    /// That the file asks for.
    trials: usize,
    run_before: usize,
    /// Run before, and not asked for by the file: they stay in the run.
    stay: usize,
    skipped_rows: usize,
    /// Of all that is not run yet.
    estimate: Estimate,
    /// What of its cost is known, in US dollars: that of the models whose price is.
    known_cost: f64,
    /// Models whose price is not known.
    without_price: BTreeSet<String>,
}

#[derive(Serialize)]
struct PlannedCell {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dialect: Option<&'static str>,
    /// Where the model is called, if that is not at its provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    api_base: Option<String>,
    cell: Cell,
    interactions: Vec<Part>,
    /// The file does not ask for it, and trials of it were run.
    #[serde(skip)]
    stays: bool,
}

/// The trials of a cell under one interaction.
#[derive(Serialize)]
struct Part {
    interaction: Interaction,
    trials: usize,
    run_before: usize,
    /// Of those that are not run yet; none where all are.
    #[serde(skip_serializing_if = "Option::is_none")]
    estimate: Option<Estimate>,
    #[serde(skip_serializing_if = "Option::is_none")]
    basis: Option<Basis>,
}

/// Prints the plan of an experiment.
pub fn print(swept: &Swept, checked: &Checked, json: bool, console: &Console) -> Result<(), Failed> {
    tasks::tell_skipped(console, checked.skipped_rows);
    let planned = planned(swept, checked)?;
    let text = match json {
        true => format!("{}\n", serde_json::to_string_pretty(&planned)?),
        false => people(&planned),
    };
    Ok(console.result(&text)?)
}

fn planned(swept: &Swept, checked: &Checked) -> Result<Planned, Failed> {
    let (used, ran) = match &swept.place {
        Place::New { .. } => (Used::default(), HashSet::new()),
        Place::Grown { folder, lock } => (Used::of(folder, lock)?, grow::ran(folder, lock)?),
    };
    let (asked, stay) = checked.trials.split_at(swept.wanted);
    let tasks: HashMap<&str, &Task> = checked.tasks.iter().map(|task| (task.id.as_str(), task)).collect();
    let mut planned = Planned {
        cells: Vec::new(),
        tasks: asked.iter().map(|trial| &trial.task).collect::<HashSet<_>>().len(),
        trials: asked.len(),
        run_before: asked.iter().filter(|trial| ran.contains(*trial)).count(),
        stay: stay.len(),
        skipped_rows: checked.skipped_rows,
        estimate: Estimate::NOTHING,
        known_cost: 0.0,
        without_price: BTreeSet::new(),
    };
    for resolved in &checked.cells {
        let id = resolved.cell.id();
        let recipe = recipe_of(&resolved.cell, &swept.recipes)?;
        let own: Vec<&TrialKey> = asked.iter().filter(|trial| trial.cell == id).collect();
        let mut interactions = Vec::new();
        for interaction in Interaction::ALL {
            let all = || own.iter().filter(|trial| trial.interaction == interaction);
            let (trials, run_before) = (all().count(), all().filter(|trial| ran.contains(**trial)).count());
            let rest = all().filter(|trial| !ran.contains(**trial));
            let rest: Vec<(&Task, &TrialKey)> = rest
                .filter_map(|trial| Some((*tasks.get(trial.task.as_str())?, *trial)))
                .collect();
            let mut part = Part {
                interaction,
                trials,
                run_before,
                estimate: None,
                basis: None,
            };
            if !rest.is_empty() {
                let (estimate, basis) = used.estimate(resolved, recipe, interaction, &rest)?;
                planned.estimate.add(&estimate);
                match estimate.cost {
                    Some(cost) => planned.known_cost += cost,
                    None => drop(planned.without_price.insert(resolved.cell.model.clone())),
                }
                (part.estimate, part.basis) = (Some(estimate), Some(basis));
            }
            if trials > 0 {
                interactions.push(part);
            }
        }
        planned.cells.push(PlannedCell {
            stays: stay.iter().any(|trial| trial.cell == id),
            name: swept.names.get(&id).cloned(),
            dialect: dialect(resolved, swept),
            api_base: resolved.model.endpoint().map(str::to_owned),
            cell: resolved.cell.clone(),
            id,
            interactions,
        });
    }
    Ok(planned)
}

fn dialect(resolved: &ResolvedCell, swept: &Swept) -> Option<&'static str> {
    let recipe = swept.recipes.of(&resolved.cell.scaffold)?;
    resolve::dialect(recipe, resolved).ok().map(|dialect| dialect.name())
}

fn people(planned: &Planned) -> String {
    let mut text = String::new();
    for cell in &planned.cells {
        text.push_str(&headline(cell));
        for part in &cell.interactions {
            text.push_str(&line(part));
        }
        match (cell.interactions.is_empty(), cell.stays) {
            (true, true) => text.push_str("  stays in the run: the file does not ask for it\n"),
            (true, false) => text.push_str("  no trial: no selected task can be run with it\n"),
            (false, _) => {}
        }
    }
    let rest = planned.trials - planned.run_before;
    text.push_str(&format!(
        "{}, {}, {}, of which {} run before; nothing was started\n",
        number_of(
            planned
                .cells
                .iter()
                .filter(|cell| !cell.interactions.is_empty())
                .count(),
            "cell"
        ),
        number_of(planned.tasks, "task"),
        number_of(planned.trials, "trial"),
        match planned.run_before {
            0 => "none was".to_owned(),
            1 => "1 was".to_owned(),
            count => format!("{count} were"),
        },
    ));
    if planned.stay > 0 {
        let count = number_of(planned.stay, "further trial");
        text.push_str(&format!("{count} of the run that the file does not ask for: kept\n"));
    }
    if rest > 0 {
        text.push_str(&format!(
            "Estimate for {}: {}\n",
            number_of(rest, "trial"),
            told(&planned.estimate)
        ));
        text.push_str(
            "An estimate rests on trials of the run where it says so, or on what the scripted model needed for the recipe; what a model thinks, repairs or says beyond that, and what a critic says, comes on top, and what its provider has in a cache costs less.\n",
        );
    }
    if !planned.without_price.is_empty() {
        let models: Vec<&str> = planned.without_price.iter().map(String::as_str).collect();
        text.push_str(&format!(
            "The price is not known of {}; the others' calls cost about ${:.4}.\n",
            models.join(", "),
            planned.known_cost
        ));
    }
    text
}

fn headline(planned: &PlannedCell) -> String {
    let PlannedCell {
        id,
        name,
        cell,
        dialect,
        api_base,
        ..
    } = planned;
    let name = name.as_ref().map(|name| format!(" {name}")).unwrap_or_default();
    let dialect = dialect.map(|dialect| format!(" in {dialect}")).unwrap_or_default();
    let at = api_base.as_ref().map(|url| format!(" at {url}")).unwrap_or_default();
    let options = match cell.options.to_string() {
        none if none.is_empty() => none,
        options => format!(", {options}"),
    };
    let Cell {
        scaffold,
        version,
        model,
        ..
    } = cell;
    format!("cell {id}{name}: {scaffold} {version}, model {model}{dialect}{at}{options}\n")
}

fn line(part: &Part) -> String {
    let before = match part.run_before {
        0 => String::new(),
        count => format!(", {count} run before"),
    };
    let rest = match (&part.estimate, part.basis) {
        (Some(estimate), Some(basis)) => format!("; {}, by {}", told(estimate), source(basis)),
        _ => String::new(),
    };
    format!(
        "  {}: {}{before}{rest}\n",
        part.interaction,
        number_of(part.trials, "trial")
    )
}

fn source(basis: Basis) -> &'static str {
    match basis {
        Basis::Cell => "trials of this cell",
        Basis::Scaffold => "trials of this scaffold",
        Basis::Recipe => "its recipe",
        Basis::Prompts => "the prompts alone",
    }
}

fn told(estimate: &Estimate) -> String {
    let cost = match estimate.cost {
        Some(cost) => format!("${cost:.4}"),
        None => "price not known".to_owned(),
    };
    format!(
        "about {} tokens in, {} out, {cost}",
        thousands(estimate.input_tokens),
        thousands(estimate.output_tokens)
    )
}
