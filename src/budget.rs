//! What a trial, or a whole run, may use of its models, and what it has used.

use serde::{Deserialize, Serialize};

/// The most that may be used; `None`: no bound.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// US dollars.
    #[serde(default)]
    pub usd: Option<f64>,
    /// Input and output tokens together, cached ones included.
    #[serde(default)]
    pub tokens: Option<u64>,
}

/// Whose budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    Trial,
    Run,
}

/// What is taken from a budget, for one call or for many.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Charge {
    pub tokens: u64,
    /// US dollars; 0 where the price is not known, and then there is no budget in dollars.
    pub usd: f64,
}

impl Budget {
    /// Whether anything is bounded.
    pub fn is_set(&self) -> bool {
        self.usd.is_some() || self.tokens.is_some()
    }

    /// The bounds of this budget, and those of `other` where this one has none.
    pub fn or(self, other: Budget) -> Budget {
        Budget {
            usd: self.usd.or(other.usd),
            tokens: self.tokens.or(other.tokens),
        }
    }

    /// Whether nothing is left.
    pub fn is_used_up(&self, spent: &Charge) -> bool {
        self.tokens.is_some_and(|most| spent.tokens >= most) || self.usd.is_some_and(|most| spent.usd >= most)
    }
}

impl Charge {
    /// Sums two charges. What a provider tells may be anything.
    pub fn add(&mut self, other: &Charge) {
        self.tokens = self.tokens.saturating_add(other.tokens);
        self.usd += other.usd;
    }

    /// Takes back what was added.
    pub fn take_back(&mut self, other: &Charge) {
        self.tokens = self.tokens.saturating_sub(other.tokens);
        self.usd = (self.usd - other.usd).max(0.0);
    }
}

impl std::fmt::Display for Budget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let usd = self.usd.map(|usd| format!("${usd}"));
        let tokens = self.tokens.map(|tokens| format!("{tokens} tokens"));
        let parts: Vec<String> = usd.into_iter().chain(tokens).collect();
        match parts.is_empty() {
            true => f.write_str("none"),
            false => f.write_str(&parts.join(" and ")),
        }
    }
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Trial => "trial",
            Self::Run => "run",
        })
    }
}
