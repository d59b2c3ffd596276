//! The statistics of the paper's tables, on counts: shares and their uncertainty, paired tests, differences.
//!
//! Nothing here knows of runs or trials; checked against values of SciPy and statsmodels.

mod brittleness;
mod difference;
mod holm;
mod interval;
mod marker;
mod mcnemar;
mod pearson;
mod proportion;

pub use brittleness::brittleness;
pub use difference::difference;
pub use holm::holm;
pub use interval::{Interval, Level};
pub use marker::marker;
pub use mcnemar::{Discordant, PairedTest};
pub use pearson::{Correlation, pearson};
pub use proportion::Proportion;

#[cfg(test)]
mod published;
#[cfg(test)]
mod tests;
