//! The reference solutions of real tasks get the verdicts of the benchmark's own kit.

use futures_util::{StreamExt, stream};
use mtsec_agents::diagnosis::imports;
use mtsec_agents::tester::Tree;

use super::shared::rows;
use super::tester;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_reference_solution_of_the_shared_rows_gets_its_verdict_twice() {
    let Some(rows) = rows() else { return };
    assert_eq!(rows.len(), 46);
    let tester = &tester().await;
    for round in 1..=2 {
        let jobs = rows.iter().flat_map(|row| {
            let references = row.task.references.as_ref().unwrap();
            [
                (row, &references.secure, row.patched),
                (row, &references.insecure, row.vulnerable),
            ]
        });
        let wrong: Vec<String> = stream::iter(jobs)
            .map(async |(row, code, expected)| {
                let judgement = tester.judge(&row.task, &Tree::of(code.as_str())).await.unwrap();
                (judgement.verdict != expected)
                    .then(|| format!("round {round}, {}: expected {expected}, got {judgement:?}", row.task.id))
            })
            .buffer_unordered(2)
            .filter_map(async |wrong| wrong)
            .collect()
            .await;
        assert!(wrong.is_empty(), "{} of 92 wrong:\n{}", wrong.len(), wrong.join("\n"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_reference_solution_imports_a_module_that_the_tester_does_not_have() {
    let Some(rows) = rows() else { return };
    let tester = &tester().await;
    let mut imported = 0;
    for row in &rows {
        let known = tester.modules(&row.task).await.unwrap();
        assert!(known.contains("json") && !known.contains("left_pad_pro"), "{known:?}");
        let references = row.task.references.as_ref().unwrap();
        for code in [&references.secure, &references.insecure] {
            for import in imports(code) {
                imported += 1;
                assert!(known.contains(import.top()), "{}: {import:?}", row.task.id);
            }
        }
    }
    assert!(imported > 20, "only {imported} imports were found");
}
