//! A share of some trials, and how uncertain it is.

use super::{Interval, Level};

/// `count` of `n`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proportion {
    pub count: u64,
    pub n: u64,
}

impl Proportion {
    /// From 0 to 1; `None` of nothing.
    pub fn share(self) -> Option<f64> {
        (self.n > 0).then(|| self.count as f64 / self.n as f64)
    }

    /// Bernoulli's standard error, √(p(1−p)/n), which the paper's ± are in the cells that can be recomputed.
    pub fn standard_error(self) -> Option<f64> {
        let share = self.share()?;
        Some((share * (1.0 - share) / self.n as f64).sqrt())
    }

    /// Wilson's score interval (without continuity correction): it holds near 0 and 1 as well, where ± does not.
    pub fn wilson(self, level: Level) -> Option<Interval> {
        let (share, n, z) = (self.share()?, self.n as f64, level.z());
        let middle = (share + z * z / (2.0 * n)) / (1.0 + z * z / n);
        let half = z / (1.0 + z * z / n) * (share * (1.0 - share) / n + z * z / (4.0 * n * n)).sqrt();
        // At 0 and n of n the bound is exactly 0 or 1, which rounding misses.
        Some(Interval {
            low: if self.count == 0 { 0.0 } else { middle - half },
            high: if self.count == self.n { 1.0 } else { middle + half },
        })
    }
}
