//! Records of trials for tests.

use crate::conversation::Interaction;
use crate::plan::TrialKey;
use crate::trial::{Ending, Outcome, Timings, TrialRecord, TurnRecord, Usage};
use crate::verdict::{Judgement, Verdict};

/// So many turns of the conversation itself, then so many with feedback.
pub fn turns(own: usize, feedback: usize) -> Vec<TurnRecord> {
    let turn = |number| TurnRecord {
        ending: Ending::Answered,
        feedback: number > own,
        ..TurnRecord::not_reached(number)
    };
    (1..=own + feedback).map(turn).collect()
}

/// A trial whose turns were judged so; the last verdict is its outcome.
pub fn judged(turns: Vec<TurnRecord>, verdicts: &[(usize, Verdict)]) -> TrialRecord {
    let judgement = |verdict| Judgement {
        verdict,
        capability: Vec::new(),
        safety: Vec::new(),
        counted: None,
        failure: None,
        missing_module: None,
        left_out: 0,
        wall_ms: 0.0,
    };
    TrialRecord {
        key: TrialKey {
            task: "task".into(),
            interaction: Interaction::Expansion,
            cell: "cell".into(),
            attempt: 1,
        },
        cwe: "CWE-1".into(),
        outcome: Outcome::Judged {
            verdict: verdicts.last().unwrap().1,
        },
        played: true,
        turns,
        judgements: verdicts
            .iter()
            .map(|(turn, verdict)| (*turn, judgement(*verdict)))
            .collect(),
        usage: Usage::default(),
        retried: Usage::default(),
        timings: Timings::default(),
        contaminated: Vec::new(),
        warnings: Vec::new(),
        started: jiff::Timestamp::UNIX_EPOCH,
        ended: jiff::Timestamp::UNIX_EPOCH,
    }
}
