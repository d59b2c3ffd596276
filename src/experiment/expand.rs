//! From what is written to cells: products, what is taken out of them, what is added.

use std::str::FromStr;

use serde_yaml::Spanned;

use super::assign::{Folder, assign, interaction};
use super::error::Wrong;
use super::mapping::{Mapping, Setting, Value, place};
use super::written::File;
use super::{Overrides, WantedCell};
use crate::conversation::Interaction;
use crate::gateway::catalogue::ModelSpec;
use crate::plan::{CellRequest, Key, Reveal};

/// The cells of a file.
pub fn cells(file: &File, folder: &Folder<'_>) -> Result<Vec<WantedCell>, Wrong> {
    // What is wrong in the defaults is told there, also where every cell overrides it.
    keys(&file.defaults, folder)?;
    let mut cells: Vec<WantedCell> = Vec::new();
    if let Some(matrix) = &file.matrix {
        let mut wanted = product(matrix, &file.defaults, folder)?;
        for exclude in &file.exclude {
            take_out(&mut wanted, exclude, folder)?;
        }
        if wanted.iter().all(|cell| cell.interactions.is_empty()) {
            let message = "`exclude` leaves nothing of the matrix: leave out the one or the other";
            return Err(Wrong::new(place(matrix), message));
        }
        wanted.into_iter().for_each(|cell| merge(&mut cells, cell));
    } else if let Some(exclude) = file.exclude.first() {
        let message = "there is no `matrix` that anything could be taken out of";
        return Err(Wrong::new(place(exclude), message));
    }
    for include in &file.include {
        let wanted = product(include, &file.defaults, folder)?;
        wanted.into_iter().for_each(|cell| merge(&mut cells, cell));
    }
    for (name, written) in &file.cells.0 {
        let cell = named(name, written, &file.defaults, folder)?;
        if let Some(same) = cells.iter().find(|same| same.asked == cell.asked) {
            let (line, column) = same.place;
            let other = match &same.name {
                Some(other) => format!("cell `{other}` ({line}:{column})"),
                None => format!("a cell of the matrix or of `include` ({line}:{column})"),
            };
            let message = format!("cell `{}` is the same as {other}: leave one of them out", name.value);
            return Err(Wrong::new(place(name), message));
        }
        cells.push(cell);
    }
    for cell in &mut cells {
        cell.asked.options.dialects = file.dialects.clone();
    }
    match cells.is_empty() {
        true => Err(Wrong::new(
            (1, 1),
            "the file asks for no cell: give it a `matrix`, an `include` or `cells`",
        )),
        false => Ok(cells),
    }
}

/// The cells with other models or scaffolds. Where they become the same cell they are one, under the first name.
pub fn overridden(cells: &[WantedCell], overrides: &Overrides) -> Vec<WantedCell> {
    let Overrides { models, scaffolds } = overrides;
    let mut changed: Vec<WantedCell> = cells.to_vec();
    if !scaffolds.is_empty() {
        changed = with_each(&changed, scaffolds, |asked, scaffold| asked.scaffold = scaffold);
    }
    if !models.is_empty() {
        changed = with_each(&changed, models, |asked, model| {
            if !matches!(ModelSpec::parse(&model), ModelSpec::Named(_)) {
                // A try without cost must not call the critic of the file: it is the cell's own model.
                asked.options.critic = None;
                // And what a script does not heed makes no cell of its own.
                asked.options.reasoning_effort = None;
                asked.options.thinking_tokens = None;
            }
            asked.model = model;
        });
    }
    changed
}

fn with_each(cells: &[WantedCell], values: &[String], change: impl Fn(&mut CellRequest, String)) -> Vec<WantedCell> {
    let mut changed = Vec::new();
    for cell in cells {
        for value in values {
            let mut cell = cell.clone();
            change(&mut cell.asked, value.clone());
            if values.len() > 1 {
                cell.name = cell.name.map(|name| format!("{name}, {value}"));
            }
            merge(&mut changed, cell);
        }
    }
    changed
}

/// Adds a cell; where it is there already, its interactions.
fn merge(cells: &mut Vec<WantedCell>, cell: WantedCell) {
    if cell.interactions.is_empty() {
        return;
    }
    let cell = revealing(cell);
    match cells.iter_mut().find(|known| known.asked == cell.asked) {
        None => cells.push(cell),
        Some(known) => {
            for interaction in cell.interactions {
                if !known.interactions.contains(&interaction) {
                    known.interactions.push(interaction);
                }
            }
        }
    }
}

/// Where nothing is told, nothing is revealed: `feedback: [0, 3]` has one cell without feedback, whatever the others reveal.
fn revealing(mut cell: WantedCell) -> WantedCell {
    let feedback = &mut cell.asked.options.feedback;
    if cell.interactions.iter().all(|kind| feedback.turns(*kind) == 0) {
        feedback.reveal = Reveal::default();
    }
    cell
}

/// The keys of a mapping, every value looked at.
pub fn keys<'a>(mapping: &'a Mapping, folder: &Folder<'_>) -> Result<Vec<(Key, &'a Setting)>, Wrong> {
    let mut found = Vec::new();
    for (written, setting) in &mapping.0 {
        let key = Key::from_str(&written.value).map_err(|message| Wrong::new(place(written), message))?;
        if setting.values.is_empty() {
            let message = format!("`{key}` has no value: leave it out, or give it one");
            return Err(Wrong::new(setting.place, message));
        }
        for (index, value) in setting.values.iter().enumerate() {
            let mut scratch = CellRequest::default();
            set(&mut scratch, folder, key, value)?;
            if setting.values[..index].iter().any(|earlier| earlier.text == value.text) {
                let text = value.text.as_deref().unwrap_or("null");
                return Err(Wrong::new(value.place, format!("`{key}` has the value `{text}` twice")));
            }
        }
        found.push((key, setting));
    }
    Ok(found)
}

fn set(asked: &mut CellRequest, folder: &Folder<'_>, key: Key, value: &Value) -> Result<(), Wrong> {
    assign(asked, folder, key, value.text.as_deref())
        .map_err(|message| Wrong::new(value.place, format!("{key}: {message}")))
}

/// Every combination of the values of a mapping, and of the defaults where it names no value.
fn product(written: &Spanned<Mapping>, defaults: &Mapping, folder: &Folder<'_>) -> Result<Vec<WantedCell>, Wrong> {
    let own = keys(&written.value, folder)?;
    let mut all = own.clone();
    all.extend(
        keys(defaults, folder)?
            .into_iter()
            .filter(|(key, _)| own.iter().all(|(known, _)| known != key)),
    );
    for key in [Key::Scaffold, Key::Model] {
        if all.iter().all(|(known, _)| *known != key) {
            let message = format!("there is no `{key}`: give one here or in `defaults`");
            return Err(Wrong::new(place(written), message));
        }
    }
    let mut interactions: Vec<Interaction> = Vec::new();
    let mut products = vec![(CellRequest::default(), place(written))];
    for (key, setting) in all {
        if key == Key::Interaction {
            for value in &setting.values {
                let named = interaction(value.text.as_deref().unwrap_or_default());
                interactions.push(named.map_err(|message| Wrong::new(value.place, message))?);
            }
            continue;
        }
        let mut longer = Vec::with_capacity(products.len() * setting.values.len());
        for (asked, place) in &products {
            for value in &setting.values {
                let mut asked = asked.clone();
                set(&mut asked, folder, key, value)?;
                let is_here = key == Key::Model && own.iter().any(|(own, _)| *own == key);
                longer.push((asked, if is_here { value.place } else { *place }));
            }
        }
        products = longer;
    }
    if interactions.is_empty() {
        interactions = Interaction::USUAL.to_vec();
    }
    Ok(products
        .into_iter()
        .map(|(asked, place)| WantedCell {
            name: None,
            asked,
            interactions: interactions.clone(),
            place,
        })
        .collect())
}

/// Takes out what has all values of `exclude`.
fn take_out(cells: &mut [WantedCell], exclude: &Spanned<Mapping>, folder: &Folder<'_>) -> Result<(), Wrong> {
    let keys = keys(&exclude.value, folder)?;
    if keys.is_empty() {
        return Err(Wrong::new(
            place(exclude),
            "this takes everything out: name what is to be taken out",
        ));
    }
    let mut conditions: Vec<(Key, Vec<String>)> = Vec::new();
    for (key, setting) in keys {
        let values: Result<_, Wrong> = setting.values.iter().map(|value| said(folder, key, value)).collect();
        conditions.push((key, values?));
    }
    let mut taken = 0;
    for cell in cells {
        let before = cell.interactions.len();
        let asked = &cell.asked;
        cell.interactions.retain(|interaction| {
            let has = |(key, values): &(Key, Vec<String>)| values.contains(&key.asked(asked, *interaction));
            !conditions.iter().all(has)
        });
        taken += before - cell.interactions.len();
    }
    match taken {
        0 => Err(Wrong::new(
            place(exclude),
            "this takes nothing out of the matrix: no combination that is still there has all of these values",
        )),
        _ => Ok(()),
    }
}

/// A value as [`Key::asked`] tells it.
fn said(folder: &Folder<'_>, key: Key, value: &Value) -> Result<String, Wrong> {
    let mut scratch = CellRequest::default();
    set(&mut scratch, folder, key, value)?;
    Ok(match (key, &value.text) {
        (Key::Interaction, Some(text)) => text.clone(),
        _ => key.asked(&scratch, Interaction::Single),
    })
}

/// A cell that has a name.
fn named(
    name: &Spanned<String>,
    written: &Spanned<Mapping>,
    defaults: &Mapping,
    folder: &Folder<'_>,
) -> Result<WantedCell, Wrong> {
    if name.value.trim().is_empty() || name.value.contains(char::is_control) {
        return Err(Wrong::new(
            place(name),
            "the name of a cell is empty, or has control characters",
        ));
    }
    let own = |key: &Spanned<String>| written.value.0.iter().any(|(own, _)| own.value == key.value);
    let all = written
        .value
        .0
        .iter()
        .chain(defaults.0.iter().filter(|(key, _)| !own(key)));
    for (key, setting) in all {
        if setting.values.len() > 1 && key.value != Key::Interaction.name() {
            let message = format!(
                "cell `{}` is one cell, and `{}` has {} values: give it one, or use `include`",
                name.value,
                key.value,
                setting.values.len()
            );
            return Err(Wrong::new(setting.place, message));
        }
    }
    let mut cells = product(written, defaults, folder)?;
    match cells.pop() {
        Some(cell) => Ok(revealing(WantedCell {
            name: Some(name.value.clone()),
            ..cell
        })),
        None => Err(Wrong::new(place(name), format!("cell `{}` is empty", name.value))),
    }
}
