//! From the records of a run to the tables that people read. Reads the run folder only.

mod compare;
mod findings;
#[cfg(test)]
mod fixtures;
mod import;
mod published;
mod render;
mod replay;
mod retest;
mod retries;
mod summary;
mod table;
mod transitions;
mod words;

pub use compare::{Comparison, Method, Side, SideChoice, compare, render_comparison, why_apart};
pub use findings::{FindingCount, FindingCounts};
pub use import::{ImportError, read_published};
pub use published::{Published, PublishedLine};
pub use render::{Format, render, render_all};
pub use replay::{ReplayComparison, TrialComparison, compare_replay, render_replay};
pub use retest::render_retest;
pub use retries::{AfterRetries, Retries};
pub use summary::{Row, Summary, summarise};
pub use table::{ResultTable, TableError, experiment_table, paper_table, render_table};
pub use transitions::{Transition, Transitions};
pub use words::{either, number_of};
