//! The pairs of two rows: by task and attempt, where both sides have a verdict that counts.

use std::collections::{BTreeSet, HashMap};

use super::side::{Side, SideRow, SideTrial};
use super::standing::{LeftOut, Standing, counting};
use super::{ALPHA, ComparedRow, Measure, Method};
use crate::canary;
use crate::conversation::Interaction;
use crate::plan::{Key, TrialKey};
use crate::task::Task;
use crate::verdict::Verdict;

/// One task and attempt, judged on both sides.
pub(super) struct Pair {
    /// The task, with the attempt where there is more than one.
    pub name: String,
    pub a: Verdict,
    pub b: Verdict,
}

/// Compares two rows.
pub(in crate::report) fn row(a: &Side, first: &SideRow, b: &Side, second: &SideRow, method: Method) -> ComparedRow {
    let (of_first, of_second) = (by_key(first), by_key(second));
    let attempts = first
        .trials
        .iter()
        .chain(&second.trials)
        .map(|trial| trial.key.attempt)
        .max();
    let mut left_out = LeftOut::default();
    let (mut pairs, mut tasks) = (Vec::new(), BTreeSet::new());
    for SideTrial {
        key: trial,
        standing: one,
        ..
    } in &first.trials
    {
        let Some(other) = of_second.get(&(trial.task.as_str(), trial.attempt)) else {
            left_out.only_a += 1;
            continue;
        };
        let same = match (a.tasks.get(&trial.task), b.tasks.get(&trial.task)) {
            (Some(one), Some(other)) => same_task(one, first, other, second),
            _ => false,
        };
        match (*one, *other) {
            _ if !same => left_out.changed += 1,
            (Standing::Counts(one), Standing::Counts(other)) => {
                tasks.insert(&trial.task);
                pairs.push(Pair {
                    name: match attempts {
                        Some(2..) => format!("{}#{}", trial.task, trial.attempt),
                        _ => trial.task.clone(),
                    },
                    a: one,
                    b: other,
                });
            }
            (one, other) => left_out.count(one.or(other)),
        }
    }
    let in_first = |trial: &TrialKey| of_first.contains_key(&(trial.task.as_str(), trial.attempt));
    left_out.only_b = second.trials.iter().filter(|trial| !in_first(&trial.key)).count();
    let (n, fewest) = (pairs.len(), method.test.fewest_pairs(ALPHA));
    ComparedRow {
        title: None,
        a: first.labels.clone(),
        b: second.labels.clone(),
        n_a: counting(first).0.len(),
        n_b: counting(second).0.len(),
        pairs: n,
        tasks: tasks.len(),
        left_out,
        same_limits: first.limits == second.limits,
        least_difference: (n as u64 >= fewest).then(|| 100.0 * fewest as f64 / n as f64),
        measures: [Verdict::CorrectSecure, Verdict::CorrectInsecure]
            .map(|verdict| Measure::of(verdict, &pairs, method))
            .into(),
    }
}

/// How the trials of a row stand, by task and attempt.
fn by_key(row: &SideRow) -> HashMap<(&str, u32), Standing> {
    row.trials
        .iter()
        .map(|trial| ((trial.key.task.as_str(), trial.key.attempt), trial.standing))
        .collect()
}

/// Whether two copies of a task ask for the same and are judged by the same tests. Each run has canaries of its own in the
/// tests; conversations must be the same where both sides have the same interaction, of as many turns, or by the same chance.
pub(in crate::report) fn same_task(one: &Task, first: &SideRow, other: &Task, second: &SideRow) -> bool {
    let tests = |task: &Task| {
        [&task.tests.setup, &task.tests.testcases].map(|text| canary::without(text).trim_end().to_owned())
    };
    let said = [Key::Interaction, Key::Turns, Key::Seed];
    let alike = said.iter().all(|key| first.labels.key(*key) == second.labels.key(*key));
    let same_turns = !alike || turns(one, first) == turns(other, first);
    one.description == other.description && one.function == other.function && same_turns && tests(one) == tests(other)
}

/// What a row says of a task beside its description.
fn turns<'a>(task: &'a Task, row: &SideRow) -> Option<&'a Vec<String>> {
    let value = |key| row.labels.key(key);
    match row.labels.interaction {
        Interaction::Single | Interaction::DebuggingTests | Interaction::DebuggingNatural => None,
        Interaction::LongerSingle => task.turns(Interaction::Expansion, value(Key::Turns).parse().ok()),
        Interaction::Random => task.distractions.get(&value(Key::Seed).parse().ok()?),
        written => task.turns(written, value(Key::Turns).parse().ok()),
    }
}
