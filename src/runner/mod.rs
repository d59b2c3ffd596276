//! Conducting a run: from the plan to trials, each with exactly one recorded outcome.

mod attempt;
mod clock;
mod conduct;
pub mod critic;
mod disk;
pub mod estimate;
mod imports;
mod judging;
mod leftovers;
mod logs;
mod oracle;
mod rejudge;
mod removal;
pub mod replay;
mod request;
pub mod resolve;
pub mod retest;
mod scratch;
mod trial;

pub use conduct::{Conductor, RunError, Tally};
pub use leftovers::{Leftover, leftovers};
pub use request::Request;
pub use scratch::{Owner, Scratch};
pub use trial::{CellRuntime, CriticRuntime};
