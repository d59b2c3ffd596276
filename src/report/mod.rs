//! From the records of a run to the tables that people read. Reads the run folder only.

mod compare;
mod findings;
mod render;
mod replay;
mod retest;
mod summary;

pub use compare::{Comparison, Method, Side, SideChoice, compare, render_comparison};
pub use findings::{FindingCount, FindingCounts};
pub use render::{Format, render};
pub use replay::{ReplayComparison, TrialComparison, compare_replay, render_replay};
pub use retest::render_retest;
pub use summary::{Row, Summary, summarise};
