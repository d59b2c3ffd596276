//! Experiment files: a matrix of cells, the tasks that they are run on, and the table that they make.

mod table;

pub use table::{Column, Share, Table};
