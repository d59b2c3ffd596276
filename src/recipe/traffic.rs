//! `estimate` of a recipe: what an agent says to its model beyond the conversation.

use serde::Deserialize;

/// What an agent's calls use, for an estimate before anything was run; measured, see the recipe's comment.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Traffic {
    /// What every call says beyond the conversation: the agent's own prompt, its tools, files that it shows; in tokens.
    pub system_tokens: f64,
    /// For each turn.
    pub calls: f64,
    /// Of each call's answer.
    pub output_tokens: f64,
    /// What a call adds to the next ones, such as its answer and what a tool said; in tokens.
    pub kept_tokens: f64,
}

impl Traffic {
    /// A model without an agent, as far as nothing is known.
    pub const BARE: Self = Self {
        system_tokens: 0.0,
        calls: 1.0,
        output_tokens: 300.0,
        kept_tokens: 300.0,
    };

    /// Input and output tokens of a conversation whose turns have so many tokens: each call says all that was said before.
    pub fn of(&self, turns: impl IntoIterator<Item = u64>) -> (f64, f64) {
        let (mut said, mut made, mut input) = (0.0, 0.0, 0.0);
        for turn in turns {
            said += turn as f64;
            // The calls of a turn have on average seen half of the turn's other calls.
            let earlier = made + (self.calls - 1.0).max(0.0) / 2.0;
            input += self.calls * (self.system_tokens + said + earlier * self.kept_tokens);
            made += self.calls;
        }
        (input, made * self.output_tokens)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_says_again_what_was_said_before() {
        let traffic = Traffic {
            system_tokens: 1000.0,
            calls: 2.0,
            output_tokens: 10.0,
            kept_tokens: 30.0,
        };
        // Calls of 1100, 1130, then (with 50 more said) 1210, 1240.
        let (input, output) = traffic.of([100, 50]);
        assert_eq!((input, output), (1100.0 + 1130.0 + 1210.0 + 1240.0, 40.0));
    }
}
