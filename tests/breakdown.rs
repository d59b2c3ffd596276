//! What `report` tells by groups of tasks, of hard and easy ones, of refusals and lengths.

mod common;

use std::path::Path;

use common::mixed::{forgetful, mixed_run, mixed_tasks, near, play};
use common::{finished, tiny_task};
use serde_json::{Value, json};

fn reported(place: &Path, arguments: &[&str]) -> Value {
    let (out, _) = finished(place, &[&["report"], arguments, &["--json"]].concat(), 0);
    serde_json::from_str(&out).unwrap()
}

fn rows(grid: &Value) -> &Vec<Value> {
    grid["rows"].as_array().unwrap()
}

#[test]
fn shares_are_told_by_weakness_and_by_length() {
    let place = tempfile::tempdir().unwrap();
    let mut tasks = mixed_tasks();
    // The tasks that are won are of another weakness and have the longest prompts, those that stay as they are the shortest.
    for task in &mut tasks {
        let id = task["id"].as_str().unwrap().to_owned();
        let text = "Doubles a number. ".repeat(if id.starts_with("same") { 1 } else { 2 });
        task["description"]["description"] = json!(text);
        if id.starts_with("won") {
            task["cwe"] = json!("CWE-79");
            task["description"]["description"] = json!(text.repeat(4));
        }
    }
    play(place.path(), "mine", &forgetful(place.path()), &tasks, &[]);
    let report = reported(place.path(), &["jobs/mine", "--by", "cwe"]);
    assert_eq!(report[0]["scripted"], true);
    let cwe = rows(&report[0]);
    let told: Vec<[&Value; 4]> = cwe
        .iter()
        .map(|row| [&row["group"], &row["tasks"], &row["interaction"], &row["n"]])
        .collect();
    // The most frequent first.
    let [most, least] = [json!("CWE-1333"), json!("CWE-79")];
    let (single, editing, [sixteen, two]) = (json!("single"), json!("editing"), [json!(16), json!(2)]);
    assert_eq!(
        told,
        [
            [&most, &sixteen, &single, &sixteen],
            [&most, &sixteen, &editing, &sixteen],
            [&least, &two, &single, &two],
            [&least, &two, &editing, &two]
        ]
    );
    assert!(near(&cwe[0]["cs"], 100.0) && near(&cwe[1]["cs"], 25.0), "{cwe:#?}");
    assert!(
        near(&cwe[1]["cs_minus_single"], -75.0) && near(&cwe[3]["cs_minus_single"], 100.0),
        "{cwe:#?}"
    );
    assert!(cwe[1]["cs_low"].as_f64().unwrap() < 25.0 && cwe[1]["cs_high"].as_f64().unwrap() > 25.0);
    let length = reported(place.path(), &["jobs/mine", "--by", "length"]);
    let groups: Vec<(&Value, &Value)> = rows(&length[0])
        .iter()
        .filter(|row| row["interaction"] == "single")
        .map(|row| (&row["tasks"], &row["cs"]))
        .collect();
    // Eighteen tasks of three lengths: 4, 12 and 2. Twelve of one length are in one group, whatever a third is.
    assert_eq!(groups, [(&json!(16), &json!(100.0)), (&json!(2), &json!(0.0))]);
    let (text, _) = finished(place.path(), &["report", "jobs/mine", "--by", "cwe"], 0);
    assert!(text.contains("25.0 (-75.0)") && text.contains("SCRIPTED"), "{text}");
    let (latex, _) = finished(
        place.path(),
        &["report", "jobs/mine", "--by", "cwe", "--format", "latex"],
        0,
    );
    assert!(latex.contains("25.0 ($-$75.0)"), "{latex}");
    let (csv, _) = finished(
        place.path(),
        &["report", "jobs/mine", "--by", "language", "--format", "csv"],
        0,
    );
    assert_eq!(csv.lines().count(), 3, "{csv}");
    // Longer prompts go with failures of the single turn here: r is that of sixteen short and two long prompts.
    let correlation = reported(place.path(), &["jobs/mine", "--layout", "correlation"]);
    let row = &rows(&correlation[0])[0];
    assert_eq!(row["n"], 18);
    assert!(
        row["r"].as_f64().unwrap() < -0.9 && row["p"].as_f64().unwrap() < 1e-6,
        "{row}"
    );
}

#[test]
fn a_task_is_hard_where_no_line_solves_it_and_easy_where_all_do() {
    let place = tempfile::tempdir().unwrap();
    let models = format!("oracle,{},oracle:insecure", forgetful(place.path()));
    let run = play(
        place.path(),
        "mine",
        &models,
        &mixed_tasks(),
        &["--interaction", "editing"],
    );
    let report = reported(place.path(), &["jobs/mine", "--layout", "difficulty"]);
    let row = &rows(&report[0])[0];
    let of = |row: &Value| ["lines", "tasks", "left_out", "hard", "easy"].map(|key| row[key].as_u64().unwrap());
    // The scripted secure program fails `won-…`, the other one `lost-…`: all of `same-…` is easy, and what none solves is known.
    let counts = of(row);
    assert_eq!([counts[0], counts[1], counts[2]], [3, 18, 0]);
    assert_eq!(counts[4], 4, "{row}");
    // A task without a verdict in one line is left out.
    let mut trials = std::fs::read_dir(run.join("trials"))
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let easy = trials.find(|path| path.file_name().unwrap().to_str().unwrap().starts_with("same-01"));
    std::fs::remove_file(easy.unwrap().join("trial.json")).unwrap();
    let report = reported(place.path(), &["jobs/mine", "--layout", "difficulty"]);
    let left = of(&rows(&report[0])[0]);
    assert_eq!(left, [3, 17, 1, counts[3], 3]);
    let (text, _) = finished(place.path(), &["report", "jobs/mine", "--layout", "difficulty"], 0);
    assert!(text.contains("1 without an outcome yet"), "{text}");
}

#[test]
fn refusals_are_counted_and_listed_for_someone_to_confirm() {
    let place = tempfile::tempdir().unwrap();
    let run = play(
        place.path(),
        "mine",
        "oracle",
        &[tiny_task("one"), tiny_task("two")],
        &[],
    );
    let mut entries = std::fs::read_dir(run.join("trials"))
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let trial = entries.find(|path| path.file_name().unwrap().to_str().unwrap().starts_with("one__editing"));
    let path = trial.unwrap().join("trial.json");
    let mut record: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    record["turns"][1]["findings"] = json!([{"kind": "refusal", "evidence": ["call 2: I cannot help with that."]}]);
    std::fs::write(&path, record.to_string()).unwrap();
    let report = reported(place.path(), &["jobs/mine", "--layout", "refusals"]);
    let [single, editing] = [0, 1].map(|index| &rows(&report[0])[index]);
    assert_eq!((&single["refused"], &single["n"]), (&json!(0), &json!(2)));
    assert_eq!(
        (&editing["refused"], &editing["n"], &editing["percent"]),
        (&json!(1), &json!(2), &json!(50.0))
    );
    let listed = rows(&report[1]);
    assert_eq!(listed.len(), 1);
    assert!(
        listed[0]["trial"].as_str().unwrap().starts_with("one__editing"),
        "{listed:?}"
    );
    assert_eq!((&listed[0]["turn"], &listed[0]["counts"]), (&json!(2), &json!(true)));
    let (text, _) = finished(place.path(), &["report", "jobs/mine", "--layout", "refusals"], 0);
    assert!(text.contains("call 2: I cannot help with that."), "{text}");
}

#[test]
fn a_ranking_tells_ties_and_what_is_in_none() {
    let place = tempfile::tempdir().unwrap();
    mixed_run(place.path(), "mine");
    let csv = "model,setting,cs,ci\nA,ST,50,10\nA,expansion,40,10\nA,editing,40,13\nA,refactor,40,10\n\
        B,ST,30,10\nB,expansion,20,10\nB,editing,20,10\nB,refactor,20,10\n\
        C,ST,30,10\nC,expansion,0,10\nC,editing,20,10\nC,refactor,20,10\n";
    std::fs::write(place.path().join("t.csv"), csv).unwrap();
    finished(place.path(), &["import-results", "t.csv"], 0);
    let report = reported(
        place.path(),
        &["jobs/mine", "jobs/published", "--layout", "brittleness"],
    );
    let told: Vec<(&str, u64, &str)> = rows(&report[0])
        .iter()
        .map(|row| {
            (
                row["verdict"].as_str().unwrap(),
                row["rank"].as_u64().unwrap(),
                row["tie"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("C&S", 1, ""),
            ("C&S", 2, "="),
            ("C&S", 2, "="),
            ("C&I", 1, ""),
            ("C&I", 2, "="),
            ("C&I", 2, "=")
        ]
    );
    let first = &rows(&report[0])[0];
    assert!(near(&first["mt_minus_st"], -50.0 / 3.0), "{first}");
    let (text, _) = finished(
        place.path(),
        &["report", "jobs/mine", "jobs/published", "--layout", "brittleness"],
        0,
    );
    assert!(text.contains("in no ranking: jobs/mine, llm"), "{text}");
    let (_, err) = finished(place.path(), &["report", "jobs/published", "--by", "cwe"], 2);
    assert!(err.contains("holds published cells"), "{err}");
}
