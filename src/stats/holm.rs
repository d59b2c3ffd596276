//! Holm's correction for many tests.

/// The p-values as they are after Holm's step-down correction, in the order given: the chance that any of them is below some
/// bound by accident is no larger than the bound, however many tests there are.
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|first, second| p_values[*first].total_cmp(&p_values[*second]));
    let mut corrected = vec![0.0; p_values.len()];
    let mut largest: f64 = 0.0;
    for (rank, index) in order.into_iter().enumerate() {
        let left = (p_values.len() - rank) as f64;
        // A larger p-value is never made smaller than a smaller one.
        largest = largest.max((left * p_values[index]).min(1.0));
        corrected[index] = largest;
    }
    corrected
}
