//! The stars of the paper's tables.

/// `*` below .05, `**` below .01, `***` below .001, otherwise nothing.
pub fn marker(p_value: f64) -> &'static str {
    match p_value {
        p if p < 0.001 => "***",
        p if p < 0.01 => "**",
        p if p < 0.05 => "*",
        _ => "",
    }
}
