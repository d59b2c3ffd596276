//! The table of a file, checked against the cells that it is of.

use std::collections::BTreeMap;

use serde_yaml::Spanned;

use super::WantedCell;
use super::assign::Folder;
use super::error::Wrong;
use super::expand::{keys, said};
use super::table::{Column, Table};
use super::written::{Mapping, WrittenColumn, WrittenTable, place};
use crate::plan::Key;
use crate::recipe::Recipe;

/// The table that is written.
pub fn table(written: &WrittenTable, cells: &[WantedCell], folder: &Folder<'_>) -> Result<Table, Wrong> {
    let mut lines: Vec<Key> = Vec::new();
    for line in &written.lines {
        let key = line
            .value
            .parse()
            .map_err(|message: String| Wrong::new(place(line), message))?;
        if lines.contains(&key) {
            return Err(Wrong::new(place(line), format!("the key `{key}` is there twice")));
        }
        lines.push(key);
    }
    let mut columns: Vec<Column> = Vec::new();
    for written in &written.columns {
        let column = column(&written.value, cells, folder)?;
        if columns.iter().any(|earlier| earlier.title == column.title) {
            let message = format!(
                "the title `{}` is there twice: a baseline would not be known",
                column.title
            );
            return Err(Wrong::new(place(&written.value.title), message));
        }
        columns.push(column);
    }
    for written in &written.columns {
        let Some(baseline) = &written.value.baseline else {
            continue;
        };
        let is_another = baseline.value != written.value.title.value;
        if !is_another || columns.iter().all(|column| column.title != baseline.value) {
            let titles: Vec<String> = columns
                .iter()
                .filter(|column| column.title != written.value.title.value)
                .map(|column| format!("`{}`", column.title))
                .collect();
            let known = match titles.is_empty() {
                true => "there is none".to_owned(),
                false => format!("there is {}", titles.join(", ")),
            };
            let message = format!(
                "the baseline `{}` is not the title of another column: {known}",
                baseline.value
            );
            return Err(Wrong::new(place(baseline), message));
        }
    }
    Ok(Table {
        caption: written.caption.clone(),
        lines,
        columns,
        shares: written.shares.clone(),
    })
}

fn column(written: &WrittenColumn, cells: &[WantedCell], folder: &Folder<'_>) -> Result<Column, Wrong> {
    let mut alternatives = Vec::new();
    let mut retries = 0;
    for mapping in &written.alternatives {
        for alternative in spread(mapping, folder)? {
            let selected: Vec<&WantedCell> = cells.iter().filter(|cell| may_match(&alternative, cell)).collect();
            if selected.is_empty() {
                let values: Vec<String> = alternative
                    .iter()
                    .map(|(key, value)| format!("{key}: {value}"))
                    .collect();
                let message = format!("no cell of the file has {{{}}}", values.join(", "));
                return Err(Wrong::new(place(mapping), message));
            }
            retries = retries.max(most_retries(selected));
            alternatives.push(alternative);
        }
    }
    if written.alternatives.is_empty() {
        // Every row has all of no values.
        alternatives.push(BTreeMap::new());
        retries = most_retries(cells);
    }
    if let Some(after) = &written.after_retries
        && after.value > retries
    {
        let message = format!(
            "no cell of this column is given feedback {} times, the most is {retries}: see `feedback`",
            after.value
        );
        return Err(Wrong::new(place(after), message));
    }
    Ok(Column {
        title: written.title.value.clone(),
        alternatives,
        after_retries: written.after_retries.as_ref().map(|after| after.value),
        baseline: written.baseline.as_ref().map(|baseline| baseline.value.clone()),
    })
}

fn most_retries<'a>(cells: impl IntoIterator<Item = &'a WantedCell>) -> u32 {
    let retries = cells.into_iter().map(|cell| cell.asked.options.feedback.retries);
    retries.max().unwrap_or(0)
}

/// The alternatives of a mapping: one for each combination of values, for a key may have a list of them.
fn spread(written: &Spanned<Mapping>, folder: &Folder<'_>) -> Result<Vec<BTreeMap<Key, String>>, Wrong> {
    let mut alternatives = vec![BTreeMap::new()];
    for (key, setting) in keys(&written.value, folder)? {
        let mut longer = Vec::new();
        for alternative in &alternatives {
            for value in &setting.values {
                let mut alternative = alternative.clone();
                alternative.insert(key, said(folder, key, value)?);
                longer.push(alternative);
            }
        }
        alternatives = longer;
    }
    Ok(alternatives)
}

/// Whether a row of the cell may have these values. What is left to the recipe, and the name in a recipe of the user's, is not
/// known here.
fn may_match(wanted: &BTreeMap<Key, String>, cell: &WantedCell) -> bool {
    cell.interactions.iter().any(|interaction| {
        wanted.iter().all(|(key, value)| {
            let has = key.asked(&cell.asked, *interaction);
            let is_open = match key {
                Key::Scaffold => Recipe::is_path(&has),
                Key::EditFormat => has.is_empty(),
                _ => false,
            };
            is_open || has == *value
        })
    })
}
