//! From the records of a run to the tables that people read. Reads the run folder only.

mod render;
mod summary;

pub use render::{Format, render};
pub use summary::{Row, Summary, summarise};
