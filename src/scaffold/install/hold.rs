//! Who uses an installation: a run holds it as long as it lives, so that none is taken away from under its agents.
//!
//! What is locked is the marker: each finished installation has one, it can be opened where the cache cannot be written, and
//! it moves with its folder.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::marker::MARKER;

/// How long a lock may outlive its process: a child that was just being started has its descriptors for a moment.
const FREED: Duration = Duration::from_secs(2);

/// An installation that nobody replaces or removes meanwhile. The kernel lets go of it when this process ends, however it
/// ends.
#[derive(Debug)]
pub struct Hold {
    /// `None`: there is nothing to be locked, or the file system cannot.
    _lock: Option<File>,
}

impl Hold {
    /// Of what cannot be replaced.
    pub(super) fn nothing() -> Self {
        Self { _lock: None }
    }

    /// Holds a finished installation, beside others who do; `None`: it is just being replaced, or is not there any more.
    pub fn share(folder: &Path) -> Option<Self> {
        let lock = File::open(folder.join(MARKER)).ok()?;
        let lock = match flock(&lock, FlockOperation::NonBlockingLockShared) {
            Ok(()) => Some(lock).filter(|lock| is_at(lock, folder))?,
            Err(Errno::WOULDBLOCK) => return None,
            // Agents have always run from there.
            Err(_) => return Some(Self::nothing()),
        };
        Some(Self { _lock: Some(lock) })
    }

    /// Holds an installation that is to be replaced or removed, alone.
    ///
    /// # Errors
    /// Who else holds it.
    pub(super) fn alone(folder: &Path) -> Result<Self, String> {
        // Of one that was never finished nobody makes use. Some file systems lock alone only what can be written.
        let Ok(lock) = File::options().read(true).write(true).open(folder.join(MARKER)) else {
            return Ok(Self::nothing());
        };
        let end = Instant::now() + FREED;
        loop {
            match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Self { _lock: Some(lock) }),
                Err(Errno::WOULDBLOCK) if Instant::now() < end => std::thread::sleep(Duration::from_millis(10)),
                Err(Errno::WOULDBLOCK) => return Err(holders(&lock)),
                Err(_) => return Ok(Self::nothing()),
            }
        }
    }
}

/// Whether the marker that was opened is still that of the folder.
fn is_at(marker: &File, folder: &Path) -> bool {
    let id = |file: fs::Metadata| (file.dev(), file.ino());
    let (opened, named) = (marker.metadata().map(id), fs::metadata(folder.join(MARKER)).map(id));
    matches!((opened, named), (Ok(opened), Ok(named)) if opened == named)
}

/// The processes that hold a lock on a file, in words.
fn holders(file: &File) -> String {
    let inode = file.metadata().map(|file| file.ino()).unwrap_or_default();
    let locks = fs::read_to_string("/proc/locks").unwrap_or_default();
    let pids: Vec<&str> = locks.lines().filter_map(|line| holder(line, inode)).collect();
    let told = pids.iter().filter_map(|pid| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let line = String::from_utf8_lossy(&line).replace(char::is_control, " ");
        Some(format!("process {pid} (`{}`)", line.trim_end()))
    });
    let told: Vec<String> = told.collect();
    match told.is_empty() {
        // Of another container or user.
        true => "another process".to_owned(),
        false => told.join(" and "),
    }
}

/// The process of a line of `/proc/locks`, such as `3: FLOCK  ADVISORY  READ 4711 fd:01:1234 0 EOF`, if its lock is on this
/// file. Devices are not compared: on some file systems they are others here than a file is told to lie on.
fn holder(line: &str, inode: u64) -> Option<&str> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let [_, "FLOCK", _, _, pid, file, ..] = fields.as_slice() else {
        return None;
    };
    let (_, found) = file.rsplit_once(':')?;
    (found.parse() == Ok(inode)).then_some(*pid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_locks_tells_who_holds_this_file() {
        let held = |line: &'static str| holder(line, 1234);
        assert_eq!(held("3: FLOCK  ADVISORY  READ 4711 fd:01:1234 0 EOF"), Some("4711"));
        assert_eq!(held("3: FLOCK  ADVISORY  READ 4711 fd:01:12345 0 EOF"), None);
        assert_eq!(held("3: POSIX  ADVISORY  READ 4711 fd:01:1234 0 EOF"), None);
        assert_eq!(held("3: -> FLOCK  ADVISORY  WRITE 4711 fd:01:1234 0 EOF"), None);
    }

    #[test]
    fn an_installation_is_held_by_many_or_by_one() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path();
        assert!(Hold::share(folder).is_none(), "there is none");
        fs::write(folder.join(MARKER), "{}").unwrap();
        let (one, two) = (Hold::share(folder).unwrap(), Hold::share(folder).unwrap());
        drop(one);
        let why = Hold::alone(folder).unwrap_err();
        assert!(why.contains(&format!("process {} (", std::process::id())), "{why}");
        drop(two);
        let alone = Hold::alone(folder).unwrap();
        assert!(Hold::share(folder).is_none());
        drop(alone);
        assert!(Hold::share(folder).is_some());
    }
}
