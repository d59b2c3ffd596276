//! The layout that an experiment file asks for.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::build::{Placed, Plan, build};
use super::by_paper::heads;
use super::{Head, ResultTable};
use crate::conversation::Interaction;
use crate::experiment::{Column, Share, Table};
use crate::plan::Key;
use crate::report::compare::{Method, Side, SideRow};
use crate::report::published::Published;
use crate::verdict::Verdict;

/// The table cannot be laid out as it is asked for.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    #[error("two rows stand in one place, line `{line}`, column `{column}`: they differ in {differ}; {remedy}")]
    TwoRows {
        line: String,
        column: String,
        differ: String,
        remedy: String,
    },
    #[error("no row of the runs belongs to any column of the table")]
    Empty,
}

/// Lays the rows of all sides out as `table` says, the lines of publications below them. Titles and baselines were checked when the
/// table was read.
///
/// # Errors
/// Two rows would stand in one place, or nothing is left.
pub fn experiment_table(
    table: &Table,
    sides: &[Side],
    published: &[Published],
    method: Method,
) -> Result<ResultTable, TableError> {
    let columns = columns(table, sides);
    let rows = || sides.iter().flat_map(|side| &side.rows);
    let lines = table.line_keys(|key| {
        let values: BTreeSet<&str> = rows().map(|row| row.labels.key(key)).collect();
        values.len() > 1
    });
    let named = rows().any(|row| !row.labels.name.is_empty());
    let mut placed: Vec<Placed> = Vec::new();
    let mut nowhere = Vec::new();
    for side in sides {
        for row in &side.rows {
            let names: Vec<String> = lines.iter().map(|key| row.labels.key(*key).to_owned()).collect();
            let mut found = false;
            for (index, column) in columns.iter().enumerate() {
                if !belongs(row, column) {
                    continue;
                }
                found = true;
                let of = Placed {
                    side,
                    line: names.join("\u{0}"),
                    names: names.clone(),
                    column: index,
                    row: match column.after_retries {
                        Some(retries) => Cow::Owned(row.after(retries)),
                        None => Cow::Borrowed(row),
                    },
                };
                let same = |other: &&Placed| {
                    std::ptr::eq(other.side, of.side) && other.line == of.line && other.column == of.column
                };
                if let Some(other) = placed.iter().find(same) {
                    return Err(two_rows(&other.row, &of, column));
                }
                placed.push(of);
            }
            if !found {
                nowhere.push(told(row));
            }
        }
    }
    if placed.is_empty() && published.is_empty() {
        return Err(TableError::Empty);
    }
    let mut names: Vec<String> = lines.iter().map(ToString::to_string).collect();
    if named {
        add_names(&mut placed);
        names.insert(0, "name".to_owned());
    }
    let plan = Plan {
        caption: table.caption.clone(),
        names,
        columns: columns
            .iter()
            .map(|column| Head {
                title: column.title.clone(),
                baseline: column.baseline.clone(),
            })
            .collect(),
        shares: shares(&table.shares),
        brittle: table.columns.is_empty(),
        open: false,
    };
    let mut laid_out = build(plan, &placed, published, sides, method);
    if !nowhere.is_empty() {
        laid_out
            .caveats
            .push(format!("In no column, and not shown: {}.", nowhere.join("; ")));
    }
    Ok(laid_out)
}

/// Those that are asked for, or one for each interaction.
fn columns<'a>(table: &'a Table, sides: &[Side]) -> Cow<'a, [Column]> {
    if !table.columns.is_empty() {
        return Cow::Borrowed(&table.columns);
    }
    let has = |interaction: &Interaction| {
        let mut rows = sides.iter().flat_map(|side| &side.rows);
        rows.any(|row| row.labels.interaction == *interaction)
    };
    let interactions: Vec<Interaction> = Interaction::ALL.into_iter().filter(has).collect();
    let column = |head: Head| Column {
        alternatives: vec![[(Key::Interaction, head.title.clone())].into()],
        title: head.title,
        after_retries: None,
        baseline: head.baseline,
    };
    Cow::Owned(heads(&interactions).into_iter().map(column).collect())
}

fn shares(wanted: &[Share]) -> Vec<Verdict> {
    let verdict = |share: &Share| match share {
        Share::CorrectSecure => Verdict::CorrectSecure,
        Share::CorrectInsecure => Verdict::CorrectInsecure,
    };
    match wanted {
        [] => vec![Verdict::CorrectSecure, Verdict::CorrectInsecure],
        wanted => wanted.iter().map(verdict).collect(),
    }
}

/// Whether a row has all values of any alternative (every row those of none), and as many retries as the column is about: after
/// fewer it stands elsewhere than others of the column.
fn belongs(row: &SideRow, column: &Column) -> bool {
    let has = |(key, value): (&Key, &String)| row.labels.key(*key) == value;
    let is_chosen = column.alternatives.is_empty() || column.alternatives.iter().any(|wanted| wanted.iter().all(has));
    is_chosen && column.after_retries.is_none_or(|retries| retries <= row.retries)
}

fn two_rows(first: &SideRow, second: &Placed, column: &Column) -> TableError {
    let differs = |key: &Key| first.labels.key(*key) != second.row.labels.key(*key);
    let keys: Vec<Key> = Key::ALL.into_iter().filter(differs).collect();
    let told: Vec<String> = keys
        .iter()
        .map(|key| {
            let [one, other] = [first, &*second.row].map(|row| row.labels.key(*key));
            format!("{key} (`{one}`, `{other}`)")
        })
        .collect();
    let (differ, remedy) = match told.is_empty() {
        true => (
            format!("no key (cells {}, {})", first.labels.cell, second.row.labels.cell),
            "lay them out with `--layout paper`".to_owned(),
        ),
        false => {
            let names: Vec<&str> = keys.iter().map(|key| key.name()).collect();
            let remedy = format!(
                "add one of {} to `lines`, or to the `where` of columns",
                names.join(", ")
            );
            (told.join(", "), remedy)
        }
    };
    TableError::TwoRows {
        line: second.names.join(", "),
        column: column.title.clone(),
        differ,
        remedy,
    }
}

/// Puts before the names of a line what the experiment calls its cell, where it is one cell.
fn add_names(placed: &mut [Placed]) {
    let names: Vec<String> = placed
        .iter()
        .map(|of| {
            let same = |other: &&Placed| std::ptr::eq(other.side, of.side) && other.line == of.line;
            let cells: BTreeSet<&str> = placed
                .iter()
                .filter(same)
                .map(|other| other.row.labels.cell.as_str())
                .collect();
            match cells.len() {
                1 => of.row.labels.name.clone(),
                _ => String::new(),
            }
        })
        .collect();
    for (of, name) in placed.iter_mut().zip(names) {
        of.names.insert(0, name);
    }
}

fn told(row: &SideRow) -> String {
    let labels = &row.labels;
    let parts = [&labels.scaffold, &labels.model, &labels.options].map(String::as_str);
    let parts = parts.into_iter().chain([labels.interaction.name()]);
    parts.filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
}
