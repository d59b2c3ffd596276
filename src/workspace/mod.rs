//! The folder an agent works in: starter files, snapshots after each turn, and what changed between them.

mod diff;
mod drift;
mod manifest;
mod snapshot;
mod starter;

pub use diff::diff;
pub use drift::drift;
pub use manifest::{Entry, Kind, Manifest};
pub use snapshot::Snapshotter;
pub use starter::{lay_out, starter_files};
