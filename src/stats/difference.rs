//! The difference of two paired shares.

use super::{Discordant, Interval, Level};

/// How much larger the second side's share is than the first's, and where that lies: Bonett and Price's adjusted Wald interval
/// (2012), one pair added to each kind of discordant pairs; Fagerland, Lydersen and Laake (2014) recommend it for paired
/// shares. From −1 to 1; `None` without pairs.
pub fn difference(pairs: Discordant, n: u64, level: Level) -> Option<(f64, Interval)> {
    if n == 0 {
        return None;
    }
    let (b, c) = (pairs.b as f64, pairs.c as f64);
    let adjusted = n as f64 + 2.0;
    let (first, second) = ((b + 1.0) / adjusted, (c + 1.0) / adjusted);
    let middle = second - first;
    let half = level.z() * ((first + second - middle * middle) / adjusted).sqrt();
    let interval = Interval {
        low: (middle - half).max(-1.0),
        high: (middle + half).min(1.0),
    };
    Some(((c - b) / n as f64, interval))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Airway hyper-responsiveness of 21 children before and after a transplantation (Bentur and others), the example of
    /// Fagerland, Lydersen and Laake (2014): −0.286, from −0.508 to −0.013, there with the first side less the second.
    #[test]
    fn a_published_example_comes_out() {
        let (middle, interval) = difference(Discordant { b: 1, c: 7 }, 21, Level::default()).unwrap();
        let rounded = |value: f64| (value * 1000.0).round() / 1000.0;
        assert_eq!(
            (rounded(middle), rounded(interval.low), rounded(interval.high)),
            (0.286, 0.013, 0.508)
        );
        assert_eq!(difference(Discordant::default(), 0, Level::default()), None);
    }
}
