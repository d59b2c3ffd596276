//! What the tests show, said to the agent (paper, table 8 and appendix J).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::conversation::Interaction;

/// How often what the tests show is said to the agent after the last turn of its conversation, and how much of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Feedback {
    /// At most; 0: never. Ends earlier where no test fails any more.
    pub retries: u32,
    pub reveal: Reveal,
}

impl Feedback {
    /// The feedback turns of a debugging interaction where nobody says how many: with its first turn that makes three.
    const DEBUGGING: u32 = 2;

    /// How many turns of feedback a conversation has at most.
    pub fn turns(&self, interaction: Interaction) -> u32 {
        match self.retries {
            0 if interaction.is_debugging() => Self::DEBUGGING,
            retries => retries,
        }
    }
}

impl fmt::Display for Feedback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "feedback={}", self.retries)?;
        match self.reveal == Reveal::default() {
            true => Ok(()),
            false => write!(f, " reveal={}", self.reveal),
        }
    }
}

/// What the agent is told of a failed test case.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reveal {
    /// Its group and number.
    Names,
    /// Also its input, and what was expected.
    #[default]
    Cases,
    /// Also what came instead: the value, or the exception with its traceback.
    Traceback,
}

impl Reveal {
    pub const ALL: [Self; 3] = [Self::Names, Self::Cases, Self::Traceback];

    pub fn name(self) -> &'static str {
        match self {
            Self::Names => "names",
            Self::Cases => "cases",
            Self::Traceback => "traceback",
        }
    }
}

impl fmt::Display for Reveal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Reveal {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.into_iter().find(|reveal| reveal.name() == text);
        known.ok_or_else(|| format!("unknown `{text}`: expected names, cases or traceback"))
    }
}
