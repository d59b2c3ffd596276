//! Pearson's correlation.

use serde::Serialize;
use statrs::distribution::{ContinuousCDF, StudentsT};

/// How far two values go together.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Correlation {
    /// From −1 to 1.
    pub r: f64,
    /// Two-sided, by Student's t with n − 2 degrees of freedom; `None` of fewer than three pairs.
    pub p_value: Option<f64>,
}

/// The correlation of paired values; `None` where either does not vary. With 0 and 1 for one of them it is the point-biserial one.
pub fn pearson(pairs: &[(f64, f64)]) -> Option<Correlation> {
    let n = pairs.len() as f64;
    let mean = |value: fn(&(f64, f64)) -> f64| pairs.iter().map(value).sum::<f64>() / n;
    let (first, second) = (mean(|pair| pair.0), mean(|pair| pair.1));
    let (mut both, mut of_first, mut of_second) = (0.0, 0.0, 0.0);
    for (one, other) in pairs {
        both += (one - first) * (other - second);
        of_first += (one - first).powi(2);
        of_second += (other - second).powi(2);
    }
    // Also without any pair: nothing varies.
    if !(of_first > 0.0 && of_second > 0.0) {
        return None;
    }
    let r = (both / (of_first.sqrt() * of_second.sqrt())).clamp(-1.0, 1.0);
    let freedom = n - 2.0;
    let p_value = StudentsT::new(0.0, 1.0, freedom).ok().map(|distribution| {
        let t = r.abs() * (freedom / (1.0 - r * r)).sqrt();
        // All on one line: t has no bound.
        if t.is_finite() { 2.0 * distribution.sf(t) } else { 0.0 }
    });
    Some(Correlation { r, p_value })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SciPy 1.17, `scipy.stats.pearsonr`.
    #[test]
    fn correlations_are_the_reference_values() {
        let alternating = |n: usize, y: fn(usize) -> bool| -> Vec<(f64, f64)> {
            (0..n).map(|i| (i as f64, f64::from(u8::from(y(i))))).collect()
        };
        let few = [3.5, 1.25, 9.0, 4.0, 4.0, 7.0, 12.0, 2.0, 2.0, 30.0];
        let hits = [1.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0];
        let reference = [
            (
                vec![(1.0, 0.0), (2.0, 1.0), (3.0, 0.0), (4.0, 1.0), (5.0, 1.0)],
                0.5773502691896258,
                0.30806800925035743,
            ),
            (
                few.into_iter().zip(hits).collect(),
                -0.16810142003538048,
                0.6424942655479134,
            ),
            (
                alternating(100, |i| (i * 37) % 100 < 40),
                -0.028285685567099126,
                0.7799712199099605,
            ),
            (
                alternating(400, |i| ((i * i * 7 + i) % 400) as f64 > 150.0 + 0.2 * i as f64),
                -0.0710711847391568,
                0.15596609371404258,
            ),
            (
                vec![(1.0, 0.0), (2.0, 1.0), (3.0, 1.0)],
                0.8660254037844388,
                0.3333333333333331,
            ),
        ];
        for (pairs, r, p) in reference {
            let found = pearson(&pairs).unwrap();
            assert!((found.r - r).abs() < 1e-9, "{found:?} is not {r}");
            assert!((found.p_value.unwrap() - p).abs() < 1e-9, "{found:?} is not {p}");
        }
    }

    #[test]
    fn what_does_not_vary_correlates_with_nothing() {
        assert_eq!(pearson(&[]), None);
        assert_eq!(pearson(&[(1.0, 1.0), (2.0, 1.0), (3.0, 1.0)]), None);
        assert_eq!(pearson(&[(1.0, 0.0), (1.0, 1.0)]), None);
        let line = pearson(&[(1.0, 0.0), (2.0, 1.0)]).unwrap();
        assert!((line.r - 1.0).abs() < 1e-12 && line.p_value.is_none(), "{line:?}");
        let line = pearson(&[(1.0, 2.0), (2.0, 4.0), (3.0, 6.0)]).unwrap();
        assert!(line.r > 1.0 - 1e-12 && line.p_value.unwrap() < 1e-6, "{line:?}");
    }
}
