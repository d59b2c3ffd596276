//! Agents that have no terminal: started with a pipe for each of their streams.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tokio::process::{ChildStderr, ChildStdin, ChildStdout};

use super::children;

/// A process and its streams.
pub struct Piped {
    pub stdin: ChildStdin,
    pub stdout: ChildStdout,
    pub stderr: ChildStderr,
    pub pid: i32,
    /// To be waited for once it has ended.
    pub child: Child,
}

/// Starts a command in a session of its own, with exactly this environment. Must be called within a runtime.
///
/// # Errors
/// It cannot be started.
pub fn spawn(
    argv: Vec<OsString>,
    env: impl IntoIterator<Item = (OsString, OsString)>,
    folder: &Path,
) -> std::io::Result<Piped> {
    let mut argv = argv.into_iter();
    let program = argv.next().ok_or(std::io::ErrorKind::InvalidInput)?;
    let mut command = Command::new(program);
    command.args(argv).env_clear().envs(env).current_dir(folder);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    // SAFETY: only an async-signal-safe call between fork and exec.
    unsafe {
        command.pre_exec(|| Ok(rustix::process::setsid().map(drop)?));
    }
    let mut child = children::spawn(&mut command)?;
    let streams = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (Some(stdin), Some(stdout), Some(stderr)) = streams else {
        return Err(std::io::Error::other("the process has no pipes"));
    };
    Ok(Piped {
        stdin: ChildStdin::from_std(stdin)?,
        stdout: ChildStdout::from_std(stdout)?,
        stderr: ChildStderr::from_std(stderr)?,
        pid: child.id() as i32,
        child,
    })
}
