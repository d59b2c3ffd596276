//! The table of a file, checked against the cells that it is of.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_yaml::Spanned;

use super::WantedCell;
use super::assign::Folder;
use super::error::Wrong;
use super::expand::keys;
use super::mapping::place;
use super::table::{Column, Table};
use super::written::{WrittenColumn, WrittenTable};
use crate::conversation::Interaction;
use crate::plan::Key;
use crate::recipe::Recipe;

/// The table that is written.
pub fn table(written: &Spanned<WrittenTable>, cells: &[WantedCell], folder: &Folder<'_>) -> Result<Table, Wrong> {
    let mut lines: Vec<Key> = Vec::new();
    for line in &written.value.lines {
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
    for written in &written.value.columns {
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
    for written in &written.value.columns {
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
    let table = Table {
        caption: written.value.caption.clone(),
        lines,
        columns,
        shares: written.value.shares.clone(),
    };
    match two_in_one_place(&table, cells) {
        Some(message) => Err(Wrong::new(place(written), message)),
        None => Ok(table),
    }
}

fn column(written: &WrittenColumn, cells: &[WantedCell], folder: &Folder<'_>) -> Result<Column, Wrong> {
    let mut alternatives = Vec::new();
    let mut retries = 0;
    for mapping in &written.alternatives {
        // Every value is one that the key takes. Paths are not looked at: what the report compares with is whole.
        keys(&mapping.value, folder)?;
        for alternative in mapping.value.combinations()? {
            let may = |(cell, kind): &(&WantedCell, Interaction)| has(&alternative, cell, *kind) != Some(false);
            match rows(cells).filter(may).map(retries_of).max() {
                Some(most) => retries = retries.max(most),
                None => {
                    let values: Vec<String> = alternative
                        .iter()
                        .map(|(key, value)| format!("{key}: {value}"))
                        .collect();
                    let message = format!("no cell of the file has {{{}}}", values.join(", "));
                    return Err(Wrong::new(place(mapping), message));
                }
            }
            alternatives.push(alternative);
        }
    }
    if written.alternatives.is_empty() {
        retries = rows(cells).map(retries_of).max().unwrap_or(0);
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

/// The rows of cells: each under each of its interactions.
fn rows(cells: &[WantedCell]) -> impl Iterator<Item = (&WantedCell, Interaction)> {
    let of_cell = |cell| move |kind: &Interaction| (cell, *kind);
    cells
        .iter()
        .flat_map(move |cell| cell.interactions.iter().map(of_cell(cell)))
}

/// How often the agent of a row is told what fails, at most.
fn retries_of((cell, interaction): (&WantedCell, Interaction)) -> u32 {
    cell.asked.options.feedback.turns(interaction)
}

/// Whether a row has these values. `None`: it may, for what is left to the recipe, and the name in a recipe of the user's, is not
/// known here.
fn has(wanted: &BTreeMap<Key, String>, cell: &WantedCell, interaction: Interaction) -> Option<bool> {
    let mut is_open = false;
    for (key, value) in wanted {
        let has = key.asked(&cell.asked, interaction);
        match key {
            Key::Scaffold if Recipe::is_path(&has) => is_open = true,
            Key::EditFormat if has.is_empty() => is_open = true,
            _ if has == *value => {}
            _ => return Some(false),
        }
    }
    (!is_open).then_some(true)
}

/// Why the rows of these cells cannot be laid out: two of them would stand in one place.
pub fn two_in_one_place(table: &Table, cells: &[WantedCell]) -> Option<String> {
    let rows: Vec<(&WantedCell, Interaction)> = rows(cells).collect();
    let lines = table.line_keys(|key| {
        let values: HashSet<String> = rows.iter().map(|(cell, kind)| key.asked(&cell.asked, *kind)).collect();
        values.len() > 1
    });
    let mut seen: HashMap<(Vec<String>, &str), (&WantedCell, Interaction)> = HashMap::new();
    for (cell, interaction) in rows {
        let line: Vec<String> = lines.iter().map(|key| key.asked(&cell.asked, interaction)).collect();
        let titles: Vec<&str> = match table.columns.is_empty() {
            true => vec![interaction.name()],
            false => {
                let belongs = |column: &&Column| {
                    let mut alternatives = column.alternatives.iter();
                    // What may stand here or not is known to the report only.
                    let must = |wanted| has(wanted, cell, interaction) == Some(true);
                    let retries = retries_of((cell, interaction));
                    (column.alternatives.is_empty() || alternatives.any(must))
                        && column.after_retries.is_none_or(|after| after <= retries)
                };
                let columns = table.columns.iter().filter(belongs);
                columns.map(|column| column.title.as_str()).collect()
            }
        };
        for title in titles {
            if let Some((other, its)) = seen.insert((line.clone(), title), (cell, interaction)) {
                let differs = |key: &Key| key.asked(&other.asked, its) != key.asked(&cell.asked, interaction);
                let keys: Vec<&str> = Key::ALL.into_iter().filter(differs).map(Key::name).collect();
                return Some(format!(
                    "two cells would stand in one place, line `{}`, column `{title}`: \
                     put {} into `lines`, or into the `where` of columns",
                    line.join(", "),
                    keys.join(" or ")
                ));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::experiment::{Experiment, Overrides};

    use super::two_in_one_place;

    #[test]
    fn a_try_without_cost_has_a_place_for_every_row_of_the_papers_tables() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments");
        let mut seen = 0;
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            if entry.path().extension().is_none_or(|extension| extension != "yaml") {
                continue;
            }
            let experiment = Experiment::read(&entry.path()).unwrap();
            for models in [
                vec!["oracle".to_owned()],
                vec!["oracle".to_owned(), "oracle:insecure".to_owned()],
            ] {
                let scaffolds = Vec::new();
                let cells = experiment.cells(&Overrides { models, scaffolds });
                assert_eq!(two_in_one_place(&experiment.table, &cells), None, "{:?}", entry.path());
            }
            seen += 1;
        }
        assert!(seen > 10);
    }
}
