//! Conducting a run: from the plan to trials, each with exactly one recorded outcome.

mod attempt;
mod conduct;
mod logs;
mod rejudge;
pub mod replay;
mod request;
pub mod resolve;
pub mod retest;
mod scratch;
mod trial;

pub use conduct::{Conductor, RunError, Tally};
pub use request::Request;
pub use scratch::{Scratch, remove_leftovers};
pub use trial::CellRuntime;
