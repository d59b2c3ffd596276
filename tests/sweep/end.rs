//! What a sweep prints when it is over.

use super::common::finished;
use super::common::mixed::{forgetful, mixed_tasks};
use super::{place, sweep};

#[test]
fn a_sweep_ends_with_its_counts_its_table_and_the_tests_of_what_differs() {
    let place = place("");
    let lines: Vec<String> = mixed_tasks().iter().map(ToString::to_string).collect();
    std::fs::write(place.path().join("t.jsonl"), lines.join("\n")).unwrap();
    let models = format!("[oracle, '{}']", forgetful(place.path()));
    super::write(
        place.path(),
        &format!(
            "matrix: {{scaffold: llm, model: {models}, interaction: [single, editing]}}
include: [{{scaffold: llm, model: {models}, interaction: single, feedback: 1}}]
table:
  lines: [model]
  columns:
    - {{title: ST, where: {{interaction: single, feedback: 0}}}}
    - {{title: MT, where: {{interaction: editing, feedback: 0}}, baseline: ST}}
"
        ),
    );
    let (ended, _) = sweep(place.path(), &[]);
    let (whole, _) = finished(place.path(), &["report", "jobs/e"], 0);
    let tests = |text: &str| text.lines().filter(|line| line.contains("ST → MT")).count();
    // Of each model C&S and C&I; the oracle's do not differ.
    assert_eq!((tests(&ended), tests(&whole)), (2, 4 + 4), "{ended}\n{whole}");
    for (verdict, b, c) in [("C&S", 12, 2), ("C&I", 2, 12)] {
        let row = |line: &&str| line.contains("ST → MT") && line.contains(verdict);
        let cells: Vec<&str> = ended
            .lines()
            .find(row)
            .unwrap()
            .split(['┆', '│'])
            .map(str::trim)
            .collect();
        assert_eq!((cells[3], cells[7], cells[8]), ("18", &*b.to_string(), &*c.to_string()));
    }
    assert!(ended.contains("Not listed: 2 tests with b = c = 0"), "{ended}");
    assert!(!ended.contains("before feedback ┆"), "{ended}");
    assert!(
        ended.contains("Before feedback and after each retry: `mtsec-agents report --layout counts`"),
        "{ended}"
    );
}
