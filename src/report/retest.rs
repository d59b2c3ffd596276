//! A retest for people.

use comfy_table::{Table, presets};

use super::words::{either, number_of};
use crate::retest::{RetestRecord, SnapshotRetest};
use crate::verdict::Verdict;

/// The table of a retest, the cases that differed below it; ends in a newline.
pub fn render_retest(record: &RetestRecord) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table.set_header(["trial", "turn", "recorded", "again", ""]);
    for trial in &record.trials {
        for snapshot in &trial.snapshots {
            let recorded = snapshot
                .recorded
                .map_or_else(|| "–".to_owned(), |verdict| verdict.to_string());
            let said = match (trial.completed, snapshot) {
                (Some(_), _) => "has its verdict now",
                (None, SnapshotRetest { failures, .. }) if !failures.is_empty() => "the tester failed",
                (None, snapshot) if !snapshot.agrees() => "DIFFERS",
                (None, snapshot) if !snapshot.cases.is_empty() => "same verdict, cases differ",
                (None, _) => "same",
            };
            let turn = snapshot.turn.to_string();
            table.add_row([
                trial.key.to_string(),
                turn,
                recorded,
                counted(&snapshot.verdicts),
                said.to_owned(),
            ]);
        }
    }
    let mut text = format!("{table}\n");
    for trial in &record.trials {
        for snapshot in &trial.snapshots {
            for case in &snapshot.cases {
                let results: Vec<String> = case
                    .results
                    .iter()
                    .map(|(result, count)| format!("{count} × {}", name(result)))
                    .collect();
                let recorded = case
                    .recorded
                    .map_or_else(String::new, |result| format!(" (recorded: {})", name(&result)));
                let what = if case.is_flaky() { "flaky" } else { "changed" };
                text.push_str(&format!(
                    "{what}: {}, turn {}, {}: {}{recorded}\n",
                    trial.key,
                    snapshot.turn,
                    case.case,
                    results.join(", ")
                ));
            }
            for failure in &snapshot.failures {
                text.push_str(&format!(
                    "tester failed: {}, turn {}: {failure}\n",
                    trial.key, snapshot.turn
                ));
            }
        }
    }
    let snapshots = record.snapshots().count();
    text.push_str(&format!(
        "{} of {} {} judged {} each: {}.\n",
        number_of(snapshots, "snapshot"),
        number_of(record.trials.len(), "trial"),
        either(snapshots, "was", "were"),
        number_of(record.rounds as usize, "time"),
        match (record.agrees(), record.has_failures()) {
            (true, false) => "everything is as recorded",
            (false, _) => "not everything is the same",
            (true, true) => "as far as there were verdicts, they are as recorded",
        }
    ));
    if record.left_out > 0 {
        text.push_str(&format!(
            "{} {} no snapshot that could be judged.\n",
            number_of(record.left_out, "trial"),
            either(record.left_out, "has", "have")
        ));
    }
    text
}

/// Such as `3 × C&S, 1 × C&I`.
fn counted(verdicts: &[Verdict]) -> String {
    let kinds = [Verdict::CorrectSecure, Verdict::CorrectInsecure, Verdict::Incorrect];
    let counts = kinds.map(|kind| (kind, verdicts.iter().filter(|verdict| **verdict == kind).count()));
    let shown: Vec<String> = counts
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(kind, count)| format!("{count} × {kind}"))
        .collect();
    shown.join(", ")
}

/// As it stands in the records.
fn name(result: &impl serde::Serialize) -> String {
    let value = serde_json::to_value(result).unwrap_or_default();
    value.as_str().unwrap_or_default().replace('_', " ")
}
