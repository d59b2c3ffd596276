//! Why a tree could not be judged.

use super::environment::EnvironmentError;
use crate::python::PythonError;
use crate::sandbox::SandboxError;
use crate::sandbox::seccomp::NoFilter;

/// No verdict. Whatever the code under test does is a verdict; this is about the task or about our own means.
#[derive(Debug, thiserror::Error)]
pub enum TesterError {
    /// The task itself cannot be used.
    #[error("the tests of task `{task}` cannot be used: {reason}")]
    Broken { task: String, reason: BrokenTask },
    #[error("the environment of task `{task}` could not be prepared")]
    Environment {
        task: String,
        #[source]
        error: EnvironmentError,
    },
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    #[error(transparent)]
    Python(#[from] PythonError),
    #[error(transparent)]
    Filter(#[from] NoFilter),
    /// The judge of the task broke its protocol or did not answer.
    #[error("the judge of task `{task}` failed: {detail}")]
    Judge { task: String, detail: String },
}

impl TesterError {
    /// Whether the task is at fault: it will fail in the same way every time.
    pub fn is_broken_task(&self) -> bool {
        matches!(
            self,
            Self::Broken { .. }
                | Self::Environment {
                    error: EnvironmentError::Refused(_),
                    ..
                }
        )
    }
}

/// What is wrong with a task's tests.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BrokenTask {
    #[error("it has no test cases")]
    NoTests,
    #[error("`{0}` is not the name of a function")]
    Function(String),
    #[error("its setup does not run: {0}")]
    Setup(String),
    #[error("its test cases do not evaluate: {0}")]
    Cases(String),
    #[error("its group `{0}` has no cases")]
    EmptyGroup(String),
    /// The inputs could not be told to a run without the expected values.
    #[error("its expected values cannot be kept from the code under test ({0}): write `testcases` as a literal table")]
    Forgeable(String),
    #[error("its tests do not finish within {0} s")]
    TimedOut(u64),
    #[error("its tests end the interpreter")]
    Died,
}
