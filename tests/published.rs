//! The published tables through the command line; skipped, and said, where they are not at hand.

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use common::finished;
use serde_json::Value;

fn published(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../shared/paper/tables")
        .join(name);
    if !path.exists() {
        eprintln!("skipped: {} is not here", path.display());
        return None;
    }
    Some(path)
}

fn records(path: &Path) -> Vec<BTreeMap<String, String>> {
    let mut reader = csv::Reader::from_path(path).unwrap();
    reader.deserialize().map(Result::unwrap).collect()
}

fn number(text: &str) -> f64 {
    text.parse().unwrap()
}

/// Takes a table in and reports it.
fn reported(table: &Path, import: &[&str], report: &[&str]) -> Value {
    let place = tempfile::tempdir().unwrap();
    let arguments = ["import-results", table.to_str().unwrap(), "--name", "theirs"];
    finished(place.path(), &[&arguments, import].concat(), 0);
    let (out, _) = finished(
        place.path(),
        &[&["report", "jobs/theirs", "--json"], report].concat(),
        0,
    );
    serde_json::from_str(&out).unwrap()
}

/// Line → value of C&S or C&I, in a column.
fn deltas(table: &Value, column: &str, share: &str) -> BTreeMap<String, f64> {
    let mut deltas = BTreeMap::new();
    for line in table["lines"].as_array().unwrap() {
        let names = line["names"].as_array().unwrap();
        let name = names
            .iter()
            .map(|name| name.as_str().unwrap())
            .find(|name| !name.is_empty());
        let entry = line["entries"]
            .as_array()
            .unwrap()
            .iter()
            .find(|entry| entry["column"] == column);
        let delta = entry.unwrap()[share]["delta"].as_f64().unwrap();
        deltas.insert(name.unwrap().replace(" (published)", ""), delta);
    }
    deltas
}

#[test]
fn tables_17_and_18_follow_from_the_cells_of_table_1() {
    let (Some(cells), Some(order), Some(values)) = (
        published("table1.csv"),
        published("table17_order.csv"),
        published("table18_brittleness_ci.csv"),
    ) else {
        return;
    };
    let report = reported(&cells, &[], &["--layout", "brittleness"]);
    let ranked = |verdict: &str| -> Vec<(String, f64)> {
        let rows = report[0]["rows"].as_array().unwrap().iter();
        let rows = rows.filter(|row| row["verdict"] == verdict);
        let line = |row: &Value| row["line"].as_str().unwrap().replace(" (published)", "");
        rows.map(|row| (line(row), row["mt_minus_st"].as_f64().unwrap()))
            .collect()
    };
    let (secure, insecure) = (ranked("C&S"), ranked("C&I"));
    assert_eq!((secure.len(), insecure.len()), (35, 35));
    // The printed order, where values are not the same.
    let value: BTreeMap<&str, f64> = secure.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    for (record, (_, found)) in records(&order).iter().zip(&secure) {
        let printed = value[record["model"].as_str()];
        assert!(
            (printed - found).abs() < 1e-9,
            "rank {}: {} has {printed}, not {found}",
            record["rank"],
            record["model"]
        );
    }
    let value: BTreeMap<&str, f64> = insecure.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    for record in records(&values) {
        let (found, printed) = (value[record["model"].as_str()], number(&record["mean_delta_ci"]));
        assert!(
            (found - printed).abs() < 0.0501,
            "{}: {found} is not {printed}",
            record["model"]
        );
    }
    assert!(insecure.windows(2).all(|pair| pair[0].1 >= pair[1].1 - 1e-9));
}

#[test]
fn deltas_of_table_2_are_of_each_lines_own_baseline() {
    let Some(cells) = published("table2.csv") else { return };
    let experiment = Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments/table2.yaml");
    let renamed = [
        ("st", "ST"),
        ("st_policy", "ST + policy"),
        ("mt", "MT"),
        ("mt_sys", "MT + system"),
        ("mt_first", "MT + first"),
        ("mt_last", "MT + last"),
        ("mt_every", "MT + every"),
    ];
    let renamed = renamed.map(|(old, new)| format!("--rename={old}={new}"));
    let renamed: Vec<&str> = renamed.iter().map(String::as_str).collect();
    let table = reported(&cells, &renamed, &["--table", experiment.to_str().unwrap()]);
    let records = records(&cells);
    assert_eq!(table["lines"].as_array().unwrap().len(), records.len());
    let columns = [
        ("ST + policy", "st_policy", "st"),
        ("MT + system", "mt_sys", "mt"),
        ("MT + first", "mt_first", "mt"),
        ("MT + last", "mt_last", "mt"),
        ("MT + every", "mt_every", "mt"),
    ];
    for (column, with, without) in columns {
        let found = deltas(&table, column, "correct_secure");
        for record in &records {
            let expected = number(&record[with]) - number(&record[without]);
            assert!(
                (found[&record["model"]] - expected).abs() < 1e-9,
                "{column}, {}",
                record["model"]
            );
        }
    }
    // Read off the table: Aider with O3, the policy in the last turn.
    let found = deltas(&table, "MT + last", "correct_secure")["(Aider) + O3 [thinking]"];
    assert!((found - 10.1).abs() < 1e-9, "{found}");
}

#[test]
fn deltas_of_table_3_are_differences_less_full_code() {
    let Some(cells) = published("table3.csv") else { return };
    let experiment = Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments/table3.yaml");
    let renamed = ["--rename=mt=Full", "--rename=diff=Diff"];
    let table = reported(&cells, &renamed, &["--table", experiment.to_str().unwrap()]);
    for (share, suffix) in [("correct_secure", "cs"), ("correct_insecure", "ci")] {
        let found = deltas(&table, "Diff", share);
        for record in records(&cells) {
            let expected = number(&record[&format!("diff_{suffix}")]) - number(&record[&format!("mt_{suffix}")]);
            assert!((found[&record["model"]] - expected).abs() < 1e-9, "{}", record["model"]);
        }
    }
    let found = deltas(&table, "Diff", "correct_secure")["Qwen-2.5 Coder 32B"];
    assert!((found + 20.3).abs() < 1e-9, "{found}");
}

#[test]
fn every_published_table_is_taken_in() {
    for name in [
        "table1.csv",
        "table8.csv",
        "table9.csv",
        "table10.csv",
        "table11.csv",
        "table14_16.csv",
    ] {
        let Some(path) = published(name) else { return };
        let table = reported(&path, &[], &["--layout", "paper"]);
        let cells = table["lines"].as_array().unwrap().iter();
        let cells: usize = cells.map(|line| line["entries"].as_array().unwrap().len()).sum();
        let records = records(&path);
        let settings = if records[0].contains_key("setting") {
            1
        } else {
            records[0].len() - 1
        };
        assert_eq!(cells, records.len() * settings, "{name}");
    }
}
