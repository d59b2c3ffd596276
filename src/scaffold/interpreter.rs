//! Finds a Python that an agent can be installed with.

use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Versions of Python, such as `>=3.10,<3.13`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PythonRange {
    text: String,
    /// First version in, first version out.
    from: (u32, u32),
    below: (u32, u32),
}

/// A Python on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Python {
    pub path: PathBuf,
    pub version: (u32, u32),
}

/// No Python of the range is on the search path.
#[derive(Debug, thiserror::Error)]
#[error("no Python {range} on the search path ({found}): install one, such as python3.12")]
pub struct NoPython {
    pub range: String,
    pub found: String,
}

impl PythonRange {
    /// Reads `>=A.B` and `<C.D`; what is not said is not bounded.
    pub fn parse(text: &str) -> Self {
        let mut range = Self {
            text: text.to_owned(),
            from: (3, 0),
            below: (4, 0),
        };
        for part in text.split(',').map(str::trim) {
            if let Some(version) = part.strip_prefix(">=").and_then(version) {
                range.from = version;
            } else if let Some(version) = part.strip_prefix('<').and_then(version) {
                range.below = version;
            }
        }
        range
    }

    pub fn contains(&self, version: (u32, u32)) -> bool {
        (self.from..self.below).contains(&version)
    }
}

fn version(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.trim().split_once('.')?;
    Some((major.parse().ok()?, minor.split('.').next()?.parse().ok()?))
}

/// The first Python of the range on the search path.
pub fn find_python(range: &PythonRange) -> Result<Python, NoPython> {
    let mut found = Vec::new();
    // 3.11 first: it is the one that the pinned agents were tried with.
    for name in [
        "python3.11",
        "python3.12",
        "python3.10",
        "python3",
        "python3.13",
        "python3.14",
        "python",
    ] {
        let output = Command::new(name)
            .args([
                "-c",
                "import sys; print('%d.%d' % sys.version_info[:2]); print(sys.executable)",
            ])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .output();
        let Ok(output) = output else { continue };
        let text = String::from_utf8_lossy(&output.stdout);
        let mut lines = text.lines();
        let (Some(version), Some(path)) = (lines.next().and_then(version), lines.next()) else {
            continue;
        };
        if range.contains(version) {
            return Ok(Python {
                path: PathBuf::from(path),
                version,
            });
        }
        found.push(format!("{name} is {}.{}", version.0, version.1));
    }
    let found = if found.is_empty() {
        "there is none at all".to_owned()
    } else {
        found.join(", ")
    };
    Err(NoPython {
        range: range.text.clone(),
        found,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_has_a_first_version_and_a_first_one_too_many() {
        let range = PythonRange::parse(">=3.10,<3.13");
        assert!(range.contains((3, 10)) && range.contains((3, 12)));
        assert!(!range.contains((3, 9)) && !range.contains((3, 13)));
        let error = find_python(&PythonRange::parse(">=3.98,<3.99"))
            .unwrap_err()
            .to_string();
        assert!(error.contains(">=3.98,<3.99"), "{error}");
    }
}
