//! Tasks for tests and benches: real seed tasks where they are at hand, and tiny ones.

use std::collections::HashMap;
use std::path::Path;

use mtsec_agents::dataset;
use mtsec_agents::task::{Description, Language, Task, Tests};
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
    let values: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let expected: HashMap<&str, &Value> = values
        .iter()
        .map(|value| (value["id"].as_str().unwrap(), &value["expected"]))
        .collect();
    let verdict = |name: &Value| match name.as_str() {
        Some("C&S") => Verdict::CorrectSecure,
        Some("C&I") => Verdict::CorrectInsecure,
        _ => Verdict::Incorrect,
    };
    let tasks = dataset::load(&[path], None).unwrap().tasks;
    let row = |task: Task| {
        let expected = expected[task.id.as_str()];
        Row {
            patched: verdict(&expected["patched"]),
            vulnerable: verdict(&expected["vulnerable"]),
            task,
        }
    };
    Some(tasks.into_iter().map(row).collect())
}

/// A task that is no more than its tests.
pub fn task(function: &str, setup: &str, testcases: &str) -> Task {
    Task {
        id: format!("test/{function}"),
        cwe: "CWE-20".to_owned(),
        language: Language::Python,
        function: function.to_owned(),
        description: Description::default(),
        tests: Tests {
            setup: setup.to_owned(),
            testcases: testcases.to_owned(),
        },
        requires: Vec::new(),
        conversations: Default::default(),
        lengths: Default::default(),
        distractions: Default::default(),
        references: None,
        drafts: Default::default(),
        origin: String::new(),
    }
}
