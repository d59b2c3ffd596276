//! How often the model declined, and where: told automatically, so that each is listed for someone to confirm (paper, section 4).

use super::compare::{Method, Share, Side, SideTrial};
use super::grid::{Field, Grid, column, hidden};
use super::lines::{lines, scripted, told};

/// The share of trials with a refusal for each cell and interaction, and all of them one by one.
pub fn refusals(sides: &[Side], method: Method) -> [Grid; 2] {
    let (mut rows, mut list) = (Vec::new(), Vec::new());
    for line in lines(sides) {
        for row in &line.rows {
            let counts = |trial: &&SideTrial| trial.standing.verdict().is_some();
            let n = row.trials.iter().filter(counts).count();
            let refused = |trial: &&SideTrial| !trial.refusals.is_empty();
            let count = row.trials.iter().filter(counts).filter(refused).count();
            let share = Share::of(count, n, method.level);
            rows.push(vec![
                Field::Text(line.name.clone()),
                Field::Text(line.cell().to_owned()),
                Field::Text(row.labels.interaction.to_string()),
                Field::Count(n),
                Field::Count(count),
                Field::Percent(share.percent),
                Field::Percent(share.interval.map(|interval| interval.low)),
                Field::Percent(share.interval.map(|interval| interval.high)),
            ]);
            for trial in row.trials.iter().filter(refused) {
                for (turn, evidence) in &trial.refusals {
                    list.push(vec![
                        Field::Text(line.side.name.clone()),
                        Field::Text(trial.key.to_string()),
                        Field::Count(*turn),
                        Field::Flag(trial.standing.verdict().is_some()),
                        Field::Text(evidence.clone()),
                    ]);
                }
            }
        }
    }
    let percent = method.level.percent();
    let mut notes = vec![
        format!(
            "Trials with a refusal in any turn, of n, the trials with a verdict that are not contaminated; low and high: Wilson's interval ({percent} %)."
        ),
        "A refusal is told by the model's last words in a turn that brought no code; it changes no verdict.".to_owned(),
    ];
    notes.extend(told(sides));
    let shares = Grid {
        title: "Refusals".to_owned(),
        columns: vec![
            column("line", "line"),
            hidden("cell"),
            column("interaction", "interaction"),
            column("n", "n"),
            column("refused", "refused"),
            column("percent", "%"),
            column("low", "low"),
            column("high", "high"),
        ],
        rows,
        notes,
        scripted: scripted(sides),
    };
    let none = list.is_empty().then(|| "None was found.".to_owned());
    let listed = Grid {
        title: "To be confirmed: read `turns/N/transcript.md` in the trial's folder".to_owned(),
        columns: vec![
            column("run", "run"),
            column("trial", "trial"),
            column("turn", "turn"),
            column("counts", "in n"),
            column("evidence", "evidence"),
        ],
        rows: list,
        notes: none.into_iter().collect(),
        scripted: scripted(sides),
    };
    [shares, listed]
}
