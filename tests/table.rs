//! Tables as an experiment file lays them out, and published numbers beside ours.

mod common;

use std::path::Path;

use common::mixed::{forgetful, mixed_run, mixed_tasks, near, play};
use common::{finished, tiny_task};
use mtsec_agents::plan::Cell;
use serde_json::{Value, json};

fn experiment(table: &str) -> String {
    let matrix = "{scaffold: llm, model: [oracle, oracle:insecure], interaction: [single, editing], feedback: 1}";
    format!("name: mine\nmatrix: {matrix}\n{table}")
}

/// A run of an experiment has its file in its folder.
fn give_table(run: &Path, table: &str) {
    std::fs::write(run.join("experiment.yaml"), experiment(table)).unwrap();
}

/// Changes a JSON file in place.
fn change(path: &Path, change: impl FnOnce(&mut Value)) {
    let mut value: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    change(&mut value);
    std::fs::write(path, value.to_string()).unwrap();
}

fn reported(place: &Path, arguments: &[&str]) -> Value {
    let (out, _) = finished(place, &[&["report"], arguments, &["--json"]].concat(), 0);
    serde_json::from_str(&out).unwrap()
}

const TABLE: &str = "table:
  caption: Ours
  lines: [model]
  columns:
    - {title: ST, where: {interaction: single}}
    - {title: MT, where: {interaction: editing}, baseline: ST}
";

#[test]
fn an_experiments_table_has_its_lines_columns_deltas_and_tests() {
    let place = tempfile::tempdir().unwrap();
    let models = format!("oracle,{}", forgetful(place.path()));
    let run = play(place.path(), "mine", &models, &mixed_tasks(), &[]);
    give_table(&run, TABLE);
    let table = reported(place.path(), &["jobs/mine"]);
    assert_eq!(
        (&table["caption"], &table["names"]),
        (&json!("Ours"), &json!(["model"]))
    );
    let lines = table["lines"].as_array().unwrap();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["names"], json!(["oracle"]));
    let entry = &lines[1]["entries"][1];
    assert_eq!((&entry["column"], &entry["n"]), (&json!("MT"), &json!(18)));
    let value = &entry["correct_secure"];
    assert_eq!((&value["count"], &value["marker"]), (&json!(6), &json!("*")));
    assert!(near(&value["delta"], -1000.0 / 18.0), "{value:#}");
    let tests = table["tests"]["rows"].as_array().unwrap();
    assert_eq!(tests.len(), 2, "one for each line");
    assert_eq!(tests[1]["measures"][0]["discordant"], json!({"b": 12, "c": 2}));
    assert!(near(&tests[1]["measures"][0]["p_value"], 212.0 / 16384.0));
    assert!(tests[1]["title"].as_str().unwrap().ends_with(": ST → MT"), "{tests:#?}");

    let print = |more: &[&str]| finished(place.path(), &[&["report", "jobs/mine"], more].concat(), 0).0;
    let text = print(&[]);
    for part in [
        "Ours\n",
        "33.3 ± 11.1* (-55.6)",
        "Baseline: ST for MT",
        "SCRIPTED",
        ": ST → MT",
    ] {
        assert!(text.contains(part), "{part} is missing:\n{text}");
    }
    assert!(!text.contains("MT − ST"), "its columns are not the paper's:\n{text}");
    let latex = print(&["--format", "latex"]);
    assert!(latex.contains("model & C\\&S & C\\&I & C\\&S & C\\&I \\\\"), "{latex}");
    assert!(latex.contains("oracle & $\\mathbf{"), "{latex}");
    let markdown = print(&["--format", "md"]);
    assert!(markdown.contains("MT C&S") && markdown.contains("MT n"), "{markdown}");
    let csv = print(&["--format", "csv"]);
    assert_eq!(csv.lines().count(), 1 + 4, "{csv}");
    // What a marker rests on stands beside it.
    let fields = |line: usize| csv.lines().nth(line).unwrap().split(',').collect::<Vec<_>>();
    let at = fields(0).iter().position(|field| *field == "cs_pairs").unwrap();
    assert_eq!(fields(0)[at..at + 4], ["cs_pairs", "cs_b", "cs_c", "cs_p"]);
    assert_eq!(fields(4)[at..at + 3], ["18", "12", "2"], "{csv}");
    assert!(
        fields(3)[at..at + 4].iter().all(|field| field.is_empty()),
        "a baseline has no test"
    );
    assert!(print(&["--layout", "counts"]).contains("tokens in/out"));
    // Without lines: what the rows differ in. Without columns: the interactions.
    give_table(&run, "table: {shares: [correct_secure]}\n");
    let table = reported(place.path(), &["jobs/mine"]);
    assert_eq!(table["names"], json!(["model"]));
    assert_eq!(table["columns"][1], json!({"title": "editing", "baseline": "single"}));
    let latex = print(&["--format", "latex"]);
    assert!(!latex.contains("C\\&I"), "{latex}");
}

#[test]
fn what_cannot_be_laid_out_says_what_to_change() {
    let place = tempfile::tempdir().unwrap();
    let tasks = [tiny_task("tiny")];
    let run = play(place.path(), "mine", "oracle,oracle:insecure", &tasks, &[]);
    let refused = |table: &str, parts: &[&str]| {
        give_table(&run, table);
        let (_, err) = finished(place.path(), &["report", "jobs/mine"], 2);
        for part in parts {
            assert!(err.contains(part), "{part} is missing:\n{err}");
        }
    };
    // A file of one model, and a run of two.
    let file = "matrix: {scaffold: llm, model: oracle, interaction: [single, editing]}\ntable: {lines: [scaffold]}\n";
    std::fs::write(place.path().join("one.yaml"), file).unwrap();
    let (_, err) = finished(place.path(), &["report", "jobs/mine", "--table", "one.yaml"], 2);
    for part in [
        "line `llm`, column `single`",
        "model (`oracle`, `oracle:insecure`)",
        "add one of model to `lines`",
    ] {
        assert!(err.contains(part), "{part} is missing:\n{err}");
    }
    refused(
        "table: {columns: [{title: a, baseline: b}]}\n",
        &["experiment.yaml:3:40:"],
    );
    refused("table: {rows: []}\n", &["experiment.yaml:3:"]);
    give_table(&run, "");
    let (_, err) = finished(place.path(), &["report", "jobs/mine", "--layout", "table"], 2);
    assert!(err.contains("--table"), "{err}");
    // What stands in no column is told.
    let file = place.path().join("other.yaml");
    let table = "table: {lines: [model], columns: [{title: a, where: {interaction: single}}]}\n";
    std::fs::write(&file, experiment(table)).unwrap();
    let (text, _) = finished(place.path(), &["report", "jobs/mine", "--table", "other.yaml"], 0);
    assert!(text.contains("In no column, and not shown: llm"), "{text}");
}

#[test]
fn verdicts_before_feedback_and_after_it_are_columns_of_one_table() {
    let place = tempfile::tempdir().unwrap();
    let model = forgetful(place.path());
    let more = ["--interaction", "editing", "--test-turns", "all"];
    let run = play(place.path(), "mine", &model, &mixed_tasks(), &more);
    // As if the second turn had told what the tests had shown.
    let mut cell = String::new();
    change(&run.join("lock.json"), |lock| {
        lock["cells"][0]["options"]["feedback"] = json!({"retries": 1, "reveal": "cases"});
        cell = serde_json::from_value::<Cell>(lock["cells"][0].clone()).unwrap().id();
        for trial in lock["trials"].as_array_mut().unwrap() {
            trial["cell"] = json!(cell);
        }
    });
    for entry in std::fs::read_dir(run.join("trials")).unwrap() {
        let trial = entry.unwrap().path();
        change(&trial.join("trial.json"), |record| {
            record["turns"][1]["feedback"] = json!(true);
            record["key"]["cell"] = json!(cell);
        });
        let name = trial.file_name().unwrap().to_str().unwrap();
        let parts: Vec<&str> = name.split("__").collect();
        let name = [parts[0], parts[1], &cell, parts[3]].join("__");
        std::fs::rename(&trial, trial.with_file_name(name)).unwrap();
    }
    give_table(
        &run,
        "table:
  columns:
    - {title: before, after_retries: 0}
    - {title: after 1, after_retries: 1, baseline: before}
    - {title: last}
",
    );
    let table = reported(place.path(), &["jobs/mine"]);
    let counts: Vec<&Value> = table["lines"][0]["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| &entry["correct_secure"]["count"])
        .collect();
    assert_eq!(counts, [&json!(16), &json!(6), &json!(6)]);
    let test = &table["tests"]["rows"][0];
    assert_eq!(
        (&test["pairs"], &test["measures"][0]["discordant"]),
        (&json!(18), &json!({"b": 12, "c": 2}))
    );
    // Who had one retry at most does not stand among those who had two.
    let file = "matrix: {scaffold: llm, model: o3, interaction: editing, feedback: [1, 2]}\ntable: {lines: [feedback], columns: [{title: a}, {title: b, after_retries: 2}]}\n";
    std::fs::write(place.path().join("two.yaml"), file).unwrap();
    let table = reported(place.path(), &["jobs/mine", "--table", "two.yaml"]);
    let entries = table["lines"][0]["entries"].as_array().unwrap();
    assert_eq!(
        entries.iter().map(|entry| &entry["column"]).collect::<Vec<_>>(),
        [&json!("a")]
    );
    let (counts, _) = finished(place.path(), &["report", "jobs/mine", "--layout", "counts"], 0);
    assert!(
        !counts.contains("From turn to turn"),
        "feedback is no turn of the conversation:\n{counts}"
    );
}

#[test]
fn cells_are_compared_by_their_names_and_single_options() {
    let place = tempfile::tempdir().unwrap();
    let tasks = [tiny_task("one"), tiny_task("two")];
    let run = play(place.path(), "mine", "oracle,oracle:insecure", &tasks, &[]);
    let mut cells = Vec::new();
    change(&run.join("lock.json"), |lock| {
        for trial in lock["trials"].as_array().unwrap() {
            if !cells.contains(&trial["cell"]) {
                cells.push(trial["cell"].clone());
            }
        }
        lock["names"] = json!({cells[0].as_str().unwrap(): "good", cells[1].as_str().unwrap(): "bad"});
    });
    let (out, _) = finished(
        place.path(),
        &["compare", "jobs/mine,name=good", "jobs/mine,name=bad", "--json"],
        0,
    );
    let compared: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(compared["rows"].as_array().unwrap().len(), 2);
    assert_eq!(compared["rows"][0]["a"]["name"], "good");
    let table = reported(place.path(), &["jobs/mine", "--layout", "paper"]);
    assert_eq!(table["lines"].as_array().unwrap().len(), 2);
    give_table(&run, "table: {lines: [model]}\n");
    let table = reported(place.path(), &["jobs/mine"]);
    assert_eq!(
        (&table["names"], &table["lines"][0]["names"]),
        (&json!(["name", "model"]), &json!(["good", "oracle"]))
    );

    play(
        place.path(),
        "diffs",
        "oracle,oracle:insecure",
        &tasks,
        &["--code-diff"],
    );
    let (out, _) = finished(
        place.path(),
        &[
            "compare",
            "jobs/mine,code_diff=false,model=oracle",
            "jobs/diffs,code_diff=true",
            "--json",
        ],
        0,
    );
    let compared: Value = serde_json::from_str(&out).unwrap();
    let models: Vec<&Value> = compared["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| &row["b"]["model"])
        .collect();
    // Both models are compared with the one that is named.
    assert_eq!(
        models,
        [
            &json!("oracle"),
            &json!("oracle:insecure"),
            &json!("oracle"),
            &json!("oracle:insecure")
        ]
    );
    let (_, err) = finished(place.path(), &["compare", "jobs/mine,policy=system", "jobs/diffs"], 2);
    assert!(err.contains("no row of A"), "{err}");
}

#[test]
fn published_cells_stand_beside_ours_and_are_in_no_test() {
    let place = tempfile::tempdir().unwrap();
    mixed_run(place.path(), "mine");
    let csv = "model,setting,cs,ci,cs_marker,cs_se\nTheirs,ST,53.0,14.8,,1.8\nTheirs,editing,38.8,13.8,***,\n";
    std::fs::write(place.path().join("t.csv"), csv).unwrap();
    let (text, _) = finished(place.path(), &["import-results", "t.csv"], 0);
    assert_eq!(text, "jobs/published: 1 line, 2 published cells\n");
    let table = reported(place.path(), &["jobs/mine", "jobs/published", "--layout", "paper"]);
    let theirs = &table["lines"][1];
    assert_eq!(
        (&theirs["published"], &theirs["names"]),
        (&json!(true), &json!(["", "Theirs (published)", ""]))
    );
    let editing = &theirs["entries"][1]["correct_secure"];
    assert_eq!(
        (&editing["marker"], &editing["standard_error"]),
        (&json!("***"), &Value::Null)
    );
    assert!(near(&editing["delta"], 38.8 - 53.0), "{editing}");
    assert_eq!(table["tests"]["rows"].as_array().unwrap().len(), 1);
    let (text, _) = finished(
        place.path(),
        &["report", "jobs/mine", "jobs/published", "--layout", "paper"],
        0,
    );
    for part in [
        "Theirs (published)",
        "53.0 ± 1.8",
        "38.8*** (-14.2)",
        "not told",
        "taken from a publication",
    ] {
        assert!(text.contains(part), "{part} is missing:\n{text}");
    }
    // Settings of their own are columns of their own, or are told.
    std::fs::write(place.path().join("wide.csv"), "model,st,mt_sys\nTheirs,67.2,51.5\n").unwrap();
    let wide = [
        "import-results",
        "wide.csv",
        "--name",
        "wide",
        "--rename",
        "mt_sys=MT, system",
    ];
    finished(place.path(), &wide, 0);
    let table = reported(place.path(), &["jobs/wide", "--layout", "paper"]);
    let titles: Vec<&Value> = table["columns"]
        .as_array()
        .unwrap()
        .iter()
        .map(|column| &column["title"])
        .collect();
    assert_eq!(titles, [&json!("single"), &json!("MT, system")]);
    let file = place.path().join("table.yaml");
    std::fs::write(&file, experiment(TABLE)).unwrap();
    let (text, _) = finished(
        place.path(),
        &["report", "jobs/mine", "jobs/wide", "--table", "table.yaml"],
        0,
    );
    assert!(
        text.contains("67.2") && text.contains("not shown: MT, system"),
        "{text}"
    );

    let refused = |arguments: &[&str], part: &str| {
        let (_, err) = finished(place.path(), arguments, 2);
        assert!(err.contains(part), "{part} is missing:\n{err}");
    };
    refused(
        &["import-results", "t.csv"],
        "jobs/published exists already: choose another --name",
    );
    refused(&["import-results", "t.csv", "--name", "../x"], "no plain name");
    refused(
        &["import-results", "t.csv", "--name", "x", "--rename", "mt=MT"],
        "no file has a setting `mt`",
    );
    std::fs::write(place.path().join("bad.csv"), "model,setting,cs\nA,ST,many\n").unwrap();
    refused(
        &["import-results", "bad.csv", "--name", "x"],
        "bad.csv:2:3: `cs`: `many` is no percentage",
    );
    refused(&["report", "jobs/published"], "holds published cells");
}
