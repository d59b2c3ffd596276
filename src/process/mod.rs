//! Processes of a session: who descends from whom, how all of them end, and what they are contained in.

pub mod children;
pub mod containment;
pub mod mark;
pub mod pipes;
pub mod shepherd;
pub mod system;
pub mod tree;

pub use containment::{Bare, Containment, Entry, Room, Shown, Trace, Wrapped};
pub use shepherd::{SHEPHERD, shepherd_main};
