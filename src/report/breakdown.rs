//! The shares by weakness, language or length of the prompt (paper, figures 8, 11 and 12).

use std::collections::{BTreeMap, HashMap};
use std::str::FromStr;

use super::compare::{Method, Share, Side, SideRow};
use super::grid::{Field, Grid, column, hidden};
use super::lines::{CellLine, lines, scripted, single_length, told};
use crate::conversation::Interaction;
use crate::stats::brittleness;
use crate::task::{Language, Task};
use crate::verdict::Verdict;

/// What tasks are grouped by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    Cwe,
    Language,
    /// Thirds of the tasks, by the length of the single turn's prompt.
    Length,
}

impl FromStr for By {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "cwe" => Ok(Self::Cwe),
            "language" => Ok(Self::Language),
            "length" => Ok(Self::Length),
            _ => Err(format!("unknown grouping `{text}`: expected cwe, language or length")),
        }
    }
}

/// The groups of tasks, the most frequent first (of lengths the shortest), and which task is in which.
struct Groups {
    names: Vec<String>,
    sizes: Vec<usize>,
    of: HashMap<String, usize>,
}

/// A row for each cell, group and interaction, and one for what the conversations differ in from the single turn.
pub fn breakdown(sides: &[Side], by: By, method: Method) -> Grid {
    let groups = groups(sides, by);
    let mut rows = Vec::new();
    for line in lines(sides) {
        for group in 0..groups.names.len() {
            rows.extend(of_group(&line, &groups, group, method));
        }
    }
    let heading = match by {
        By::Cwe => "CWE",
        By::Language => "language",
        By::Length => "length",
    };
    let mut notes = vec![
        "C&S and C&I in percent of n, the group's trials with a verdict that are not contaminated; in brackets: less the single turn of the same group. MT − ST: mean of the three conversations less the single turn. Small groups say little: --json and CSV have Wilson's intervals.".to_owned(),
    ];
    if by == By::Length {
        notes.push(
            "length: of the single turn's prompt, in characters; each third of the tasks is a group, and the same length is always in the same.".to_owned(),
        );
    }
    notes.extend(told(sides));
    Grid {
        title: format!("By {heading}"),
        columns: vec![
            column("line", "line"),
            hidden("cell"),
            column("group", heading),
            column("tasks", "tasks"),
            column("interaction", "interaction"),
            column("n", "n"),
            column("cs", "C&S"),
            hidden("cs_low"),
            hidden("cs_high"),
            hidden("cs_minus_single"),
            column("ci", "C&I"),
            hidden("ci_low"),
            hidden("ci_high"),
            hidden("ci_minus_single"),
        ],
        rows,
        notes,
        scripted: scripted(sides),
    }
}

const SHARES: [Verdict; 2] = [Verdict::CorrectSecure, Verdict::CorrectInsecure];

fn of_group(line: &CellLine, groups: &Groups, group: usize, method: Method) -> Vec<Vec<Field>> {
    let share = |interaction: Interaction, verdict: Verdict| {
        let verdicts = verdicts(line.row(interaction)?, groups, group);
        let count = verdicts.iter().filter(|found| **found == verdict).count();
        Some(Share::of(count, verdicts.len(), method.level))
    };
    let percent = |interaction, verdict| share(interaction, verdict)?.percent;
    let begin = |interaction: &str| {
        vec![
            Field::Text(line.name.clone()),
            Field::Text(line.cell().to_owned()),
            Field::Text(groups.names[group].clone()),
            Field::Count(groups.sizes[group]),
            Field::Text(interaction.to_owned()),
        ]
    };
    let mut rows = Vec::new();
    for row in &line.rows {
        let interaction = row.labels.interaction;
        let mut fields = begin(interaction.name());
        fields.push(Field::Count(verdicts(row, groups, group).len()));
        for verdict in SHARES {
            let found = share(interaction, verdict);
            let own = found.and_then(|share| share.percent);
            let base = percent(Interaction::Single, verdict).filter(|_| interaction != Interaction::Single);
            let delta = own.zip(base).map(|(own, base)| own - base);
            let interval = found.and_then(|share| share.interval);
            fields.push(Field::Shifted(own, delta));
            fields.push(Field::Percent(interval.map(|interval| interval.low)));
            fields.push(Field::Percent(interval.map(|interval| interval.high)));
            fields.push(Field::Points(delta));
        }
        rows.push(fields);
    }
    let points = SHARES.map(|verdict| {
        let of = Interaction::CONVERSATIONS.map(|interaction| percent(interaction, verdict));
        let of: Option<Vec<f64>> = of.into_iter().collect();
        brittleness(percent(Interaction::Single, verdict)?, &of?)
    });
    if points.iter().any(Option::is_some) {
        let mut fields = begin("MT − ST");
        fields.push(Field::Text(String::new()));
        for points in points {
            fields.extend([
                Field::Points(points),
                Field::Percent(None),
                Field::Percent(None),
                Field::Points(points),
            ]);
        }
        rows.push(fields);
    }
    rows
}

fn verdicts(row: &SideRow, groups: &Groups, group: usize) -> Vec<Verdict> {
    let in_group = row
        .trials
        .iter()
        .filter(|trial| groups.of.get(&trial.key.task) == Some(&group));
    in_group.filter_map(|trial| trial.standing.verdict()).collect()
}

/// Of the tasks of all runs, each once.
fn groups(sides: &[Side], by: By) -> Groups {
    let mut tasks: BTreeMap<&str, &Task> = BTreeMap::new();
    for side in sides {
        tasks.extend(side.tasks.iter().map(|(id, task)| (id.as_str(), task)));
    }
    let mut lengths: Vec<usize> = tasks.values().filter_map(|task| single_length(task)).collect();
    lengths.sort_unstable();
    let bounds = thirds(&lengths);
    let mut members: BTreeMap<(usize, String), Vec<&str>> = BTreeMap::new();
    for (id, task) in &tasks {
        let key = match by {
            By::Cwe => (0, task.cwe.clone()),
            By::Language => (0, language(task.language).to_owned()),
            By::Length => single_length(task).map_or((3, "unknown".to_owned()), |length| third(length, bounds)),
        };
        members.entry(key).or_default().push(id);
    }
    let mut members: Vec<((usize, String), Vec<&str>)> = members.into_iter().collect();
    if by != By::Length {
        // Those of the same size stay in the order of their names.
        members.sort_by_key(|(_, ids)| std::cmp::Reverse(ids.len()));
    }
    let mut groups = Groups {
        names: Vec::new(),
        sizes: Vec::new(),
        of: HashMap::new(),
    };
    for (index, ((_, name), ids)) in members.into_iter().enumerate() {
        groups.names.push(name);
        groups.sizes.push(ids.len());
        groups.of.extend(ids.into_iter().map(|id| (id.to_owned(), index)));
    }
    groups
}

fn language(language: Language) -> &'static str {
    match language {
        Language::Python => "python",
    }
}

/// The longest of the first third and of the second, of sorted lengths.
fn thirds(lengths: &[usize]) -> [usize; 2] {
    let at = |third: usize| {
        let place = (third * lengths.len()).div_ceil(3);
        lengths.get(place.saturating_sub(1)).copied().unwrap_or(0)
    };
    [at(1), at(2)]
}

fn third(length: usize, [short, medium]: [usize; 2]) -> (usize, String) {
    match length {
        length if length <= short => (0, format!("short (to {short})")),
        length if length <= medium => (1, format!("medium (to {medium})")),
        _ => (2, format!("long (over {medium})")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thirds_are_as_equal_as_ties_let_them_be() {
        let sizes = |lengths: &[usize]| {
            let bounds = thirds(lengths);
            let mut sizes = [0; 3];
            lengths.iter().for_each(|length| sizes[third(*length, bounds).0] += 1);
            sizes
        };
        assert_eq!(sizes(&[1, 2, 3, 4, 5, 6, 7, 8, 9]), [3, 3, 3]);
        assert_eq!(sizes(&[1, 2, 3, 4]), [2, 1, 1]);
        assert_eq!(sizes(&[5, 5, 5, 5, 9, 10]), [4, 0, 2]);
        assert_eq!(sizes(&[7]), [1, 0, 0]);
        assert_eq!(thirds(&[]), [0, 0]);
    }
}
