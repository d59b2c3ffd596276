//! Plain tables: what the smaller reports have in common.

use comfy_table::{CellAlignment, TableStyle, presets};
use serde_json::{Map, Value, json};

use super::Format;
use super::render::{empty_table, in_cell};
use super::table::{comment, escaped, signed};

/// A table with its notes.
#[derive(Debug, Clone, PartialEq)]
pub struct Grid {
    pub title: String,
    pub columns: Vec<Column>,
    /// Of as many fields as there are columns.
    pub rows: Vec<Vec<Field>>,
    pub notes: Vec<String>,
    /// Loud: numbers of a scripted model say nothing about agents.
    pub scripted: bool,
}

/// A column for all, or for machines only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// In JSON and CSV.
    pub key: &'static str,
    /// In text.
    pub heading: Option<String>,
}

/// One value.
#[derive(Debug, Clone, PartialEq)]
pub enum Field {
    Text(String),
    Count(usize),
    Flag(bool),
    /// With one place behind the point.
    Percent(Option<f64>),
    /// A difference of percentages.
    Points(Option<f64>),
    /// A percentage, and what it is more than another.
    Shifted(Option<f64>, Option<f64>),
    /// A correlation.
    Coefficient(Option<f64>),
    PValue(Option<f64>),
}

/// By its name for machines, and that for people.
pub(super) fn column(key: &'static str, heading: impl Into<String>) -> Column {
    Column {
        key,
        heading: Some(heading.into()),
    }
}

/// For machines only.
pub(super) fn hidden(key: &'static str) -> Column {
    Column { key, heading: None }
}

impl Field {
    fn text(&self) -> String {
        let or_none = |text: Option<String>| text.unwrap_or_else(|| "–".to_owned());
        match self {
            Self::Text(text) => text.clone(),
            Self::Count(count) => count.to_string(),
            Self::Flag(flag) => if *flag { "yes" } else { "no" }.to_owned(),
            Self::Percent(value) => or_none(value.map(|value| format!("{value:.1}"))),
            Self::Points(value) => or_none(value.map(signed)),
            Self::Shifted(value, delta) => {
                let delta = delta.map(|delta| format!(" ({})", signed(delta)));
                or_none(value.map(|value| format!("{value:.1}{}", delta.unwrap_or_default())))
            }
            Self::Coefficient(value) => or_none(value.map(|value| format!("{value:+.3}"))),
            Self::PValue(value) => or_none(value.map(|value| match value {
                value if value < 0.0001 => "<0.0001".to_owned(),
                value => format!("{value:.4}"),
            })),
        }
    }

    fn json(&self) -> Value {
        match self {
            Self::Text(text) => json!(text),
            Self::Count(count) => json!(count),
            Self::Flag(flag) => json!(flag),
            Self::Percent(value)
            | Self::Points(value)
            | Self::Shifted(value, _)
            | Self::Coefficient(value)
            | Self::PValue(value) => json!(value),
        }
    }

    fn csv(&self) -> String {
        match self.json() {
            Value::Null => String::new(),
            Value::String(text) => text,
            other => other.to_string(),
        }
    }
}

/// Several tables as text, ending in a newline. As CSV only the first: the others are in JSON.
///
/// # Errors
/// Never for tables that this program made; the encoders' own errors are passed on.
pub fn render_grids(grids: &[Grid], format: Format) -> anyhow::Result<String> {
    Ok(match format {
        Format::Table | Format::Markdown => {
            let texts: Vec<String> = grids.iter().map(|grid| people(grid, format)).collect();
            texts.join("\n")
        }
        Format::Latex => grids.iter().map(latex).collect::<Vec<_>>().join("\n"),
        Format::Csv => match grids.first() {
            Some(grid) => csv(grid)?,
            None => String::new(),
        },
        Format::Json => {
            let values: Vec<Value> = grids.iter().map(json_of).collect();
            format!("{}\n", serde_json::to_string_pretty(&values)?)
        }
    })
}

/// The places and headings of what people see.
fn seen(grid: &Grid) -> impl Iterator<Item = (usize, &str)> {
    let columns = grid.columns.iter().enumerate();
    columns.filter_map(|(index, column)| Some((index, column.heading.as_deref()?)))
}

fn people(grid: &Grid, format: Format) -> String {
    let (mut table, end) = empty_table(format);
    let style: TableStyle = match format {
        Format::Markdown => presets::ASCII_MARKDOWN,
        _ => presets::UTF8_FULL_CONDENSED,
    };
    table.load_style(style);
    table.set_header(seen(grid).map(|(_, heading)| in_cell(heading, format)));
    for row in &grid.rows {
        table.add_row(seen(grid).map(|(index, _)| in_cell(&row[index].text(), format)));
    }
    let is_text = |index: usize| grid.rows.iter().all(|row| matches!(row[index], Field::Text(_)));
    for ((index, _), column) in seen(grid).zip(table.column_iter_mut()) {
        if !is_text(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let mut text = format!("{}{end}", in_cell(&grid.title, format));
    if !grid.rows.is_empty() {
        text.push_str(&format!("{table}{end}"));
    }
    for note in &grid.notes {
        text.push_str(&in_cell(note, format));
        text.push_str(end);
    }
    if format == Format::Markdown {
        text.pop();
    }
    text
}

fn latex(grid: &Grid) -> String {
    let mut text = format!("% {}\n", comment(&grid.title));
    for note in &grid.notes {
        text.push_str(&format!("% {}\n", comment(note)));
    }
    if grid.rows.is_empty() {
        return text;
    }
    let headings: Vec<String> = seen(grid).map(|(_, heading)| escaped(heading)).collect();
    let is_name = |index: usize| grid.rows.iter().all(|row| matches!(row[index], Field::Text(_)));
    let columns: String = seen(grid)
        .map(|(index, _)| if is_name(index) { 'l' } else { 'r' })
        .collect();
    text.push_str(&format!(
        "\\begin{{tabular}}{{{columns}}}\n\\toprule\n{} \\\\\n\\midrule\n",
        headings.join(" & ")
    ));
    for row in &grid.rows {
        let fields: Vec<String> = seen(grid)
            .map(|(index, _)| match &row[index] {
                Field::Text(text) => escaped(text),
                number => number.text().replace('-', "$-$").replace('–', "--").replace('<', "$<$"),
            })
            .collect();
        text.push_str(&format!("{} \\\\\n", fields.join(" & ")));
    }
    text.push_str("\\bottomrule\n\\end{tabular}\n");
    text
}

fn csv(grid: &Grid) -> anyhow::Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let keys = grid.columns.iter().map(|column| column.key);
    writer.write_record(keys.chain(["scripted"]))?;
    for row in &grid.rows {
        writer.write_record(row.iter().map(Field::csv).chain([grid.scripted.to_string()]))?;
    }
    Ok(String::from_utf8(writer.into_inner()?)?)
}

fn json_of(grid: &Grid) -> Value {
    let object = |row: &Vec<Field>| {
        let fields = grid.columns.iter().zip(row);
        let fields: Map<String, Value> = fields
            .map(|(column, field)| (column.key.to_owned(), field.json()))
            .collect();
        Value::Object(fields)
    };
    let rows: Vec<Value> = grid.rows.iter().map(object).collect();
    json!({"title": grid.title, "scripted": grid.scripted, "rows": rows, "notes": grid.notes})
}
