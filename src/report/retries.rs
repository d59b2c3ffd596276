//! What feedback brought: the verdicts before it and after each retry (paper, table 8).

use comfy_table::{CellAlignment, ContentArrangement, Table, TableStyle};
use serde::Serialize;

use super::summary::Summary;
use crate::trial::{Outcome, TrialRecord};
use crate::verdict::Verdict;

/// Of the trials that count, by how many retries there were at most: before feedback, after the first, and so on. A trial that
/// needed fewer stands with its last verdict.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Retries(Vec<AfterRetries>);

/// How trials stood after at most so many retries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct AfterRetries {
    /// 0: before feedback.
    pub retries: u32,
    pub correct_secure: usize,
    pub correct_insecure: usize,
    pub incorrect: usize,
}

impl AfterRetries {
    fn of(&self, verdict: Verdict) -> usize {
        match verdict {
            Verdict::CorrectSecure => self.correct_secure,
            Verdict::CorrectInsecure => self.correct_insecure,
            Verdict::Incorrect => self.incorrect,
        }
    }
}

impl Retries {
    /// Of a cell whose agent is told at most so often; none where it never is.
    pub fn of(most: u32) -> Self {
        let after = |retries| AfterRetries {
            retries,
            ..AfterRetries::default()
        };
        match most {
            0 => Self::default(),
            most => Self((0..=most).map(after).collect()),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds one trial; one that was not judged before feedback adds nothing.
    pub fn count(&mut self, record: &TrialRecord) {
        let verdicts = verdicts_by_retry(record);
        for (index, after) in self.0.iter_mut().enumerate() {
            match verdicts.get(index).or(verdicts.last()) {
                Some(Verdict::CorrectSecure) => after.correct_secure += 1,
                Some(Verdict::CorrectInsecure) => after.correct_insecure += 1,
                Some(Verdict::Incorrect) => after.incorrect += 1,
                None => {}
            }
        }
    }
}

/// The verdicts of a trial before feedback, after the first retry, and so on; a retry that was not judged left what there was.
/// Empty where the trial has no verdict, or none is known of the time before feedback.
pub(super) fn verdicts_by_retry(record: &TrialRecord) -> Vec<Verdict> {
    let Outcome::Judged { verdict } = record.outcome else {
        return Vec::new();
    };
    let judged = |turn: usize| record.judgements.get(&turn).map(|judgement| judgement.verdict);
    let retries: Vec<usize> = record
        .turns
        .iter()
        .filter(|turn| turn.feedback)
        .map(|turn| turn.turn)
        .collect();
    let own = record.turns.iter().filter(|turn| !turn.feedback).map(|turn| turn.turn);
    let before = match retries.is_empty() {
        // Whatever ended the conversation, its last snapshot was judged.
        true => Some(verdict),
        false => own.max().and_then(judged),
    };
    let mut verdicts: Vec<Verdict> = before.into_iter().collect();
    for turn in retries {
        if let Some(last) = verdicts.last().copied() {
            verdicts.push(judged(turn).unwrap_or(last));
        }
    }
    verdicts
}

/// Printed below the table.
pub(super) const NOTE: &str = "Feedback: how the trials of n stood before what the tests showed was said to the agent, and after at most so many retries; a trial that needed fewer stands with its last verdict. The other numbers are those after the last retry.\n";

/// The rows with feedback; `None` where none has any.
pub(super) fn table(summary: &Summary, style: TableStyle, name: impl Fn(&str) -> String) -> Option<Table> {
    let rows = || summary.rows.iter().filter(|row| !row.retries.is_empty());
    let most = rows().map(|row| row.retries.0.len()).max()?;
    let mut table = Table::new();
    let mut headings: Vec<String> = ["scaffold", "model", "options", "interaction", "n", ""]
        .map(str::to_owned)
        .into();
    headings.push("before feedback".to_owned());
    headings.extend((1..most).map(|retries| format!("after {retries}")));
    table
        .load_style(style)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(headings);
    for row in rows() {
        for verdict in [Verdict::CorrectSecure, Verdict::CorrectInsecure] {
            let mut cells = vec![format!("{} {}", row.scaffold, row.version)];
            cells.extend([name(&row.model), name(&row.options), row.interaction.to_string()]);
            cells.extend([row.n.to_string(), verdict.to_string()]);
            for index in 0..most {
                let shown = row.retries.0.get(index).map(|after| after.of(verdict));
                cells.push(shown.map_or_else(|| "–".to_owned(), |count| row.with_percent(count)));
            }
            table.add_row(cells);
        }
    }
    for column in table.column_iter_mut().skip(6) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
        .column_mut(4)
        .into_iter()
        .for_each(|column| column.set_cell_alignment(CellAlignment::Right));
    Some(table)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixtures::{judged, turns};

    #[test]
    fn verdicts_are_told_retry_by_retry_and_stay_where_a_trial_needed_fewer() {
        use Verdict::{CorrectInsecure as Ci, CorrectSecure as Cs, Incorrect as No};
        // Three turns of its own, then one retry that was enough.
        let enough = judged(turns(3, 1), &[(3, Ci), (4, Cs)]);
        assert_eq!(verdicts_by_retry(&enough), [Ci, Cs]);
        // Two retries, the second of which was not reached.
        let broke_off = judged(turns(1, 2), &[(1, No), (2, Ci)]);
        assert_eq!(verdicts_by_retry(&broke_off), [No, Ci, Ci]);
        let without = judged(turns(3, 0), &[(3, Cs)]);
        assert_eq!(verdicts_by_retry(&without), [Cs]);
        let unknown = judged(turns(3, 1), &[(4, Cs)]);
        assert_eq!(verdicts_by_retry(&unknown), []);

        let mut retries = Retries::of(2);
        [enough, broke_off, without]
            .iter()
            .for_each(|record| retries.count(record));
        let counts: Vec<[usize; 3]> = retries
            .0
            .iter()
            .map(|after| [after.correct_secure, after.correct_insecure, after.incorrect])
            .collect();
        assert_eq!(counts, [[1, 1, 1], [2, 1, 0], [2, 1, 0]]);
        assert!(Retries::of(0).is_empty());
    }
}
