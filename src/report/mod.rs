//! From the records of a run to the tables that people read. Reads the run folder only.

mod findings;
mod render;
mod replay;
mod retest;
mod summary;

pub use findings::{FindingCount, FindingCounts};
pub use render::{Format, render};
pub use replay::{Comparison, TrialComparison, compare, render_comparison};
pub use retest::render_retest;
pub use summary::{Row, Summary, summarise};
