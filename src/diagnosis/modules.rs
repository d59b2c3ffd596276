//! The modules that are known to exist, whether or not the tester has them: an import of one was not made up.

use std::collections::HashMap;
use std::sync::LazyLock;

const STANDARD: &str = include_str!("../../scaffolds/modules/standard.txt");
const PUBLISHED: &str = include_str!("../../scaffolds/modules/published.txt");

/// Where a module is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The standard library of some version of Python, 2.7 among them.
    Standard,
    /// A package in wide use.
    Published,
}

static KNOWN: LazyLock<HashMap<&str, Origin>> = LazyLock::new(|| {
    let published = names(PUBLISHED).map(|name| (name, Origin::Published));
    let standard = names(STANDARD).map(|name| (name, Origin::Standard));
    published.chain(standard).collect()
});

/// Where a module is from, by its top-level name, such as `os` or `yaml`; `None`: it is not known.
pub fn origin(top: &str) -> Option<Origin> {
    KNOWN.get(top).copied()
}

/// The names of a list: one on each line, and comments.
fn names(list: &str) -> impl Iterator<Item = &str> {
    list.lines().filter(|line| !line.starts_with('#'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_hold_sorted_names_each_in_one_place() {
        for list in [STANDARD, PUBLISHED] {
            let names: Vec<&str> = names(list).collect();
            for pair in names.windows(2) {
                assert!(pair[0] < pair[1], "{pair:?}");
            }
            for name in names {
                assert!(
                    name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
                        && !name.starts_with(|c: char| c.is_ascii_digit()),
                    "`{name}` is no top-level name"
                );
            }
        }
        let twice: Vec<&str> = names(PUBLISHED)
            .filter(|name| origin(name) == Some(Origin::Standard))
            .collect();
        assert_eq!(twice, Vec::<&str>::new());
    }

    #[test]
    fn packages_are_known_by_the_names_they_are_imported_by() {
        for name in [
            "numpy", "cv2", "PIL", "yaml", "bs4", "Crypto", "OpenSSL", "MySQLdb", "google",
        ] {
            assert_eq!(origin(name), Some(Origin::Published), "{name}");
        }
        for name in ["imp", "distutils", "cgi", "urllib2", "tomllib", "__future__"] {
            assert_eq!(origin(name), Some(Origin::Standard), "{name}");
        }
        for name in ["beautifulsoup4", "left_pad_pro", "database", "utils", ""] {
            assert_eq!(origin(name), None, "{name}");
        }
    }
}
