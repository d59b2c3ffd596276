//! Faults of agents, models and disks, through the whole program: each ends in the outcome that a user would call right,
//! within its limits, leaves nothing, and the run goes on.

mod agents;
mod arena;
#[path = "../common/mod.rs"]
mod common;
mod disk;
mod model;
