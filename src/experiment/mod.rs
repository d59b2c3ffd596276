//! Experiment files: a matrix of cells, the tasks that they are run on, and the table that they make.

mod table;

use crate::conversation::Interaction;
use crate::plan::CellRequest;

pub use table::{Column, Share, Table};

/// A cell that an experiment asks for, and what it is run with.
#[derive(Debug, Clone, PartialEq)]
pub struct WantedCell {
    /// Where the file names it.
    pub name: Option<String>,
    pub asked: CellRequest,
    pub interactions: Vec<Interaction>,
    /// Line and column of the file, from 1: for what is found wrong later.
    pub place: (u64, u64),
}
