//! `mtsec-agents`: runs real coding agents over multi-turn secure-coding tasks and judges what they leave.
//!
//! Layers, each allowed to use only those above it: words (pure), tools, actors, conduct, command line. See
//! `DESIGN.md`; `tests/layers.rs` holds the code to it.

// Words: pure data, no I/O.
pub mod budget;
pub mod canary;
pub mod conversation;
pub mod event;
pub mod finding;
pub mod plan;
pub mod retest;
pub mod task;
pub mod trial;
pub mod verdict;

// Tools.
pub mod blob;
pub mod dataset;
pub mod diagnosis;
pub mod docker;
pub mod experiment;
pub mod gateway;
pub mod keys;
pub mod process;
pub mod pty;
pub mod python;
pub mod recipe;
pub mod stats;
pub mod store;
pub mod transcript;
pub mod workspace;
pub mod yaml;

// Actors.
pub mod containment;
pub mod sandbox;
pub mod scaffold;
pub mod tester;

// Conduct.
pub mod report;
pub mod runner;

// The command line.
pub mod cli;
pub mod console;
pub mod exit_code;
