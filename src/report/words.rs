//! Counts in sentences.

/// Such as `1 trial` or `2 trials`.
pub fn number_of(count: usize, what: &str) -> String {
    format!("{count} {what}{}", either(count, "", "s"))
}

/// The word that goes with one, or that with any other number.
pub fn either<'a>(count: usize, one: &'a str, many: &'a str) -> &'a str {
    match count {
        1 => one,
        _ => many,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_no_plural() {
        let shown = [0, 1, 2].map(|count| number_of(count, "trial"));
        assert_eq!(shown, ["0 trials", "1 trial", "2 trials"]);
        assert_eq!(
            [0, 1, 2].map(|count| either(count, "it", "them")),
            ["them", "it", "them"]
        );
    }
}
