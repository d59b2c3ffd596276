//! What a user names as one side of a comparison.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::plan::Key;

/// What rows of a run differ in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dimension {
    Scaffold,
    Model,
    /// All of them that differ from the recipe's defaults, in words.
    Options,
    Interaction,
    Cell,
    /// In the experiment file of the run.
    Name,
    /// The one option that is no [`Key`].
    Dialect,
    /// A single option.
    Option(Key),
}

impl Dimension {
    /// By which rows are told.
    pub const TOLD: [Self; 5] = [
        Self::Scaffold,
        Self::Model,
        Self::Options,
        Self::Interaction,
        Self::Cell,
    ];

    /// All, in the order in which they are listed.
    pub fn all() -> impl Iterator<Item = Self> {
        let options = Key::ALL.into_iter().filter(|key| Self::of_key(*key).is_option());
        Self::TOLD
            .into_iter()
            .chain([Self::Name])
            .chain(options.map(Self::Option))
            .chain([Self::Dialect])
    }

    /// The dimension of what an experiment file tells cells apart by.
    fn of_key(key: Key) -> Self {
        match key {
            Key::Scaffold => Self::Scaffold,
            Key::Model => Self::Model,
            Key::Interaction => Self::Interaction,
            key => Self::Option(key),
        }
    }

    /// Whether it is one of what [`Self::Options`] tells together.
    pub fn is_option(self) -> bool {
        matches!(self, Self::Option(_) | Self::Dialect)
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Scaffold => "scaffold",
            Self::Model => "model",
            Self::Options => "options",
            Self::Interaction => "interaction",
            Self::Cell => "cell",
            Self::Name => "name",
            Self::Dialect => "dialect",
            Self::Option(key) => key.name(),
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
        // Values and folders may have commas: a choice begins where a word and `=` follow one.
        let starts: Vec<usize> = text
            .match_indices(',')
            .map(|(at, _)| at)
            .filter(|at| begins_choice(&text[at + 1..]))
            .collect();
        let (run, mut rest) = match starts.first() {
            Some(first) if !Path::new(text).is_dir() => (&text[..*first], &starts[..]),
            _ => (text, &[][..]),
        };
        let mut wanted = Vec::new();
        while let Some((start, later)) = rest.split_first() {
            let end = later.first().copied().unwrap_or(text.len());
            wanted.push(choice(&text[start + 1..end])?);
            rest = later;
        }
        Ok(Self {
            wanted,
            run: run.into(),
        })
    }
}

fn begins_choice(text: &str) -> bool {
    let word = text.trim_start().split('=').next().unwrap_or_default();
    word.len() < text.trim_start().len()
        && !word.is_empty()
        && word
            .trim_end()
            .chars()
            .all(|letter| letter.is_ascii_lowercase() || letter == '_')
}

fn choice(text: &str) -> Result<(Dimension, String), String> {
    let (key, value) = text.split_once('=').unwrap_or((text, ""));
    let dimension = Dimension::all().find(|dimension| dimension.name() == key.trim());
    let dimension = dimension.ok_or_else(|| {
        let known: Vec<&str> = Dimension::all().map(Dimension::name).collect();
        format!("unknown key `{}`: expected one of {}", key.trim(), known.join(", "))
    })?;
    Ok((dimension, value.trim().to_owned()))
}

impl fmt::Display for SideChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.run.display())?;
        self.wanted
            .iter()
            .try_for_each(|(dimension, value)| write!(f, ",{}={value}", dimension.name()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_are_parts_of_folders_and_values() {
        let parsed: SideChoice = "jobs/a,b,options=x dialect=openai-chat,openai-responses, model=m,cell=1f"
            .parse()
            .unwrap();
        let options = "x dialect=openai-chat,openai-responses".to_owned();
        assert_eq!(parsed.run, PathBuf::from("jobs/a,b"));
        let (model, cell) = ((Dimension::Model, "m".to_owned()), (Dimension::Cell, "1f".to_owned()));
        assert_eq!(parsed.wanted, [(Dimension::Options, options), model, cell]);
        let by_option: SideChoice = "jobs/a,edit_format=whole,policy=system".parse().unwrap();
        let wanted = [(Key::EditFormat, "whole"), (Key::Policy, "system")];
        assert_eq!(
            by_option.wanted,
            wanted.map(|(key, value)| (Dimension::Option(key), value.to_owned()))
        );
        assert_eq!(
            "jobs/a,single".parse::<SideChoice>().unwrap().run,
            PathBuf::from("jobs/a,single")
        );
        assert!(
            "jobs/a,colour=red"
                .parse::<SideChoice>()
                .unwrap_err()
                .contains("unknown key `colour`")
        );
    }
}
