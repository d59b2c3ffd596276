//! What bounds an agent's turns, session and trial.

use serde::{Deserialize, Serialize};

/// Time limits, in seconds, the number of questions an agent may ask, and the room it may take. What bounds agent time does
/// not count the time in which the model is waited for; nor does silence.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// From the start of the agent to its first prompt.
    pub ready_seconds: f64,
    pub turn_seconds: f64,
    pub session_seconds: f64,
    /// Longest time without any output of the agent within a turn.
    pub quiet_seconds: f64,
    /// Most questions answered within one turn.
    pub answers: u32,
    /// Most that a trial may hold on the disk: workspace, home and temporary folder together. These are left out where they
    /// are the defaults: the cells of runs that were made before there were such limits keep their names.
    #[serde(default = "disk_bytes", skip_serializing_if = "is_default_of_bytes")]
    pub disk_bytes: u64,
    #[serde(default = "files", skip_serializing_if = "is_default_of_files")]
    pub files: u64,
    /// From the start of the workspace to the end of the session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial_seconds: Option<f64>,
    /// Agent time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_turn_seconds: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_session_seconds: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_trial_seconds: Option<f64>,
}

/// The default of [`Limits::disk_bytes`].
fn disk_bytes() -> u64 {
    4 << 30
}

/// The default of [`Limits::files`].
fn files() -> u64 {
    200_000
}

fn is_default_of_bytes(bytes: &u64) -> bool {
    *bytes == disk_bytes()
}

fn is_default_of_files(number: &u64) -> bool {
    *number == files()
}
