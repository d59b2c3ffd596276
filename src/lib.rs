//! `mtsec-agents`: runs real coding agents over multi-turn secure-coding tasks and judges what they leave.
//!
//! Layers, each allowed to use only those above it: words (pure), tools, actors, conduct. See `DESIGN.md`.

// Words: pure data, no I/O.
pub mod conversation;
pub mod plan;
pub mod task;
pub mod trial;
pub mod verdict;

// Tools.
pub mod gateway;
pub mod process;
pub mod pty;
pub mod python;

// Actors.
pub mod sandbox;
pub mod scaffold;
pub mod tester;
