//! What the process tells its caller. Documented in the README.

use std::process::ExitCode;

/// The end of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Everything asked for was done: all trials have a verdict.
    Done = 0,
    /// A bug or an unexpected failure of the machine.
    Internal = 1,
    /// The command line, a task, a recipe or another input is wrong; nothing was started.
    BadInput = 2,
    /// Something needed is not there: Python, the agent, a key, kernel features; nothing was started.
    MissingPrerequisite = 3,
    /// The run is over but at least one trial ended in an infrastructure failure.
    InfrastructureFailures = 4,
    /// A validation found tasks that do not hold what they promise.
    Invalid = 5,
    /// The run's budget is used up and trials are left; `resume` with a larger one goes on.
    BudgetUsedUp = 6,
    /// `retest` or `replay`: something did not come out as it is recorded.
    Differs = 7,
    /// Ctrl-C or SIGTERM: what was finished is kept, `resume` goes on.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}
