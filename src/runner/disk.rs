//! A watch over what a trial holds on the disk, so that no agent fills it for the others.

use std::collections::HashSet;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use rustix::fs::statvfs;
use rustix::io::Errno;
use tokio_util::sync::CancellationToken;

use super::scratch::LOGS;
use crate::plan::Limits;
use crate::process::containment::{TRACE, Trace};
use crate::process::{mark, tree};

/// How often it is looked. A look that takes long makes the next ones rarer: they may use a tenth of a core.
const LOOK: Duration = Duration::from_secs(1);
/// Files without a name are looked for once so much of the disk has gone since the beginning.
const HIDDEN: u64 = 64 << 20;

/// Watches one trial's folders; ends with it.
pub(super) struct DiskWatch {
    /// Cancelled with the run, and when the trial holds too much.
    pub cancel: CancellationToken,
    exceeded: Arc<OnceLock<String>>,
}

impl DiskWatch {
    /// Watches everything below `root`. `run` is cancelled when the whole run is.
    pub fn start(root: PathBuf, limits: Limits, run: &CancellationToken) -> Self {
        let (cancel, exceeded) = (run.child_token(), Arc::new(OnceLock::new()));
        let (token, told) = (cancel.clone(), exceeded.clone());
        tokio::spawn(async move {
            let root: Arc<Path> = root.into();
            let before = free(&root);
            let mut pause = LOOK;
            loop {
                tokio::select! {
                    () = token.cancelled() => return,
                    () = tokio::time::sleep(pause) => {}
                }
                let began = Instant::now();
                let looked = root.clone();
                let look = tokio::task::spawn_blocking(move || Holding::of(&looked, &limits, before));
                let Ok(holding) = look.await else { return };
                pause = LOOK.max(began.elapsed() * 10);
                if let Some(why) = holding.exceeds(&limits) {
                    let _ = told.set(why);
                    token.cancel();
                }
            }
        });
        Self { cancel, exceeded }
    }

    /// What the trial held too much of, once it did.
    pub fn exceeded(&self) -> Option<&str> {
        self.exceeded.get().map(String::as_str)
    }
}

impl Drop for DiskWatch {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

/// What a trial holds on the disk.
#[derive(Debug, Default)]
struct Holding {
    bytes: u64,
    files: u64,
    /// Something lies so deep that no path can name it: what it takes cannot be told.
    hidden: bool,
    /// Files of several names, or of none, count once.
    known: HashSet<(u64, u64)>,
}

impl Holding {
    /// Counts until the limits are passed. `before`: how much was free at the beginning.
    fn of(root: &Path, limits: &Limits, before: Option<u64>) -> Self {
        let mut holding = Self::default();
        let walk = walkdir::WalkDir::new(root).follow_links(false).same_file_system(true);
        for metadata in walk.into_iter().map(|entry| entry.and_then(|entry| entry.metadata())) {
            match metadata {
                Ok(metadata) => holding.count(&metadata),
                Err(error) => holding.hidden |= is_too_deep(&error),
            }
            if holding.exceeds(limits).is_some() {
                return holding;
            }
        }
        let gone = before
            .zip(free(root))
            .map_or(0, |(before, now)| before.saturating_sub(now));
        if gone > holding.bytes.saturating_add(HIDDEN) {
            holding.count_nameless(root);
        }
        holding
    }

    fn count(&mut self, metadata: &Metadata) {
        if metadata.nlink() == 1 || metadata.is_dir() || self.known.insert((metadata.dev(), metadata.ino())) {
            self.bytes = self.bytes.saturating_add(metadata.blocks() * 512);
            self.files += 1;
        }
    }

    /// Files that were deleted and are held open take room, and no walk of a tree finds them.
    fn count_nameless(&mut self, root: &Path) {
        let mut processes: HashSet<i32> = mark::marked_below(root).iter().map(|process| process.pid).collect();
        // An agent can take the mark off its processes, but not out of its containment.
        let contained = traces(root).filter_map(|trace| Some(Trace::read(&trace)?.root));
        processes.extend(contained.filter(|root| root.runs()).map(|root| root.pid));
        let below = tree::descendants_of(processes.iter().copied());
        processes.extend(below.iter().map(|process| process.pid));
        for pid in processes {
            let open = std::fs::read_dir(format!("/proc/{pid}/fd"));
            for entry in open.into_iter().flatten().flatten() {
                if let Ok(metadata) = std::fs::metadata(entry.path())
                    && metadata.is_file()
                    && metadata.nlink() == 0
                {
                    self.count(&metadata);
                }
            }
        }
    }

    fn exceeds(&self, limits: &Limits) -> Option<String> {
        if self.hidden {
            return Some("files in folders that lie too deep to be looked into".to_owned());
        }
        if self.bytes > limits.disk_bytes {
            return Some(format!("more than {} bytes on the disk", limits.disk_bytes));
        }
        (self.files > limits.files).then(|| format!("more than {} files", limits.files))
    }
}

/// Where a containment tells of the agent: once for the session, or for each of its turns. Both are the driver's own folders.
fn traces(root: &Path) -> impl Iterator<Item = PathBuf> {
    let logs = root.join(LOGS);
    let turns = std::fs::read_dir(logs.join("turns")).into_iter().flatten().flatten();
    let turns: Vec<PathBuf> = turns.map(|turn| turn.path()).collect();
    std::iter::once(logs).chain(turns).map(|folder| folder.join(TRACE))
}

/// The bytes of a trial's files; `None` where some lie too deep to be looked at.
pub(super) fn held(root: &Path) -> Option<u64> {
    let mut bytes: u64 = 0;
    for entry in walkdir::WalkDir::new(root).follow_links(false) {
        match entry.and_then(|entry| entry.metadata()) {
            Ok(metadata) => bytes = bytes.saturating_add(metadata.blocks() * 512),
            Err(error) if is_too_deep(&error) => return None,
            Err(_) => {}
        }
    }
    Some(bytes)
}

/// Whether a walk ends here because a path has no room for more.
fn is_too_deep(error: &walkdir::Error) -> bool {
    error.io_error().and_then(std::io::Error::raw_os_error) == Some(Errno::NAMETOOLONG.raw_os_error())
}

/// How much of the file system is free, in bytes.
fn free(path: &Path) -> Option<u64> {
    let system = statvfs(path).ok()?;
    Some(system.f_bavail.saturating_mul(system.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::children;
    use std::os::unix::fs::symlink;
    use std::process::Command;

    const FEW: Limits = Limits {
        ready_seconds: 1.0,
        turn_seconds: 1.0,
        session_seconds: 1.0,
        quiet_seconds: 1.0,
        answers: 1,
        disk_bytes: 1 << 20,
        files: 10,
        trial_seconds: None,
        agent_turn_seconds: None,
        agent_session_seconds: None,
        agent_trial_seconds: None,
    };

    #[test]
    fn what_is_held_is_counted_once_and_links_lead_nowhere() {
        let place = tempfile::tempdir().unwrap();
        let (root, outside) = (place.path().join("root"), place.path().join("outside"));
        std::fs::create_dir(&root).unwrap();
        std::fs::write(&outside, vec![1; 4 << 20]).unwrap();
        symlink(&outside, root.join("link")).unwrap();
        std::fs::File::create(root.join("sparse"))
            .unwrap()
            .set_len(1 << 40)
            .unwrap();
        std::fs::write(root.join("half"), vec![1; 600 << 10]).unwrap();
        std::fs::hard_link(root.join("half"), root.join("same")).unwrap();
        assert_eq!(Holding::of(&root, &FEW, None).exceeds(&FEW), None);
        std::fs::write(root.join("more"), vec![1; 600 << 10]).unwrap();
        let told = Holding::of(&root, &FEW, None).exceeds(&FEW).unwrap();
        assert!(told.contains("bytes"), "{told}");
        std::fs::remove_file(root.join("more")).unwrap();
        for number in 0..10 {
            std::fs::write(root.join(number.to_string()), "").unwrap();
        }
        let told = Holding::of(&root, &FEW, None).exceeds(&FEW).unwrap();
        assert!(told.contains("files"), "{told}");
    }

    #[test]
    fn files_too_deep_to_be_looked_at_are_more_than_any_limit() {
        let place = tempfile::tempdir().unwrap();
        let script = "import os\nfor _ in range(2500): os.mkdir('d'); os.chdir('d')\nopen('f', 'w')";
        let mut command = Command::new("python3");
        let status = command.args(["-c", script]).current_dir(place.path()).status();
        assert!(status.unwrap().success());
        let many = Limits {
            files: 1 << 20,
            disk_bytes: 1 << 40,
            ..FEW
        };
        let told = Holding::of(place.path(), &many, None).exceeds(&many);
        let held = held(place.path());
        super::super::removal::remove_all(place.path()).unwrap();
        assert!(told.unwrap().contains("deep") && held.is_none());
    }

    #[test]
    fn what_is_contained_is_looked_at_without_its_mark() {
        let place = tempfile::tempdir().unwrap();
        let script = "exec 3> big; rm big; head -c 3000000 /dev/zero >&3; echo > ready; exec sleep 600";
        let mut command = Command::new("sh");
        command.args(["-c", script]).current_dir(place.path()).env_clear();
        let mut holder = children::spawn(&mut command).unwrap();
        let end = Instant::now() + Duration::from_secs(60);
        while !place.path().join("ready").exists() {
            assert!(Instant::now() < end);
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(Holding::of(place.path(), &FEW, Some(u64::MAX)).exceeds(&FEW), None);
        let trace = Trace {
            root: tree::Process::of(holder.id() as i32).unwrap(),
            ended: None,
            lost: false,
        };
        // Of a session, and of one turn of an agent that is started for each.
        for folder in [LOGS, "logs/turns/2"].map(|folder| place.path().join(folder)) {
            std::fs::create_dir_all(&folder).unwrap();
            trace.leave(&folder.join(TRACE)).unwrap();
            assert!(Holding::of(place.path(), &FEW, Some(u64::MAX)).exceeds(&FEW).is_some());
            std::fs::remove_file(folder.join(TRACE)).unwrap();
        }
        holder.kill().unwrap();
        holder.wait().unwrap();
    }

    #[test]
    fn a_deleted_file_that_is_held_open_counts() {
        let place = tempfile::tempdir().unwrap();
        let (name, value) = mark::mark(&place.path().join("home"));
        let script = "exec 3> big; rm big; head -c 3000000 /dev/zero >&3; echo > ready; exec sleep 600";
        let mut command = Command::new("sh");
        command.args(["-c", script]).current_dir(place.path()).env(name, value);
        let mut holder = children::spawn(&mut command).unwrap();
        let end = Instant::now() + Duration::from_secs(20);
        while !place.path().join("ready").exists() {
            assert!(Instant::now() < end);
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(Holding::of(place.path(), &FEW, None).exceeds(&FEW), None);
        assert!(Holding::of(place.path(), &FEW, Some(u64::MAX)).exceeds(&FEW).is_some());
        holder.kill().unwrap();
        holder.wait().unwrap();
    }
}
