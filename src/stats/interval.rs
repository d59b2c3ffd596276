//! Intervals and their level of confidence.

use serde::Serialize;
use statrs::distribution::{ContinuousCDF, Normal};

/// Where a value lies with some confidence. The unit is that of the value: shares are from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Interval {
    pub low: f64,
    pub high: f64,
}

/// How sure an interval is: a share strictly between 0 and 1, 0.95 by default.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Level(f64);

impl Level {
    /// `None` for what is no share strictly between 0 and 1.
    pub fn new(level: f64) -> Option<Self> {
        (level > 0.0 && level < 1.0).then_some(Self(level))
    }

    /// In percent, such as 95.
    pub fn percent(self) -> f64 {
        100.0 * self.0
    }

    /// The two-sided quantile of the normal distribution: 1.96 for 0.95.
    pub(super) fn z(self) -> f64 {
        Normal::standard().inverse_cdf(f64::midpoint(1.0, self.0))
    }
}

impl Default for Level {
    fn default() -> Self {
        Self(0.95)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_shares_are_levels() {
        for level in [0.0, 1.0, 95.0, -0.5, f64::NAN] {
            assert_eq!(Level::new(level), None, "{level}");
        }
        assert_eq!(Level::new(0.95), Some(Level::default()));
    }
}
