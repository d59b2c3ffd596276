//! Our own children, told from those that a killed shepherd leaves to us.
//!
//! A shell command of the model can kill the shepherd above it; what it left running would go to init then, and live on.
//! The driver therefore adopts what loses its parent, and knows its own children by name: everything that this program
//! starts is started here, and a child that is not in the list is a stray.

use std::io;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use nix::sys::wait::{WaitPidFlag, waitpid};

use super::tree::{self, Killed, Process};

/// Held while a child is started and entered, so that none is seen before it is known.
static OURS: Mutex<Vec<Process>> = Mutex::new(Vec::new());

/// From now on whatever loses its parent below us becomes our child.
pub fn adopt() -> io::Result<()> {
    Ok(nix::sys::prctl::set_child_subreaper(true)?)
}

/// Starts a child of ours.
pub fn spawn(command: &mut Command) -> io::Result<Child> {
    enter(|| command.spawn(), |child| Some(child.id()))
}

/// Starts a child of ours, and waits for its end and its output.
pub fn output(command: &mut Command) -> io::Result<Output> {
    spawn(command.stdout(Stdio::piped()).stderr(Stdio::piped()))?.wait_with_output()
}

/// Starts a child of ours in some other way.
pub fn enter<T>(start: impl FnOnce() -> io::Result<T>, pid: impl FnOnce(&T) -> Option<u32>) -> io::Result<T> {
    let mut ours = OURS.lock().unwrap_or_else(PoisonError::into_inner);
    let started = start()?;
    ours.retain(|child| Process::existing(child.pid) == Some(*child));
    ours.extend(pid(&started).and_then(|pid| Process::existing(i32::try_from(pid).ok()?)));
    Ok(started)
}

/// Children that came to us since `since` (in clock ticks, as [`Process::started`]) and were not started by us.
fn adopted(since: u64) -> Vec<Process> {
    let ours = OURS.lock().unwrap_or_else(PoisonError::into_inner);
    let mut all = tree::existing_children_of(std::process::id() as i32);
    all.retain(|child| child.started >= since && !ours.contains(child));
    all
}

/// Kills what came to us since `since`, with all that descends from it, until none is left.
pub fn kill_adopted(since: u64, patience: Duration) -> Killed {
    let look = || {
        let mut all = adopted(since);
        all.extend(tree::descendants_of(all.iter().map(|child| child.pid)));
        all.retain(|process| process.runs());
        all
    };
    let killed = tree::kill_all(look, patience);
    for dead in adopted(since) {
        // Nobody else waits for it.
        let _ = waitpid(nix::unistd::Pid::from_raw(dead.pid), Some(WaitPidFlag::WNOHANG));
    }
    killed
}
