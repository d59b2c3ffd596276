//! Which turns' code is judged, where each answer holds a whole program or a part of it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::conversation::Interaction;

/// When the code of all turns so far is put together, in their order: later definitions win.
///
/// The paper does it for expansion, whose turns may each add a part. The benchmark's kit does it for every interaction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Concat {
    #[default]
    Expansion,
    All,
    Never,
}

impl Concat {
    pub const ALL: [Self; 3] = [Self::Expansion, Self::All, Self::Never];

    pub fn name(self) -> &'static str {
        match self {
            Self::Expansion => "expansion",
            Self::All => "all",
            Self::Never => "never",
        }
    }

    /// Whether it is done in conversations of this kind.
    pub fn covers(self, interaction: Interaction) -> bool {
        match self {
            Self::Expansion => interaction == Interaction::Expansion,
            Self::All => true,
            Self::Never => false,
        }
    }
}

impl fmt::Display for Concat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Concat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut known = Self::ALL.into_iter();
        known
            .find(|concat| concat.name() == text)
            .ok_or_else(|| format!("`{text}` is none of expansion, all and never"))
    }
}
