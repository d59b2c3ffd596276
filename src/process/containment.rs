//! What an agent runs in.

use std::path::Path;

/// The places of a session that the agent may write to.
#[derive(Debug, Clone, Copy)]
pub struct Room<'a> {
    pub workspace: &'a Path,
    pub home: &'a Path,
    pub tmp: &'a Path,
    /// Its own histories, no one else's.
    pub logs: &'a Path,
}

/// Wraps an agent's command line in whatever keeps it in its room. The wrapped command runs under the shepherd, inherits
/// the agent's environment and must, in the end, become the agent or be its parent.
pub trait Containment: Send + Sync {
    fn wrap(&self, argv: Vec<String>, room: Room<'_>) -> Vec<String>;
}

/// No containment: the agent is an ordinary process of the user, with a private home and a clean environment.
#[derive(Debug, Clone, Copy, Default)]
pub struct Bare;

impl Containment for Bare {
    fn wrap(&self, argv: Vec<String>, _room: Room<'_>) -> Vec<String> {
        argv
    }
}
