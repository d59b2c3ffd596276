//! What the records of a try's calls, its `model.jsonl` and `critic.jsonl` files, say that it used.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::budget::Charge;
use crate::trial::Usage;

/// The records of a turn's calls, the agent's and the critic's, and of what was sent.
const RECORDS: [(&str, &str); 2] = [
    ("model.jsonl", "model.sent.jsonl"),
    ("critic.jsonl", "critic.sent.jsonl"),
];

/// What a line of `model.jsonl` says of its cost.
#[derive(Deserialize)]
pub(super) struct KeptCall {
    #[serde(default)]
    call: u64,
    latency_ms: f64,
    attempts: u32,
    tokens: Option<KeptTokens>,
    cost: Option<f64>,
    #[serde(default)]
    charge: Option<Charge>,
}

#[derive(Deserialize)]
struct KeptTokens {
    input: u64,
    output: u64,
}

impl KeptCall {
    pub fn usage(&self) -> Usage {
        let tokens = self.tokens.as_ref().map(|tokens| (tokens.input, tokens.output));
        Usage::of_call(self.attempts > 0, tokens, self.cost, self.latency_ms / 1e3)
    }

    /// What it took from the budgets. Records of older versions of this program tell only what was counted.
    pub fn charge(&self) -> Charge {
        let counted = || Charge {
            tokens: self
                .tokens
                .as_ref()
                .map_or(0, |tokens| tokens.input.saturating_add(tokens.output)),
            usd: self.cost.unwrap_or(0.0),
        };
        self.charge.unwrap_or_else(counted)
    }
}

/// A line of `model.sent.jsonl`.
#[derive(Deserialize)]
struct SentCall {
    call: u64,
    charge: Charge,
}

/// Calls `each` with every whole line of the records in a try's folder; a line that a crash has torn is passed over.
pub(super) fn each_call(folder: &Path, each: impl FnMut(KeptCall)) {
    let mut each = each;
    for (record, _) in RECORDS {
        each_line(folder, record, &mut each);
    }
}

/// What a try has taken from the run's budget. A call that was sent and has no record, for this program was killed first,
/// may have cost all that was set aside for it.
pub(super) fn charge(folder: &Path) -> Charge {
    let mut sum = Charge::default();
    for (record, sent) in RECORDS {
        // Each counts its own calls.
        let mut recorded = HashSet::new();
        each_line(folder, record, |call: KeptCall| {
            sum.add(&call.charge());
            recorded.insert(call.call);
        });
        each_line(folder, sent, |sent: SentCall| {
            if !recorded.contains(&sent.call) {
                sum.add(&sent.charge);
            }
        });
    }
    sum
}

fn each_line<T: DeserializeOwned>(folder: &Path, name: &str, mut each: impl FnMut(T)) {
    for turn in fs::read_dir(folder.join("turns")).into_iter().flatten().flatten() {
        let Ok(file) = File::open(turn.path().join(name)) else {
            continue;
        };
        let mut reader = BufReader::new(file);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
            if let Ok(call) = serde_json::from_slice(&line) {
                each(call);
            }
            line.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_was_sent_and_never_recorded_counts_as_all_that_was_set_aside() {
        let place = tempfile::tempdir().unwrap();
        let turn = place.path().join("turns/1");
        fs::create_dir_all(&turn).unwrap();
        let recorded = r#"{"call": 1, "latency_ms": 1.0, "attempts": 1, "charge": {"tokens": 30, "usd": 0.0}}"#;
        fs::write(turn.join("model.jsonl"), format!("{recorded}\n{{\"call\": 2, \"late")).unwrap();
        let sent = |call: u64| format!("{{\"call\": {call}, \"charge\": {{\"tokens\": 500, \"usd\": 0.5}}}}\n");
        fs::write(turn.join("model.sent.jsonl"), sent(1) + &sent(2)).unwrap();
        let all = Charge { tokens: 530, usd: 0.5 };
        assert_eq!(charge(place.path()), all);
        // The critic's calls have numbers of their own.
        fs::write(turn.join("critic.jsonl"), format!("{recorded}\n")).unwrap();
        fs::write(turn.join("critic.sent.jsonl"), sent(2)).unwrap();
        let all = Charge { tokens: 1060, usd: 1.0 };
        assert_eq!(charge(place.path()), all);
    }
}
