//! From the records of a run to the tables that people read. Reads the run folder only.

mod breakdown;
mod brittle;
mod compare;
mod correlation;
mod difficulty;
mod findings;
#[cfg(test)]
mod fixtures;
mod grid;
mod import;
mod lines;
mod published;
mod refusals;
mod render;
mod replay;
mod retest;
mod retries;
mod summary;
mod table;
mod transitions;
mod words;

pub use breakdown::{By, breakdown};
pub use brittle::brittleness_ranking;
pub use compare::{Comparison, Method, Side, SideChoice, compare, render_comparison, why_apart};
pub use correlation::correlations;
pub use difficulty::difficulty;
pub use findings::{FindingCount, FindingCounts};
pub use grid::{Grid, render_grids};
pub use import::{ImportError, read_published};
pub use published::{Published, PublishedLine};
pub use refusals::refusals;
pub use render::{Format, render, render_all, render_counts, thousands, used};
pub use replay::{ReplayComparison, TrialComparison, compare_replay, render_replay};
pub use retest::render_retest;
pub use retries::{AfterRetries, Retries};
pub use summary::{Row, Summary, summarise};
pub use table::{ResultTable, TableError, experiment_table, paper_table, render_brief, render_table};
pub use transitions::{Transition, Transitions};
pub use words::{either, number_of};
