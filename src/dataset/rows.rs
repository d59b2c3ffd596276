//! Rows of JSON lines (or one JSON array): our own format, SecCodePLT's and MT-Sec's, told apart by their fields.

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::{DatasetError, NO_DYNAMIC_TESTS, Skipped, rules};
use crate::conversation::Interaction;
use crate::task::{Description, Language, References, Task, Tests};

/// One row, read.
pub enum Row {
    Task(Box<Task>),
    Skipped(Skipped),
}

/// Reads all rows of a file: JSON lines, one JSON array, or one JSON object.
pub fn read(path: &Path, interaction: Option<Interaction>) -> Result<Vec<Row>, DatasetError> {
    let text = std::fs::read_to_string(path).map_err(|source| DatasetError::Read {
        path: path.into(),
        source,
    })?;
    let text = text.trim_start_matches('\u{feff}');
    let name = path.display();
    if text.trim_start().starts_with('[') {
        let values: Vec<Value> = serde_json::from_str(text).map_err(|error| json_error(path, error.line(), &error))?;
        let rows = values.into_iter().enumerate();
        return rows
            .map(|(index, value)| row(path, &format!("{name}[{index}]"), 0, value, interaction))
            .collect();
    }
    if let Ok(value @ Value::Object(_)) = serde_json::from_str(text) {
        return Ok(vec![row(path, &format!("{name}:1"), 1, value, interaction)?]);
    }
    let mut rows = Vec::new();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let number = index + 1;
        let value = serde_json::from_str(line).map_err(|error| json_error(path, number, &error))?;
        rows.push(row(path, &format!("{name}:{number}"), number, value, interaction)?);
    }
    Ok(rows)
}

fn json_error(path: &Path, line: usize, error: &serde_json::Error) -> DatasetError {
    // serde_json counts lines within the text that it was given; ours is the line of the file.
    let full = error.to_string();
    let message = full.split(" at line ").next().unwrap_or(&full).to_owned();
    DatasetError::Json {
        path: path.into(),
        line,
        column: error.column(),
        message,
    }
}

/// A value that is valid JSON but no task. Its place within the line is not known, so the task is named.
fn shape_error(path: &Path, origin: &str, line: usize, value: &Value, error: &serde_json::Error) -> DatasetError {
    let id = value.get("id").map(plain).unwrap_or_default();
    let message = format!("task `{id}`: {error}");
    match line {
        0 => DatasetError::Json {
            path: origin.into(),
            line: 0,
            column: 0,
            message,
        },
        line => DatasetError::Json {
            path: path.into(),
            line,
            column: 0,
            message,
        },
    }
}

/// SecCodePLT's row; MT-Sec's adds `generated_multi_turns`.
#[derive(Deserialize)]
struct BenchmarkRow {
    id: Value,
    #[serde(rename = "CWE_ID")]
    cwe: Value,
    task_description: TaskDescription,
    #[serde(default)]
    ground_truth: Option<GroundTruth>,
    unittest: Unittest,
    #[serde(default)]
    install_requires: Option<Vec<String>>,
    #[serde(default)]
    generated_multi_turns: Option<Vec<String>>,
    #[serde(default, alias = "split")]
    interaction: Option<String>,
}

#[derive(Deserialize)]
struct TaskDescription {
    function_name: String,
    description: String,
    #[serde(default)]
    security_policy: Option<String>,
    #[serde(default)]
    context: Option<String>,
    #[serde(default)]
    arguments: Option<String>,
    #[serde(default, rename = "return")]
    returns: Option<String>,
    #[serde(default, rename = "raise")]
    raises: Option<String>,
}

#[derive(Deserialize)]
struct GroundTruth {
    #[serde(default)]
    code_before: String,
    vulnerable_code: String,
    patched_code: String,
    #[serde(default)]
    code_after: String,
}

#[derive(Deserialize)]
struct Unittest {
    #[serde(default)]
    setup: Option<String>,
    #[serde(default)]
    testcases: Option<String>,
}

/// One value as a task. `origin` names it in messages, `line` is its line in the file.
pub fn row(
    path: &Path,
    origin: &str,
    line: usize,
    value: Value,
    interaction: Option<Interaction>,
) -> Result<Row, DatasetError> {
    let is_benchmark = value.get("task_description").is_some() || value.get("unittest").is_some();
    if is_benchmark {
        let row = BenchmarkRow::deserialize(&value).map_err(|error| shape_error(path, origin, line, &value, &error))?;
        return benchmark_task(path, origin, row, interaction);
    }
    let mut task = Task::deserialize(&value).map_err(|error| shape_error(path, origin, line, &value, &error))?;
    task.origin = origin.to_owned();
    task.cwe = rules::cwe(&task.cwe).ok_or_else(|| DatasetError::Task {
        origin: origin.to_owned(),
        id: task.id.clone(),
        problem: format!("cwe `{}` is not of the form CWE-601", task.cwe),
    })?;
    Ok(Row::Task(Box::new(task)))
}

fn benchmark_task(
    path: &Path,
    origin: &str,
    row: BenchmarkRow,
    interaction: Option<Interaction>,
) -> Result<Row, DatasetError> {
    let id = plain(&row.id);
    if !(row.id.is_string() || row.id.is_number()) {
        return Err(DatasetError::Task {
            origin: origin.to_owned(),
            id,
            problem: "the id is neither text nor a number".to_owned(),
        });
    }
    let testcases = row.unittest.testcases.unwrap_or_default();
    if testcases.trim().is_empty() {
        return Ok(Row::Skipped(Skipped {
            id,
            origin: origin.to_owned(),
            reason: NO_DYNAMIC_TESTS,
        }));
    }
    let problem = |problem: String| DatasetError::Task {
        origin: origin.to_owned(),
        id: id.clone(),
        problem,
    };
    let cwe = rules::cwe(&plain(&row.cwe)).ok_or_else(|| problem(format!("CWE_ID {} names no weakness", row.cwe)))?;
    let mut task = Task {
        id: id.clone(),
        cwe,
        language: Language::Python,
        function: row.task_description.function_name.trim().to_owned(),
        description: Description {
            description: row.task_description.description,
            security_policy: row.task_description.security_policy.unwrap_or_default(),
            context: row.task_description.context.unwrap_or_default(),
            arguments: row.task_description.arguments.unwrap_or_default(),
            returns: row.task_description.returns.unwrap_or_default(),
            raises: row.task_description.raises.unwrap_or_default(),
        },
        tests: Tests {
            setup: row.unittest.setup.unwrap_or_default(),
            testcases,
        },
        requires: row.install_requires.unwrap_or_default(),
        conversations: Default::default(),
        lengths: Default::default(),
        distractions: Default::default(),
        references: row.ground_truth.map(|truth| References {
            // The parts carry their own newlines.
            secure: format!("{}{}{}", truth.code_before, truth.patched_code, truth.code_after),
            insecure: format!("{}{}{}", truth.code_before, truth.vulnerable_code, truth.code_after),
        }),
        drafts: Default::default(),
        origin: origin.to_owned(),
    };
    if let Some(turns) = row.generated_multi_turns {
        let interaction = match row.interaction {
            Some(text) => text.parse().map_err(|error| problem(format!("{error}")))?,
            None => by_file_name(path)
                .or(interaction)
                .ok_or_else(|| DatasetError::UnknownInteraction {
                    origin: origin.to_owned(),
                })?,
        };
        task.conversations.insert(interaction, turns);
    }
    Ok(Row::Task(Box::new(task)))
}

/// The splits of MT-Sec are files or tables named after their interaction.
fn by_file_name(path: &Path) -> Option<Interaction> {
    let name = path.file_name()?.to_string_lossy().to_lowercase();
    let mut named = Interaction::ALL
        .into_iter()
        .filter(|i| i.is_written() && name.contains(i.name()));
    named.next().filter(|_| named.next().is_none())
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
