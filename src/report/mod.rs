//! From the records of a run to the tables that people read. Reads the run folder only.

mod compare;
mod findings;
mod paper;
mod render;
mod replay;
mod retest;
mod summary;
mod transitions;
mod words;

pub use compare::{Comparison, Method, Side, SideChoice, compare, render_comparison, why_apart};
pub use findings::{FindingCount, FindingCounts};
pub use paper::{PaperTable, paper_table, render_paper};
pub use render::{Format, render, render_all, render_counts, thousands, used};
pub use replay::{ReplayComparison, TrialComparison, compare_replay, render_replay};
pub use retest::render_retest;
pub use summary::{Row, Summary, summarise};
pub use transitions::{Transition, Transitions};
pub use words::{either, number_of};
