//! What a call asks of the budgets, and what that comes to.

use super::model::{Pricing, Tokens};
use crate::budget::Charge;

/// Bytes of a request that stand for one token.
const BYTES_PER_TOKEN: u64 = 3;

/// The tokens that so many bytes are taken for.
pub(super) fn estimated(bytes: usize) -> u64 {
    (bytes as u64).div_ceil(BYTES_PER_TOKEN)
}

/// What a call may use.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Ask {
    /// Estimated.
    pub input: u64,
    /// The most that each choice of the answer may have.
    pub output: u64,
    pub choices: u64,
}

impl Ask {
    /// The price of it, should all of it be used.
    pub fn charge(&self, pricing: &Pricing) -> Charge {
        charge(pricing, self.input, self.output.saturating_mul(self.choices))
    }
}

/// The charge of so many tokens, none of them from the provider's cache.
pub(super) fn charge(pricing: &Pricing, input: u64, output: u64) -> Charge {
    let tokens = Tokens {
        input,
        cached: 0,
        output,
    };
    Charge {
        tokens: input.saturating_add(output),
        usd: pricing.cost(&tokens).unwrap_or(0.0),
    }
}
