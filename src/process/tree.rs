//! Descendants of a process, as `/proc` tells them, and how to end them.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

/// A process: its id together with its start time, which a later process of the same id does not share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Process {
    pub pid: i32,
    /// In clock ticks since boot.
    pub started: u64,
}

/// What `/proc/PID/stat` says.
#[derive(Debug, Clone, Copy)]
struct Stat {
    parent: i32,
    zombie: bool,
    started: u64,
}

fn stat(pid: i32) -> Option<Stat> {
    let text = fs::read(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's own name in parentheses and may hold anything, so count from its end.
    let end = text.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(text.get(end + 2..)?).ok()?;
    let mut fields = rest.split(' ');
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    let started = fields.nth(17)?.parse().ok()?;
    Some(Stat {
        parent,
        zombie: matches!(state, "Z" | "X" | "x"),
        started,
    })
}

impl Process {
    /// The live process of this id, if there is one.
    pub fn of(pid: i32) -> Option<Self> {
        let stat = stat(pid)?;
        (!stat.zombie).then_some(Self {
            pid,
            started: stat.started,
        })
    }

    /// The process of this id, which may have ended and not been waited for.
    pub fn existing(pid: i32) -> Option<Self> {
        let started = stat(pid)?.started;
        Some(Self { pid, started })
    }

    /// Whether this very process still runs (a zombie does not).
    pub fn runs(self) -> bool {
        Self::of(self.pid) == Some(self)
    }

    /// Sends a signal to this very process and to no later one of its id; false when it is gone.
    pub fn signal(self, signal: Signal) -> bool {
        let Some(pid) = Pid::from_raw(self.pid) else {
            return false;
        };
        match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(fd) => self.runs() && pidfd_send_signal(&fd, signal).is_ok(),
            Err(rustix::io::Errno::NOSYS) => self.runs() && rustix::process::kill_process(pid, signal).is_ok(),
            Err(_) => false,
        }
    }

    /// Whether every thread of it is stopped by a signal.
    pub fn is_stopped(self) -> bool {
        let threads = fs::read_dir(format!("/proc/{}/task", self.pid));
        let states = threads.into_iter().flatten().flatten().filter_map(|thread| {
            let text = fs::read(thread.path().join("stat")).ok()?;
            let end = text.iter().rposition(|byte| *byte == b')')?;
            text.get(end + 2).copied()
        });
        // One that has ended and was not waited for does nothing either.
        states
            .into_iter()
            .all(|state| matches!(state, b'T' | b'Z' | b'X' | b'x'))
    }

    /// Whether its main thread waits to read its standard input; `None` when the kernel does not tell.
    pub fn waits_for_input(self) -> Option<bool> {
        // The number of read(2), and descriptor 0.
        const READ_STDIN: &str = if cfg!(target_arch = "x86_64") {
            "0 0x0 "
        } else {
            "63 0x0 "
        };
        let text = fs::read_to_string(format!("/proc/{}/syscall", self.pid)).ok()?;
        Some(text.starts_with(READ_STDIN))
    }
}

/// Live children of a process, by its threads' lists; `None` when this kernel keeps no such lists.
fn children(pid: i32) -> Option<Vec<i32>> {
    let mut found = Vec::new();
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return Some(found);
    };
    for thread in threads.flatten() {
        match fs::read_to_string(thread.path().join("children")) {
            Ok(text) => found.extend(text.split_ascii_whitespace().filter_map(|pid| pid.parse::<i32>().ok())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && thread.path().exists() => return None,
            Err(_) => {}
        }
    }
    Some(found)
}

/// Live children of a process.
pub fn children_of(pid: i32) -> Vec<Process> {
    let mut all = existing_children_of(pid);
    all.retain(|process| process.runs());
    all
}

/// Children of a process, those that have ended and were not waited for included.
pub fn existing_children_of(pid: i32) -> Vec<Process> {
    let kids = children(pid).unwrap_or_else(every);
    kids.into_iter()
        .filter(|kid| stat(*kid).is_some_and(|stat| stat.parent == pid))
        .filter_map(Process::existing)
        .collect()
}

/// The id of every process of the machine.
fn every() -> Vec<i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

/// Every live descendant of a process, itself not included, parents before their children.
pub fn descendants(root: i32) -> Vec<Process> {
    descendants_of([root])
}

/// The same of several processes; each of them that descends from another is included.
pub fn descendants_of(roots: impl IntoIterator<Item = i32>) -> Vec<Process> {
    let roots: Vec<i32> = roots.into_iter().collect();
    let (mut all, mut known, mut looked) = (Vec::new(), HashSet::new(), HashSet::new());
    let mut next = roots.clone();
    while let Some(pid) = next.pop() {
        // There may be thousands, and those that are listed twice have descendants, too.
        if !looked.insert(pid) {
            continue;
        }
        let Some(kids) = children(pid) else {
            return scanned(roots);
        };
        for kid in kids {
            if let Some(process) = Process::of(kid)
                && known.insert(process)
            {
                all.push(process);
            }
            // A zombie's children have a new parent already; a live one's are looked at next.
            next.push(kid);
        }
    }
    all
}

/// The same by a look at every process of the machine.
fn scanned(roots: Vec<i32>) -> Vec<Process> {
    let mut kids: HashMap<i32, Vec<(i32, Stat)>> = HashMap::new();
    for pid in every() {
        if let Some(stat) = stat(pid) {
            kids.entry(stat.parent).or_default().push((pid, stat));
        }
    }
    let mut all = Vec::new();
    let mut next = roots;
    while let Some(pid) = next.pop() {
        for (kid, stat) in kids.remove(&pid).unwrap_or_default() {
            if !stat.zombie {
                all.push(Process {
                    pid: kid,
                    started: stat.started,
                });
            }
            next.push(kid);
        }
    }
    all
}

/// What came of killing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Killed {
    pub count: u32,
    /// How many still ran when patience was at its end: the kernel holds them.
    pub left: u32,
}

/// Stops every process of `all`, and looks again and again until none goes on; how many still did when `patience` was at its
/// end. A stopped one can be continued by one that is not stopped yet, so all are looked at together.
pub fn stop_all(all: &[Process], patience: Duration) -> u32 {
    let end = Instant::now() + patience;
    loop {
        let mut moving = all.to_vec();
        moving.retain(|process| process.runs() && !process.is_stopped());
        if moving.is_empty() || Instant::now() >= end {
            return moving.len() as u32;
        }
        for process in moving {
            process.signal(Signal::STOP);
        }
        std::thread::sleep(Duration::from_micros(500));
    }
}

/// Kills every descendant of `root` but `keep`, again and again until none is left.
pub fn kill_descendants(root: i32, keep: &[Process], patience: Duration) -> Killed {
    let look = || {
        let mut all = descendants(root);
        all.retain(|process| !keep.contains(process));
        all
    };
    kill_all(look, patience)
}

/// Kills what a look finds, again and again until it finds nothing.
///
/// All are stopped before the first is killed, so that none can start another on the way. Gives up after `patience`.
pub fn kill_all(look: impl Fn() -> Vec<Process>, patience: Duration) -> Killed {
    kill_by(Process::signal, look, patience)
}

fn kill_by(signal: impl Fn(Process, Signal) -> bool, look: impl Fn() -> Vec<Process>, patience: Duration) -> Killed {
    let end = Instant::now() + patience;
    let mut killed = HashSet::new();
    // A list of children that is read while one of them ends may miss its neighbour: two empty looks mean none.
    let mut empty = 0;
    while empty < 2 && Instant::now() < end {
        let (mut stopped, mut refused): (HashSet<Process>, HashSet<Process>) = Default::default();
        loop {
            let mut new = look();
            new.retain(|process| !stopped.contains(process) && !refused.contains(process));
            if new.is_empty() || Instant::now() >= end {
                break;
            }
            // What was gone before the signal came has left its children to be found by the next look.
            let (reached, others): (Vec<_>, Vec<_>) =
                new.into_iter().partition(|process| signal(*process, Signal::STOP));
            stopped.extend(reached);
            refused.extend(others.into_iter().filter(|process| process.runs()));
        }
        for process in &stopped {
            signal(*process, Signal::KILL);
            killed.insert(*process);
        }
        let is_empty = stopped.is_empty() && refused.is_empty();
        empty = if is_empty { empty + 1 } else { 0 };
        // What runs as another user may still end by itself: it is waited for, but not without a pause.
        if stopped.is_empty() && !refused.is_empty() {
            std::thread::sleep(Duration::from_millis(10));
        }
        // Killing is not instant: what dies is looked at again once it is dead.
        while stopped.iter().any(|process| process.runs()) && Instant::now() < end {
            std::thread::sleep(Duration::from_micros(300));
        }
    }
    let left = if empty < 2 { look().len() as u32 } else { 0 };
    Killed {
        count: killed.len() as u32,
        left,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn what_may_not_be_signalled_is_told_and_not_looked_at_all_the_time() {
        let us = Process::of(std::process::id() as i32).unwrap();
        let looks = Cell::new(0);
        let look = || {
            looks.set(looks.get() + 1);
            vec![us]
        };
        let killed = kill_by(|_, _| false, look, Duration::from_millis(200));
        assert_eq!((killed.count, killed.left), (0, 1));
        assert!(looks.get() <= 60, "{} looks", looks.get());
    }

    #[test]
    fn descendants_of_several_are_found_once() {
        let us = std::process::id() as i32;
        let mut command = std::process::Command::new("sh");
        let mut child = super::super::children::spawn(command.args(["-c", "sleep 600 & wait"])).unwrap();
        let pid = child.id() as i32;
        let end = Instant::now() + Duration::from_secs(60);
        while descendants(pid).is_empty() {
            assert!(Instant::now() < end);
            std::thread::sleep(Duration::from_millis(1));
        }
        for found in [descendants_of([pid, us]), scanned(vec![pid, us])] {
            let times = |wanted: i32| found.iter().filter(|process| process.pid == wanted).count();
            assert_eq!((times(pid), times(descendants(pid)[0].pid)), (1, 1));
        }
        kill_descendants(pid, &[], Duration::from_secs(60));
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
