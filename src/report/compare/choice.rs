//! What a user names as one side of a comparison.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// What rows of a run differ in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dimension {
    Scaffold,
    Model,
    Options,
    Interaction,
    Cell,
}

impl Dimension {
    pub const ALL: [Self; 5] = [
        Self::Scaffold,
        Self::Model,
        Self::Options,
        Self::Interaction,
        Self::Cell,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Scaffold => "scaffold",
            Self::Model => "model",
            Self::Options => "options",
            Self::Interaction => "interaction",
            Self::Cell => "cell",
        }
    }
}

/// `RUN[,KEY=VALUE]…`: a run's folder, and which of its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SideChoice {
    pub run: PathBuf,
    /// A row must have all of them.
    pub wanted: Vec<(Dimension, String)>,
}

impl FromStr for SideChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // A folder may have a comma in its name.
        if Path::new(text).is_dir() {
            return Ok(Self {
                run: text.into(),
                wanted: Vec::new(),
            });
        }
        let mut parts = text.split(',');
        let run = PathBuf::from(parts.next().unwrap_or_default());
        let wanted = parts.map(|part| {
            let known: Vec<&str> = Dimension::ALL.into_iter().map(Dimension::name).collect();
            let (key, value) = part
                .split_once('=')
                .ok_or_else(|| format!("`{part}` is no KEY=VALUE, with a key of {}", known.join(", ")))?;
            let dimension = Dimension::ALL
                .into_iter()
                .find(|dimension| dimension.name() == key.trim());
            let dimension =
                dimension.ok_or_else(|| format!("unknown key `{key}`: expected one of {}", known.join(", ")))?;
            Ok((dimension, value.trim().to_owned()))
        });
        Ok(Self {
            wanted: wanted.collect::<Result<_, String>>()?,
            run,
        })
    }
}

impl fmt::Display for SideChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.run.display())?;
        self.wanted
            .iter()
            .try_for_each(|(dimension, value)| write!(f, ",{}={value}", dimension.name()))
    }
}
