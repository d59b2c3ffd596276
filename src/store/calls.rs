//! What the records of a try's calls, its `model.jsonl` files, say that it used.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::Path;

use serde::Deserialize;

use crate::budget::Charge;
use crate::trial::Usage;

/// What a line of `model.jsonl` says of its cost.
#[derive(Deserialize)]
pub(super) struct KeptCall {
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

/// Calls `each` with every whole line of the records in a try's folder; a line that a crash has torn is passed over.
pub(super) fn each_call(folder: &Path, mut each: impl FnMut(KeptCall)) {
    for turn in fs::read_dir(folder.join("turns")).into_iter().flatten().flatten() {
        let Ok(file) = File::open(turn.path().join("model.jsonl")) else {
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
