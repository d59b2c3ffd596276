//! The launcher: runs under the agent's shepherd, makes the namespaces, and waits for what is inside.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use nix::sched::CloneFlags;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};

use super::init;
use super::spec::{Said, Spec};
use crate::process::shepherd::Report;
use crate::process::tree::Process;
use crate::process::{Trace, shepherd::NOT_STARTED};
use crate::sandbox::init::{INNER, close_others, die_with_parent, leave_host};
use crate::sandbox::probe::remedy;
use crate::sandbox::root::{Failure, step};

/// The hidden subcommand.
pub const ARGUMENT: &str = "__contain";

/// Runs a launcher: `arguments` are the path of the specification. Returns the exit status of the process.
pub fn launcher_main(arguments: &[OsString]) -> i32 {
    let [path] = arguments else {
        eprintln!("usage: {ARGUMENT} SPEC");
        return 2;
    };
    match launch(Path::new(path)) {
        Ok(report) if report.status < 0 => 128 - report.status,
        Ok(report) => report.status,
        Err((step, error)) => {
            let advice = remedy(&step, &error);
            eprintln!("the agent could not be contained: {step} failed ({error})\n{advice}");
            eprintln!("`--containment none` runs agents without, with all that your user can do.");
            NOT_STARTED
        }
    }
}

fn launch(path: &Path) -> Result<Report, Failure> {
    die_with_parent();
    close_others();
    let text = step(std::fs::read(path), "reading the request")?;
    let spec: Spec = step(
        serde_json::from_slice(&text).map_err(io::Error::other),
        "reading the request",
    )?;
    // The view of the host's files stays that of this process, which leaves its trace there.
    let root = leave_host(INNER.difference(CloneFlags::CLONE_NEWNS), "agent")?;
    let (ours, theirs) = step(UnixStream::pair(), "making a socket")?;
    // SAFETY: this process has one thread.
    match step(unsafe { fork() }, "fork")? {
        ForkResult::Child => {
            drop(ours);
            init::run(&spec, root, theirs)
        }
        ForkResult::Parent { child } => {
            drop(theirs);
            attend(&spec, child, ours)
        }
    }
}

/// Leaves the trace of what is inside, and waits for its end. When this process is killed, the init hears it.
fn attend(spec: &Spec, init: Pid, mut ours: UnixStream) -> Result<Report, Failure> {
    let root = step(
        Process::existing(init.as_raw()).ok_or(io::ErrorKind::NotFound),
        "finding the contained process",
    )?;
    let lost = false;
    let trace = Trace {
        root,
        ended: None,
        lost,
    };
    step(trace.leave(&spec.trace), "leaving a trace")?;
    // Whoever hears from the agent finds the trace. An init that is gone by now has said why.
    let _ = ours.write_all(&[init::GO]);
    let mut said = String::new();
    // Until the init is gone, however it ends.
    let _ = ours.read_to_string(&mut said);
    let status = waitpid(init, None);
    let report = match serde_json::from_str(said.trim()) {
        Ok(Said::Ended { status, strays }) => Report { status, strays },
        Ok(Said::Failed { step, errno }) => return Err((step, io::Error::from_raw_os_error(errno))),
        Err(_) => Report {
            status: match status {
                Ok(WaitStatus::Exited(_, code)) => code,
                _ => -libc::SIGKILL,
            },
            strays: 0,
        },
    };
    let ended = Some(report);
    step(Trace { root, ended, lost }.leave(&spec.trace), "leaving a trace")?;
    Ok(report)
}
