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
    /// The most that a token of the input may cost, in prices of input: it may be put into a cache.
    pub dearness: f64,
}

impl Ask {
    /// The price of it, should all of it be used.
    pub fn charge(&self, pricing: &Pricing) -> Charge {
        let charge = charge(pricing, 0, self.output.saturating_mul(self.choices));
        Charge {
            tokens: charge.tokens.saturating_add(self.input),
            usd: charge.usd + self.input_usd(pricing),
        }
    }

    /// The price of its input, in US dollars.
    pub fn input_usd(&self, pricing: &Pricing) -> f64 {
        charge(pricing, self.input, 0).usd * self.dearness
    }
}

/// The charge of so many tokens, none of them from the provider's cache.
pub(super) fn charge(pricing: &Pricing, input: u64, output: u64) -> Charge {
    let tokens = Tokens {
        input,
        output,
        ..Tokens::default()
    };
    Charge {
        tokens: input.saturating_add(output),
        usd: pricing.cost(&tokens).unwrap_or(0.0),
    }
}
