//! The published cells of the paper against what is computed here; skipped, and said, where they are not at hand.

use std::collections::HashMap;
use std::path::Path;

use super::*;

/// The rows of a published table, by heading.
fn table(name: &str) -> Option<Vec<HashMap<String, String>>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../shared/paper/tables")
        .join(name);
    if !path.exists() {
        eprintln!("skipped: {} is not here", path.display());
        return None;
    }
    Some(
        csv::Reader::from_path(path)
            .unwrap()
            .deserialize()
            .map(Result::unwrap)
            .collect(),
    )
}

fn number(text: &str) -> f64 {
    text.parse().unwrap()
}

/// Model → the value under each setting.
fn values(rows: &[HashMap<String, String>], column: &str) -> HashMap<String, HashMap<String, f64>> {
    let mut values: HashMap<String, HashMap<String, f64>> = HashMap::new();
    for row in rows {
        let settings = values.entry(row["model"].clone()).or_default();
        settings.insert(row["setting"].clone(), number(&row[column]));
    }
    values
}

fn brittleness_of(settings: &HashMap<String, f64>) -> f64 {
    let conversations = ["expansion", "editing", "refactor"].map(|setting| settings[setting]);
    brittleness(settings["ST"], &conversations).unwrap()
}

#[test]
fn table_18_follows_from_table_1() {
    let (Some(cells), Some(ranking)) = (table("table1.csv"), table("table18_brittleness_ci.csv")) else {
        return;
    };
    let values = values(&cells, "ci");
    assert_eq!(ranking.len(), 35);
    for row in ranking {
        let (found, printed) = (brittleness_of(&values[&row["model"]]), number(&row["mean_delta_ci"]));
        assert!(
            (found - printed).abs() < 0.0501,
            "{}: {found} is not {printed}",
            row["model"]
        );
    }
}

#[test]
fn table_17_is_in_the_order_of_table_1s_differences() {
    let (Some(cells), Some(ranking)) = (table("table1.csv"), table("table17_order.csv")) else {
        return;
    };
    let values = values(&cells, "cs");
    let found: Vec<f64> = ranking
        .iter()
        .map(|row| brittleness_of(&values[&row["model"]]))
        .collect();
    assert_eq!(found.len(), 35);
    // Two models have the same value.
    assert!(found.windows(2).all(|pair| pair[0] <= pair[1] + 1e-9), "{found:?}");
}

/// The others are told in the notes on the paper: computed over other denominators than the 792 that are printed.
#[test]
fn most_published_standard_errors_are_bernoullis_over_792() {
    let Some(cells) = table("table14_16.csv") else { return };
    let mut fits = 0;
    for row in &cells {
        for (share, error) in [("cs", "cs_se"), ("ci", "ci_se")] {
            let count = (792.0 * number(&row[share]) / 100.0).round() as u64;
            let found = 100.0 * Proportion { count, n: 792 }.standard_error().unwrap();
            fits += usize::from((found - number(&row[error])).abs() < 0.0505);
        }
    }
    assert_eq!((fits, 2 * cells.len()), (220, 280));
}
