//! The shepherd: our own program, started again, between the terminal and one agent.
//!
//! It leads the terminal's session and is the subreaper of everything that the agent starts: what forks twice or opens a
//! session of its own becomes the shepherd's child and can be found. When the agent has ended, or when whoever drives
//! it is gone (even by SIGKILL: the terminal hangs up, and the parent's pidfd turns readable), it kills what is left
//! and leaves. There is no channel to it but its arguments, signals and the report that it leaves.

use std::ffi::OsString;
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde::{Deserialize, Serialize};

use super::tree;

/// The hidden subcommand.
pub const SHEPHERD: &str = "__shepherd";

/// Exit status when the agent could not be started.
pub const NOT_STARTED: i32 = 127;

/// What the shepherd leaves in its report file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The agent's exit status, negative for a signal.
    pub status: i32,
    /// Processes that the agent left behind and that the shepherd killed.
    pub strays: u32,
}

/// The command line of a shepherd over `argv`; `program` is our own executable.
pub fn command(program: &Path, report: &Path, argv: Vec<String>) -> Vec<OsString> {
    let mut line = vec![
        program.into(),
        SHEPHERD.into(),
        std::process::id().to_string().into(),
        report.into(),
    ];
    line.extend(argv.into_iter().map(OsString::from));
    line
}

/// Runs a shepherd: `args` are the driver's process id, the report's path, and the agent's command line.
/// Returns the exit status of the process.
pub fn shepherd_main(args: &[OsString]) -> i32 {
    let [driver, report, program, rest @ ..] = args else {
        eprintln!("usage: {SHEPHERD} DRIVER REPORT PROGRAM [ARGUMENT…]");
        return 2;
    };
    let driver = driver.to_str().and_then(|text| text.parse().ok());
    match watch(driver, Path::new(report), Command::new(program).args(rest)) {
        Ok(status) => status,
        Err(error) => {
            eprintln!("cannot start {}: {error}", Path::new(program).display());
            NOT_STARTED
        }
    }
}

fn watch(driver: Option<i32>, report: &Path, agent: &mut Command) -> std::io::Result<i32> {
    nix::sys::prctl::set_child_subreaper(true)?;
    let signals: SigSet = [
        Signal::SIGCHLD,
        Signal::SIGHUP,
        Signal::SIGTERM,
        Signal::SIGINT,
        Signal::SIGQUIT,
    ]
    .into_iter()
    .collect();
    sigprocmask(SigmaskHow::SIG_BLOCK, Some(&signals), None)?;
    let events = SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
    // The terminal's hang-up tells of the driver's end as well; this also works if another process holds the terminal.
    let parent = driver
        .and_then(Pid::from_raw)
        .and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
    if driver.is_some_and(|driver| driver != std::os::unix::process::parent_id() as i32) {
        return Ok(0);
    }

    // SAFETY: only async-signal-safe calls between fork and exec.
    unsafe {
        agent.pre_exec(|| {
            // Writing to the terminal's settings from the background would stop us.
            let mut terminal_output = SigSet::empty();
            terminal_output.add(Signal::SIGTTOU);
            sigprocmask(SigmaskHow::SIG_BLOCK, Some(&terminal_output), None)?;
            libc::setpgid(0, 0);
            libc::tcsetpgrp(0, libc::getpid());
            sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?;
            Ok(())
        });
    }
    let child = agent.spawn()?;
    let pid = nix::unistd::Pid::from_raw(child.id() as i32);

    let mut status = None;
    while status.is_none() {
        let mut wanted = vec![PollFd::from_borrowed_fd(events.as_fd(), PollFlags::IN)];
        if let Some(parent) = &parent {
            wanted.push(PollFd::from_borrowed_fd(parent.as_fd(), PollFlags::IN));
        }
        match poll(&mut wanted, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        if wanted.get(1).is_some_and(|parent| !parent.revents().is_empty()) {
            break;
        }
        let mut leave = false;
        while let Ok(Some(signal)) = events.read_signal() {
            leave |= matches!(
                Signal::try_from(signal.ssi_signo as i32),
                Ok(Signal::SIGHUP | Signal::SIGTERM)
            );
        }
        status = reap(pid);
        if leave {
            break;
        }
    }
    let strays = tree::kill_descendants(std::process::id() as i32, &[], Duration::from_secs(10)).count;
    let mut late = reap(pid);
    // An agent of several threads looks dead before it can be buried.
    let end = Instant::now() + Duration::from_secs(1);
    while status.is_none() && late.is_none() && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(1));
        late = reap(pid);
    }
    let strays = strays - u32::from(status.is_none() && late.is_some() && strays > 0);
    let status = status.or(late).map_or(-libc::SIGKILL, |status| {
        status
            .code()
            .unwrap_or_else(|| -status.signal().unwrap_or(libc::SIGKILL))
    });
    let text = serde_json::to_string(&Report { status, strays }).unwrap_or_default();
    // Without the report the driver counts less; there is nobody here to tell.
    let _ = std::fs::write(report, text);
    Ok(if status < 0 { 128 - status } else { status })
}

/// Buries every child that has ended; the agent's status when it is among them.
fn reap(agent: nix::unistd::Pid) -> Option<ExitStatus> {
    let mut found = None;
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, code)) if pid == agent => found = Some(ExitStatus::from_raw(code << 8)),
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == agent => {
                found = Some(ExitStatus::from_raw(signal as i32))
            }
            Ok(WaitStatus::StillAlive) | Err(_) => return found,
            Ok(_) => {}
        }
    }
}
