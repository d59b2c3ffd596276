//! `compare`: two sides of recorded runs, pair by pair, with values computed by hand.

mod common;

use std::path::{Path, PathBuf};

use common::mixed::{forgetful, mixed_run, mixed_tasks, near, play};
use common::{finished, tiny_task};
use serde_json::{Value, json};

fn compared(place: &Path, a: &str, b: &str, more: &[&str]) -> Value {
    let (out, _) = finished(place, &[&["compare", a, b, "--json"], more].concat(), 0);
    serde_json::from_str(&out).unwrap()
}

/// The folder of the one trial whose name begins so.
fn only(run: &Path, trial: &str) -> PathBuf {
    let entries = std::fs::read_dir(run.join("trials"))
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let begins = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with(trial);
    let mut found: Vec<PathBuf> = entries.filter(begins).collect();
    assert_eq!(found.len(), 1, "{trial}: {found:?}");
    found.remove(0)
}

/// Changes the record of one trial in place.
fn change_record(run: &Path, trial: &str, change: impl FnOnce(&mut Value)) {
    let path = only(run, trial).join("trial.json");
    let mut record: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    change(&mut record);
    std::fs::write(&path, record.to_string()).unwrap();
}

#[test]
fn conversations_against_the_single_turn_give_the_values_computed_by_hand() {
    let place = tempfile::tempdir().unwrap();
    mixed_run(place.path(), "mixed");
    let comparison = compared(place.path(), "jobs/mixed,interaction=single", "jobs/mixed", &[]);
    assert_eq!(comparison["scripted"], true);
    let rows = comparison["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 1, "a row is not compared with itself: {rows:#?}");
    let row = &rows[0];
    assert_eq!(row["a"]["interaction"], "single");
    assert_eq!(row["b"]["interaction"], "editing");
    assert_eq!(
        (&row["pairs"], &row["tasks"], &row["n_a"], &row["n_b"]),
        (&json!(18), &json!(18), &json!(18), &json!(18))
    );
    let [secure, insecure] = [&row["measures"][0], &row["measures"][1]];
    assert_eq!(secure["verdict"], "correct_secure");
    assert_eq!((&secure["a"]["count"], &secure["b"]["count"]), (&json!(16), &json!(6)));
    assert_eq!(secure["discordant"], json!({"b": 12, "c": 2}));
    // 2 · (1 + 14 + 91) / 2¹⁴.
    assert!(near(&secure["p_value"], 212.0 / 16384.0), "{secure:#}");
    assert_eq!(secure["marker"], "*");
    assert!(near(&secure["difference"], -1000.0 / 18.0), "{secure:#}");
    // The other way round, as every C&S that is lost becomes a C&I.
    assert_eq!(insecure["discordant"], json!({"b": 2, "c": 12}));
    assert_eq!(secure["only_a"].as_array().unwrap().len(), 12);
    assert_eq!(secure["only_b"], json!(["won-01", "won-02"]));
    // Six pairs of eighteen, all one way.
    assert!(near(&row["least_difference"], 600.0 / 18.0), "{row:#}");
    // Of fourteen discordant pairs: 3 and 11 have p = 0.057, 2 and 12 have 0.013.
    assert_eq!(secure["least_significant"], 10);

    let holm = compared(place.path(), "jobs/mixed,interaction=single", "jobs/mixed", &["--holm"]);
    let measure = &holm["rows"][0]["measures"][0];
    assert!(
        near(&measure["p_corrected"], 424.0 / 16384.0),
        "two tests are in the table: {measure:#}"
    );
    let chosen = ["--test", "mid-p", "-i", "won-*", "-i", "same-*"];
    let part = compared(place.path(), "jobs/mixed,interaction=single", "jobs/mixed", &chosen);
    let measure = &part["rows"][0]["measures"][0];
    assert_eq!(
        (&part["rows"][0]["pairs"], &measure["discordant"]),
        (&json!(6), &json!({"b": 0, "c": 2}))
    );
    // 2 · ¼ less ¼.
    assert!(near(&measure["p_value"], 0.25), "{measure:#}");
    assert_eq!(measure["least_significant"], Value::Null);
}

#[test]
fn what_is_in_no_pair_is_counted_by_its_reason() {
    let place = tempfile::tempdir().unwrap();
    let first = mixed_run(place.path(), "first");
    // Another copy of the tasks: one asks for something else, one is not there, one is new.
    let mut tasks = mixed_tasks();
    tasks[0]["description"]["description"] = json!("Doubles it.");
    tasks[1]["id"] = json!("new");
    let model = forgetful(place.path());
    play(place.path(), "second", &model, &tasks, &["--interaction", "single"]);
    let failed = json!("infrastructure_failure");
    change_record(&first, "lost-03__single", |record| {
        record["outcome"] = failed.clone();
        record["reason"] = json!("the disk was full");
    });
    change_record(&place.path().join("jobs/second"), "lost-04", |record| {
        record["contaminated"] = json!([{"turn": 1, "task": "lost-04", "place": "terminal"}]);
    });
    std::fs::remove_file(only(&first, "lost-05__single").join("trial.json")).unwrap();
    let comparison = compared(place.path(), "jobs/first,interaction=single", "jobs/second", &[]);
    let row = &comparison["rows"][0];
    let expected = json!({"only_a": 1, "only_b": 1, "changed": 1, "infrastructure_failures": 1, "contaminated": 1,
        "diverged": 0, "missing": 1});
    assert_eq!(row["left_out"], expected);
    assert_eq!(
        (&row["pairs"], &row["n_a"], &row["n_b"]),
        (&json!(13), &json!(16), &json!(17))
    );
    let (text, _) = finished(
        place.path(),
        &["compare", "jobs/first,interaction=single", "jobs/second"],
        0,
    );
    for part in [
        "1 planned in A only",
        "1 with an infrastructure failure",
        "1 contaminated",
        "1 without an outcome yet",
        "SCRIPTED",
    ] {
        assert!(text.contains(part), "{part} is missing:\n{text}");
    }
}

#[test]
fn models_are_compared_interaction_by_interaction_and_tables_are_whole() {
    let place = tempfile::tempdir().unwrap();
    play(
        place.path(),
        "both",
        "oracle,oracle:insecure",
        &[tiny_task("one|two"), tiny_task("three")],
        &["-k", "2"],
    );
    let (a, b) = ("jobs/both,model=oracle", "jobs/both,model=oracle:insecure");
    let comparison = compared(place.path(), a, b, &[]);
    let rows = comparison["rows"].as_array().unwrap();
    let interactions: Vec<_> = rows
        .iter()
        .map(|row| (&row["a"]["interaction"], &row["b"]["interaction"]))
        .collect();
    assert_eq!(
        interactions,
        [
            (&json!("single"), &json!("single")),
            (&json!("editing"), &json!("editing"))
        ]
    );
    // Four pairs of two tasks; too few for anything to show.
    assert_eq!((&rows[0]["pairs"], &rows[0]["tasks"]), (&json!(4), &json!(2)));
    assert_eq!(rows[0]["measures"][0]["discordant"], json!({"b": 4, "c": 0}));
    assert!(near(&rows[0]["measures"][0]["p_value"], 0.125));
    assert_eq!(rows[0]["least_difference"], Value::Null);
    assert_eq!(
        rows[0]["measures"][0]["only_a"],
        json!(["one|two#1", "one|two#2", "three#1", "three#2"])
    );
    let (text, _) = finished(place.path(), &["compare", a, b], 0);
    assert!(text.contains(", single, oracle → oracle:insecure"), "{text}");
    assert!(text.contains("not independent"), "{text}");
    let (csv, _) = finished(place.path(), &["compare", a, b, "--format", "csv"], 0);
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let headings = reader.headers().unwrap().clone();
    let records: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    let column = |name: &str| headings.iter().position(|heading| heading == name).unwrap();
    assert_eq!(records.len(), 4);
    assert_eq!(
        (&records[0][column("b")], &records[0][column("percent_a")]),
        ("4", "100")
    );
    let (markdown, _) = finished(place.path(), &["compare", a, b, "--format", "md"], 0);
    assert!(markdown.contains("one\\|two#1"), "{markdown}");
}

#[test]
fn what_cannot_be_compared_is_refused_with_the_rows_that_there_are() {
    let place = tempfile::tempdir().unwrap();
    play(place.path(), "one", "oracle", &[tiny_task("tiny")], &[]);
    let refused = |a: &str, b: &str, part: &str| {
        let (_, err) = finished(place.path(), &["compare", a, b], 2);
        assert!(err.contains(part), "{part} is missing:\n{err}");
    };
    refused(
        "jobs/one",
        "jobs/one,model=o3",
        "model=oracle, options=, interaction=single",
    );
    refused(
        "jobs/one,colour=red",
        "jobs/one",
        "unknown key `colour`: expected one of scaffold, model",
    );
    refused("jobs/one,single", "jobs/one", "jobs/one,single is not a run folder");
    refused("jobs/none", "jobs/one", "jobs/none");
    // A run against itself: nothing is compared.
    refused("jobs/one", "jobs/one", "no row of A belongs to one of B");
}

#[test]
fn a_named_cell_is_compared_interaction_by_interaction_and_rows_without_a_partner_are_told() {
    let place = tempfile::tempdir().unwrap();
    let tasks = [tiny_task("tiny")];
    play(place.path(), "both", "oracle,oracle:insecure", &tasks, &[]);
    play(place.path(), "one", "oracle", &tasks, &["--containment", "none"]);
    let lock = std::fs::read(place.path().join("jobs/both/lock.json")).unwrap();
    let lock: Value = serde_json::from_slice(&lock).unwrap();
    let cell = |index: usize| {
        let trials = lock["trials"].as_array().unwrap();
        let cells: Vec<&Value> = trials.iter().map(|trial| &trial["cell"]).collect();
        let other = cells.iter().find(|cell| **cell != cells[0]).unwrap();
        [cells[0], other][index].as_str().unwrap().to_owned()
    };
    let sides = [0, 1].map(|index| format!("jobs/both,cell={}", cell(index)));
    let comparison = compared(place.path(), &sides[0], &sides[1], &[]);
    let rows = comparison["rows"].as_array().unwrap();
    let interactions: Vec<_> = rows
        .iter()
        .map(|row| [&row["a"]["interaction"], &row["b"]["interaction"]])
        .collect();
    assert_eq!(interactions, [[&json!("single"); 2], [&json!("editing"); 2]]);
    assert_eq!(comparison["unmatched_a"], json!([]));

    // One model of two has a partner; and the runs are not alike.
    let comparison = compared(place.path(), "jobs/both", "jobs/one", &[]);
    assert_eq!(comparison["rows"].as_array().unwrap().len(), 2);
    let alone = comparison["unmatched_a"].as_array().unwrap();
    assert_eq!(alone.len(), 2);
    assert!(
        alone.iter().all(|labels| labels["model"] == "oracle:insecure"),
        "{alone:?}"
    );
    let (text, _) = finished(place.path(), &["compare", "jobs/both", "jobs/one"], 0);
    for part in [
        "In A only, and not compared",
        "NOT ALIKE in what held the agents",
        "NO CONTAINMENT",
    ] {
        assert!(text.contains(part), "{part} is missing:\n{text}");
    }
    let (latex, _) = finished(place.path(), &["report", "jobs/one", "--format", "latex"], 0);
    assert!(latex.contains("NO CONTAINMENT"), "{latex}");
    // What keeps the nearest rows apart is named.
    play(place.path(), "other", "nop", &tasks, &[]);
    let (_, err) = finished(place.path(), &["compare", "jobs/both", "jobs/other"], 2);
    assert!(
        err.contains("differ in model (`oracle`, `nop`): name it with KEY=VALUE"),
        "{err}"
    );
}
