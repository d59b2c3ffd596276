//! McNemar's test of paired outcomes.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;
use statrs::distribution::{ChiSquared, ContinuousCDF};
use statrs::function::factorial::ln_binomial;

/// The pairs whose two sides differ; the other pairs say nothing of a difference.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Discordant {
    /// Pairs in which only the first side has it.
    pub b: u64,
    /// Pairs in which only the second side has it.
    pub c: u64,
}

/// How the two-sided p-value is computed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PairedTest {
    /// Binomial with ½ on the discordant pairs: never too sure, whatever n is.
    #[default]
    Exact,
    /// The exact one with half of the probability of what was seen: less cautious.
    MidP,
    /// Chi-square with one degree of freedom, for many discordant pairs.
    Chi2,
    /// The same with Edwards' continuity correction.
    Chi2Corrected,
}

impl PairedTest {
    pub const ALL: [Self; 4] = [Self::Exact, Self::MidP, Self::Chi2, Self::Chi2Corrected];

    pub fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::MidP => "mid-p",
            Self::Chi2 => "chi2",
            Self::Chi2Corrected => "chi2-corrected",
        }
    }

    /// The two-sided p-value; 1 without any discordant pair.
    pub fn p_value(self, pairs: Discordant) -> f64 {
        let Discordant { b, c } = pairs;
        let (all, fewer) = (pairs.count(), b.min(c));
        if all == 0 {
            return 1.0;
        }
        let difference = b.abs_diff(c) as f64;
        match self {
            Self::Exact => exact(all, fewer),
            // Twice the tail with half of what was seen; with b = c the tails meet in what was seen.
            Self::MidP if b == c => 1.0 - probability(all, fewer) / 2.0,
            Self::MidP => exact(all, fewer) - probability(all, fewer),
            Self::Chi2 => chi_square_tail(difference * difference / all as f64),
            // No farther than 0: with b = c there is nothing to correct.
            Self::Chi2Corrected => chi_square_tail((difference - 1.0).max(0.0).powi(2) / all as f64),
        }
    }

    /// The smallest |b − c| among `discordant` pairs whose p-value is below `alpha`; `None`: not even if all go one way.
    pub fn least_significant(self, discordant: u64, alpha: f64) -> Option<u64> {
        // p falls as the sides part: the first one that is small enough is the smallest.
        (0..=discordant / 2).rev().find_map(|fewer| {
            let pairs = Discordant {
                b: fewer,
                c: discordant - fewer,
            };
            (self.p_value(pairs) < alpha).then_some(pairs.c - pairs.b)
        })
    }

    /// The fewest discordant pairs, all of one kind, whose p-value is below `alpha`: with fewer, no difference can show.
    pub fn fewest_pairs(self, alpha: f64) -> u64 {
        (1..)
            .find(|count| self.p_value(Discordant { b: 0, c: *count }) < alpha)
            .unwrap_or(u64::MAX)
    }
}

impl Discordant {
    /// b + c.
    pub fn count(self) -> u64 {
        self.b + self.c
    }
}

/// Both tails of the binomial distribution with ½, the one with at most `fewer` of `all` doubled.
fn exact(all: u64, fewer: u64) -> f64 {
    if 2 * fewer == all {
        return 1.0;
    }
    let tail: f64 = (0..=fewer).map(|count| probability(all, count)).sum();
    (2.0 * tail).min(1.0)
}

/// Of `count` of `all` fair coins. In logarithms: 2⁻ⁿ is no number of its own from some thousand on.
fn probability(all: u64, count: u64) -> f64 {
    (ln_binomial(all, count) - all as f64 * std::f64::consts::LN_2).exp()
}

/// How likely a chi-square value with one degree of freedom is at least this large.
fn chi_square_tail(value: f64) -> f64 {
    ChiSquared::new(1.0).map_or(f64::NAN, |distribution| distribution.sf(value))
}

impl fmt::Display for PairedTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for PairedTest {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|test| test.name() == text).ok_or_else(|| {
            let known: Vec<&str> = Self::ALL.into_iter().map(Self::name).collect();
            format!("unknown test `{text}`: expected one of {}", known.join(", "))
        })
    }
}
