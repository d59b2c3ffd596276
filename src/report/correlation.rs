//! Does the length of a prompt tell whether its task is solved? Pearson's r (paper, with table 6).

use super::compare::{Side, SideRow, SideTrial};
use super::grid::{Field, Grid, column, hidden};
use super::lines::{final_length, lines, scripted, told};
use crate::stats::pearson;
use crate::verdict::Verdict;

/// One row for each cell and interaction.
pub fn correlations(sides: &[Side]) -> Grid {
    let mut rows = Vec::new();
    let mut several = false;
    for line in lines(sides) {
        for row in &line.rows {
            let pairs = pairs(line.side, row);
            several |= row.trials.iter().any(|trial| trial.key.attempt > 1);
            let found = pearson(&pairs);
            rows.push(vec![
                Field::Text(line.name.clone()),
                Field::Text(line.cell().to_owned()),
                Field::Text(row.labels.interaction.to_string()),
                Field::Count(pairs.len()),
                Field::Coefficient(found.map(|found| found.r)),
                Field::PValue(found.and_then(|found| found.p_value)),
            ]);
        }
    }
    let mut notes = vec![
        "r: Pearson's, of the characters of the prompt that asks for all at once (the single turn's; of longer-single its own) and C&S (1, else 0).".to_owned(),
        "p: two-sided, by Student's t with n − 2 degrees of freedom. –: one of the two does not vary.".to_owned(),
    ];
    if several {
        notes.push(
            "More than one attempt at a task: trials are not independent, and p-values are too small.".to_owned(),
        );
    }
    notes.extend(told(sides));
    Grid {
        title: "Length of the final prompt and C&S".to_owned(),
        columns: vec![
            column("line", "line"),
            hidden("cell"),
            column("interaction", "interaction"),
            column("n", "n"),
            column("r", "r"),
            column("p", "p"),
        ],
        rows,
        notes,
        scripted: scripted(sides),
    }
}

/// Length and success of every trial that counts.
fn pairs(side: &Side, row: &SideRow) -> Vec<(f64, f64)> {
    let pair = |trial: &SideTrial| {
        let verdict = trial.standing.verdict()?;
        let length = final_length(side.tasks.get(&trial.key.task)?, row)?;
        Some((length as f64, f64::from(u8::from(verdict == Verdict::CorrectSecure))))
    };
    row.trials.iter().filter_map(pair).collect()
}
