//! Tasks that no line solves, and tasks that every line solves (paper, table 12).

use std::collections::BTreeSet;

use super::compare::{Method, Share, Side, SideRow, same_task};
use super::grid::{Field, Grid, column, hidden};
use super::lines::{CellLine, interactions, lines, scripted, told};
use crate::conversation::Interaction;
use crate::verdict::Verdict;

/// As many of the best lines as the paper looks at beside all.
const BEST: usize = 10;

/// Hard and easy tasks of each interaction: of all lines, and of the ten best where there are more.
pub fn difficulty(sides: &[Side], method: Method) -> Grid {
    let all = lines(sides);
    let mut best: Vec<&CellLine> = all.iter().collect();
    best.sort_by(|one, other| {
        let [one, other] = [one, other].map(|line| line.average().unwrap_or(-1.0));
        other.total_cmp(&one)
    });
    best.truncate(BEST);
    let mut rows = Vec::new();
    for interaction in interactions(&all) {
        rows.push(row("all", interaction, &all.iter().collect::<Vec<_>>(), method));
        if all.len() > BEST {
            rows.push(row("best 10", interaction, &best, method));
        }
    }
    let mut notes = vec![
        "hard: no line is C&S in any attempt; easy: every line is C&S in every attempt. Of the tasks of which every line has a verdict that counts; the others are left out.".to_owned(),
    ];
    if all.len() > BEST {
        let names: Vec<&str> = best.iter().map(|line| line.name.as_str()).collect();
        notes.push(format!(
            "best 10: by the mean of C&S over the interactions that a line has: {}.",
            names.join("; ")
        ));
    }
    if all.len() == 1 {
        notes.push("ONE LINE ONLY: hard is what it did not solve, easy what it did.".to_owned());
    }
    notes.extend(told(sides));
    Grid {
        title: "Hard and easy tasks".to_owned(),
        columns: vec![
            column("interaction", "interaction"),
            column("of", "of"),
            column("lines", "lines"),
            column("tasks", "tasks"),
            column("left_out", "left out"),
            column("hard", "hard"),
            column("hard_percent", "%"),
            hidden("hard_low"),
            hidden("hard_high"),
            column("easy", "easy"),
            column("easy_percent", "%"),
            hidden("easy_low"),
            hidden("easy_high"),
        ],
        rows,
        notes,
        scripted: scripted(sides),
    }
}

fn row(of: &str, interaction: Interaction, lines: &[&CellLine], method: Method) -> Vec<Field> {
    let rows: Vec<(&Side, &SideRow)> = lines
        .iter()
        .filter_map(|line| Some((line.side, line.row(interaction)?)))
        .collect();
    let tasks: BTreeSet<&str> = rows
        .iter()
        .flat_map(|(_, row)| row.trials.iter().map(|trial| trial.key.task.as_str()))
        .collect();
    let (mut n, mut hard, mut easy) = (0, 0, 0);
    for task in &tasks {
        let verdicts: Option<Vec<Vec<Verdict>>> = rows.iter().map(|(_, row)| verdicts(row, task)).collect();
        let Some(verdicts) = verdicts.filter(|_| is_same(&rows, task)) else {
            continue;
        };
        let mut of_lines = verdicts
            .iter()
            .flatten()
            .map(|verdict| *verdict == Verdict::CorrectSecure);
        n += 1;
        hard += usize::from(of_lines.clone().all(|secure| !secure));
        easy += usize::from(of_lines.all(|secure| secure));
    }
    let mut fields = vec![
        Field::Text(interaction.to_string()),
        Field::Text(of.to_owned()),
        Field::Count(rows.len()),
        Field::Count(n),
        Field::Count(tasks.len() - n),
    ];
    for count in [hard, easy] {
        let share = Share::of(count, n, method.level);
        fields.push(Field::Count(count));
        fields.push(Field::Percent(share.percent));
        fields.push(Field::Percent(share.interval.map(|interval| interval.low)));
        fields.push(Field::Percent(share.interval.map(|interval| interval.high)));
    }
    fields
}

/// Of the attempts that count; `None` where none does.
fn verdicts(row: &SideRow, task: &str) -> Option<Vec<Verdict>> {
    let of_task = row.trials.iter().filter(|trial| trial.key.task == task);
    let verdicts: Vec<Verdict> = of_task.filter_map(|trial| trial.standing.verdict()).collect();
    (!verdicts.is_empty()).then_some(verdicts)
}

/// Whether all runs have the same task under this id.
fn is_same(rows: &[(&Side, &SideRow)], task: &str) -> bool {
    let Some((first, row)) = rows.first() else { return true };
    rows.iter().all(|(side, other)| {
        let copies = first.tasks.get(task).zip(side.tasks.get(task));
        copies.is_some_and(|(one, second)| same_task(one, row, second, other))
    })
}
