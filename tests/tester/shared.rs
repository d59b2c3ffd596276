//! The rows of real seed tasks, where they are at hand.

use std::path::Path;

use mtsec_agents::task::{References, Task};
use mtsec_agents::verdict::Verdict;
use serde_json::Value;

/// A row as a task, with the verdicts that the benchmark kit's own semantics give.
pub struct Row {
    pub task: Task,
    pub patched: Verdict,
    pub vulnerable: Verdict,
}

/// All rows; `None`, with a message, where the shared data is absent.
pub fn rows() -> Option<Vec<Row>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/seccodeplt.jsonl");
    let Ok(text) = std::fs::read_to_string(&path) else {
        eprintln!("SKIPPED: {} is not at hand", path.display());
        return None;
    };
    Some(
        text.lines()
            .map(|line| row(&serde_json::from_str(line).unwrap()))
            .collect(),
    )
}

fn row(value: &Value) -> Row {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let truth = &value["ground_truth"];
    let program = |name: &str| text(&truth["code_before"]) + &text(&truth[name]) + &text(&truth["code_after"]);
    let verdict = |name: &str| match value["expected"][name].as_str() {
        Some("C&S") => Verdict::CorrectSecure,
        Some("C&I") => Verdict::CorrectInsecure,
        _ => Verdict::Incorrect,
    };
    let mut task = super::task(
        &text(&value["task_description"]["function_name"]),
        &text(&value["unittest"]["setup"]),
        &text(&value["unittest"]["testcases"]),
    );
    task.id = text(&value["id"]);
    task.cwe = format!("CWE-{}", value["CWE_ID"].as_str().unwrap());
    task.requires = value["install_requires"].as_array().unwrap().iter().map(text).collect();
    task.references = Some(References {
        secure: program("patched_code"),
        insecure: program("vulnerable_code"),
    });
    Row {
        task,
        patched: verdict("patched"),
        vulnerable: verdict("vulnerable"),
    }
}
