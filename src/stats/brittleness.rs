//! How much conversations cost.

/// The mean of what each conversation differs in from the single turn (paper, tables 17 and 18), in the unit of the values; the
/// lower, the more brittle. `None` without conversations.
pub fn brittleness(single: f64, conversations: &[f64]) -> Option<f64> {
    let sum: f64 = conversations.iter().map(|value| value - single).sum();
    (!conversations.is_empty()).then(|| sum / conversations.len() as f64)
}
