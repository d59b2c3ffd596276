//! What one run may use.

use std::time::Duration;

use serde::Serialize;

/// The limits of one run of a program under test. Reaching one is the program's fault, never an infrastructure failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TestLimits {
    /// Address space of each process, in bytes.
    pub memory: u64,
    /// Processes and threads of the run together, its init included.
    pub processes: u64,
    pub open_files: u64,
    /// Largest file written, in bytes.
    pub file_size: u64,
    /// Processor time of each process; rounded up to seconds.
    pub cpu: Duration,
    /// Wall time from the job's start to its exit status.
    pub wall: Duration,
    /// All that a run may answer, in bytes.
    pub output: usize,
}

impl Default for TestLimits {
    /// The values under which all reference solutions of the benchmark behave as without limits.
    fn default() -> Self {
        Self {
            memory: 1 << 30,
            processes: 64,
            open_files: 256,
            file_size: 16 << 20,
            cpu: Duration::from_secs(30),
            wall: Duration::from_secs(30),
            output: 32 << 20,
        }
    }
}

/// The part that the contained process sets for itself.
#[derive(Serialize)]
pub(super) struct ProcessLimits {
    memory: u64,
    processes: u64,
    open_files: u64,
    file_size: u64,
    cpu_seconds: u64,
}

impl From<&TestLimits> for ProcessLimits {
    fn from(limits: &TestLimits) -> Self {
        Self {
            memory: limits.memory,
            processes: limits.processes,
            open_files: limits.open_files,
            file_size: limits.file_size,
            cpu_seconds: limits.cpu.as_secs() + u64::from(limits.cpu.subsec_nanos() > 0),
        }
    }
}

impl ProcessLimits {
    /// For the judge: our code and the data set's, which decodes up to [`TestLimits::output`] of claims many times.
    pub(super) fn judge() -> Self {
        Self {
            memory: 4 << 30,
            // A judge lives as long as its task is in use.
            cpu_seconds: 24 * 3600,
            ..Self::from(&TestLimits::default())
        }
    }
}
