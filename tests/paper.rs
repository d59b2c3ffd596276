//! `report` in the layout of the paper's tables.

mod common;

use common::finished;
use common::mixed::{forgetful, mixed_run, mixed_tasks, near, play};
use serde_json::{Value, json};

#[test]
fn a_line_has_its_shares_errors_and_markers_against_the_single_turn() {
    let place = tempfile::tempdir().unwrap();
    mixed_run(place.path(), "mixed");
    let report = |more: &[&str]| finished(place.path(), &[&["report", "jobs/mixed"], more].concat(), 0).0;
    let table: Value = serde_json::from_str(&report(&["--layout", "paper", "--json"])).unwrap();
    assert_eq!(
        table["columns"],
        json!([{"title": "single", "baseline": null}, {"title": "editing", "baseline": "single"}])
    );
    assert_eq!(table["lines"].as_array().unwrap().len(), 1);
    let [single, editing] = [0, 1].map(|index| &table["lines"][0]["entries"][index]);
    // 16 of 18 and 6 of 18: 12 lost, 2 won.
    assert_eq!(
        (
            &single["n"],
            &single["correct_secure"]["count"],
            &single["correct_secure"]["marker"]
        ),
        (&json!(18), &json!(16), &json!(""))
    );
    assert_eq!(
        (
            &editing["n"],
            &editing["correct_secure"]["count"],
            &editing["correct_secure"]["marker"]
        ),
        (&json!(18), &json!(6), &json!("*"))
    );
    assert!(near(&editing["correct_secure"]["percent"], 100.0 / 3.0));
    // √(⅓ · ⅔ / 18) = 1/9.
    assert!(
        near(&editing["correct_secure"]["standard_error"], 100.0 / 9.0),
        "{editing:#}"
    );
    // Not all three conversations were played.
    assert_eq!(table["lines"][0]["brittleness_secure"], Value::Null);
    assert_eq!(
        table["tests"]["rows"][0]["measures"][0]["discordant"],
        json!({"b": 12, "c": 2})
    );
    let text = report(&["--layout", "paper"]);
    assert!(
        text.contains("33.3 ± 11.1* (-55.6)") && text.contains("88.9 ± 7.4"),
        "{text}"
    );
    assert_eq!(text.matches("SCRIPTED").count(), 1, "{text}");
    let latex = report(&["--format", "latex"]);
    assert!(latex.contains("$33.3 \\pm 11.1^{*}$ ($-55.6$)"), "{latex}");
    assert!(latex.contains("b = 12, c = 2, pairs = 18, p = 0.0129"), "{latex}");
    for line in latex
        .lines()
        .filter(|line| !line.starts_with('%') && line.ends_with("\\\\"))
    {
        assert_eq!(
            line.matches(" & ").count() + line.matches("multicolumn").count(),
            8,
            "nine columns: {line}"
        );
    }
    let csv = report(&["--layout", "paper", "--format", "csv"]);
    assert_eq!(csv.lines().count(), 3, "{csv}");
}

#[test]
fn several_runs_are_lines_of_one_table_and_the_best_is_bold() {
    let place = tempfile::tempdir().unwrap();
    mixed_run(place.path(), "mixed");
    let mut tasks = mixed_tasks();
    for task in &mut tasks {
        let turns = task["conversations"]["editing"].clone();
        task["conversations"]["expansion"] = turns.clone();
        task["conversations"]["refactor"] = turns;
    }
    play(place.path(), "best", "oracle", &tasks[..3], &["--concat", "never"]);
    let model = forgetful(place.path());
    play(place.path(), "lost", &model, &tasks[..3], &["--concat", "never"]);
    let runs = ["report", "jobs/best", "jobs/lost", "jobs/mixed"];
    let (text, _) = finished(place.path(), &[&runs[..], &["--layout", "paper", "--json"]].concat(), 0);
    let table: Value = serde_json::from_str(&text).unwrap();
    let brittleness: Vec<&Value> = table["lines"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| &line["brittleness_secure"])
        .collect();
    assert_eq!(brittleness, [&json!(0.0), &json!(-100.0), &Value::Null]);
    let (latex, _) = finished(place.path(), &[&runs[..], &["--format", "latex"]].concat(), 0);
    assert!(
        latex.contains("jobs/best & llm ") && latex.contains(" & oracle & "),
        "{latex}"
    );
    assert!(latex.contains("single ($n$ = 3--18)"), "{latex}");
    // Two lines are the best of the single turn, one of editing.
    assert_eq!(latex.matches("\\mathbf{100.0}").count(), 2 + 3, "{latex}");
    // In the other layout they come one after the other.
    let (json, _) = finished(place.path(), &[&runs[..], &["--json"]].concat(), 0);
    assert_eq!(
        serde_json::from_str::<Value>(&json).unwrap().as_array().unwrap().len(),
        3
    );
    let (csv, _) = finished(place.path(), &[&runs[..], &["--format", "csv"]].concat(), 0);
    assert_eq!(csv.lines().filter(|line| line.starts_with("run,")).count(), 1);
    assert_eq!(csv.lines().count(), 1 + 4 + 4 + 2);
}

#[test]
fn where_security_was_lost_is_told_turn_by_turn() {
    let place = tempfile::tempdir().unwrap();
    let model = forgetful(place.path());
    play(place.path(), "turns", &model, &mixed_tasks(), &["--test-turns", "all"]);
    let (text, _) = finished(place.path(), &["report", "jobs/turns", "--json"], 0);
    let summary: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        summary["rows"][0].get("transitions"),
        None,
        "a single turn comes from nowhere"
    );
    let mut found: Vec<String> = summary["rows"][1]["transitions"]
        .as_array()
        .unwrap()
        .iter()
        .map(ToString::to_string)
        .collect();
    found.sort();
    let mut expected = [
        ("correct_secure", "correct_insecure", 12),
        ("correct_insecure", "correct_secure", 2),
        ("correct_secure", "correct_secure", 4),
    ]
    .map(|(from, to, trials)| json!({"turn": 2, "from": from, "to": to, "trials": trials}).to_string());
    expected.sort();
    assert_eq!(found, expected);
    let (table, _) = finished(place.path(), &["report", "jobs/turns"], 0);
    assert!(
        table.contains("C&S → C&I") && table.contains("From turn to turn"),
        "{table}"
    );
}
