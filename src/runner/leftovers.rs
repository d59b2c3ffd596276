//! What the processes of dead runs left: found without doubt, then ended and removed.
//!
//! A scratch folder is locked as long as the process that made it lives, however that ends. A folder that nobody holds is
//! a leftover, and so is every process whose mark lies in it.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::removal::mounts_below;
use super::scratch::{OWNER, Owner, PREFIX, SOCKET, claim, remove_scratch};
use crate::event::Event;
use crate::process::mark::marked_below;
use crate::process::tree::{self, Process};
use crate::store::read_journal;

/// How long the end of leftover processes may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What one dead process left. Held so that nobody else removes it meanwhile.
#[derive(Debug)]
pub struct Leftover {
    /// Its scratch folder.
    pub scratch: PathBuf,
    /// `None` when it died before it could say.
    pub owner: Option<Owner>,
    pub processes: Vec<Process>,
    pub mounts: Vec<PathBuf>,
    _lock: File,
}

/// The leftovers in the system's temporary folder, and those that the journals of `runs` name, wherever they are.
pub fn leftovers<'a>(runs: impl IntoIterator<Item = &'a Path>) -> Vec<Leftover> {
    leftovers_in(&std::env::temp_dir(), runs)
}

fn leftovers_in<'a>(temporary: &Path, runs: impl IntoIterator<Item = &'a Path>) -> Vec<Leftover> {
    let temporary = std::fs::read_dir(temporary).into_iter().flatten().flatten();
    let seen = temporary.map(|entry| (entry.path(), None));
    let told = runs
        .into_iter()
        .flat_map(|run| told_by(run).into_iter().map(move |path| (path, Some(run))));
    let mut found: Vec<Leftover> = Vec::new();
    for (path, run) in seen.chain(told) {
        if found.iter().all(|known| known.scratch != path) {
            found.extend(leftover(&path, run));
        }
    }
    found
}

/// The scratch folders that a run's journal names. Without a readable journal it names none.
fn told_by(run: &Path) -> Vec<PathBuf> {
    let lines = read_journal(&run.join("journal.jsonl")).unwrap_or_default();
    let folders = lines.into_iter().filter_map(|line| match line.event {
        Event::RunStarted { scratch, .. } if scratch.is_absolute() => Some(scratch),
        _ => None,
    });
    folders.collect()
}

/// The leftover at this path, if there is one: a folder of ours by its name, its owner and its mark, which no living
/// process holds. An empty one is a process's that died at once.
///
/// `run`: the run whose journal names it, which must be what the mark names, too. A journal may come from anywhere, and its
/// word alone must not cost anybody a folder.
fn leftover(path: &Path, run: Option<&Path>) -> Option<Leftover> {
    let name = path.file_name()?.to_string_lossy().into_owned();
    let metadata = std::fs::symlink_metadata(path).ok()?;
    let ours = metadata.is_dir() && metadata.uid() == rustix::process::geteuid().as_raw();
    if !name.starts_with(PREFIX) || !ours {
        return None;
    }
    let lock = claim(path)?;
    let owner = marked(path);
    let is_its = match (&owner, run) {
        (Some(owner), Some(run)) => is_same(&owner.run, run),
        (Some(_), None) => true,
        (None, _) => is_unmarked(path, &name),
    };
    if !is_its {
        return None;
    }
    Some(Leftover {
        owner,
        processes: marked_below(path),
        mounts: mounts_below(path).unwrap_or_default(),
        scratch: path.to_owned(),
        _lock: lock,
    })
}

/// Whose a scratch folder says it is.
fn marked(scratch: &Path) -> Option<Owner> {
    serde_json::from_slice(&std::fs::read(scratch.join(OWNER)).ok()?).ok()
}

/// Whether two paths name the same run.
fn is_same(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}

/// Whether its process died before it could mark it: it has a name that we make, and nothing in it but a mark without a
/// word or a socket.
fn is_unmarked(scratch: &Path, name: &str) -> bool {
    let made = name.strip_prefix(PREFIX).unwrap_or_default();
    let is_made = made.len() == 6 && made.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let is_blank = |entry: io::Result<std::fs::DirEntry>| {
        entry.is_ok_and(|entry| {
            let is_empty = || entry.metadata().is_ok_and(|mark| mark.len() == 0);
            entry.file_name() == SOCKET || entry.file_name() == OWNER && is_empty()
        })
    };
    is_made && std::fs::read_dir(scratch).is_ok_and(|mut entries| entries.all(is_blank))
}

impl Leftover {
    /// Ends the processes, takes the mounts off and removes the folder.
    ///
    /// # Errors
    /// Something is left: the folder stays too, by which it is found again.
    pub fn remove(&self) -> io::Result<()> {
        tree::kill_all(|| marked_below(&self.scratch), PATIENCE);
        if let Some(process) = marked_below(&self.scratch).first() {
            return Err(io::Error::other(format!("process {} does not end", process.pid)));
        }
        remove_scratch(&self.scratch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::{children, mark};
    use crate::runner::Scratch;
    use crate::store::Journal;
    use std::process::Command;

    /// A scratch folder whose process has died.
    fn dead(run: &Path, place: &Path) -> PathBuf {
        let folder = tempfile::Builder::new()
            .prefix(PREFIX)
            .tempdir_in(place)
            .unwrap()
            .keep();
        let live = Scratch::new(run).unwrap();
        std::fs::copy(live.path().join(OWNER), folder.join(OWNER)).unwrap();
        folder
    }

    #[test]
    fn only_what_nobody_works_in_is_a_leftover() {
        let run = tempfile::tempdir().unwrap();
        let live = Scratch::new(run.path()).unwrap();
        let dead = dead(run.path(), run.path());
        assert!(leftover(live.path(), Some(run.path())).is_none());
        // A folder of the user's whose name begins alike.
        let named_alike = tempfile::Builder::new().prefix(PREFIX).tempdir_in(run.path()).unwrap();
        std::fs::write(named_alike.path().join("thesis.tex"), "x").unwrap();
        assert!(leftover(named_alike.path(), None).is_none());
        assert!(leftover(named_alike.path(), Some(run.path())).is_none());
        let foreign = tempfile::tempdir().unwrap();
        assert!(leftover(foreign.path(), Some(run.path())).is_none());
        let link = run.path().join(format!("{PREFIX}link"));
        std::os::unix::fs::symlink(&dead, &link).unwrap();
        assert!(leftover(&link, Some(run.path())).is_none());

        // Another run's journal names it.
        assert!(leftover(&dead, Some(foreign.path())).is_none());
        let found = leftover(&dead, None).unwrap();
        assert_eq!(found.owner.as_ref().unwrap().run, run.path());
        assert!(leftover(&dead, None).is_none(), "it is being removed by someone else");
        found.remove().unwrap();
        assert!(!dead.exists() && live.path().exists());

        // Empty folders: the user's, and one of a process that died at once.
        let users = run.path().join(format!("{PREFIX}main"));
        std::fs::create_dir(&users).unwrap();
        assert!(leftover(&users, None).is_none() && leftover(&users, Some(run.path())).is_none());
        std::fs::write(named_alike.path().join(OWNER), "").unwrap();
        assert!(leftover(named_alike.path(), None).is_none());
        std::fs::remove_file(named_alike.path().join("thesis.tex")).unwrap();
        assert!(leftover(named_alike.path(), None).is_some());
    }

    #[test]
    fn a_journal_tells_of_folders_elsewhere_and_processes_end_with_their_folder() {
        let run = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let scratch = elsewhere.path().join(format!("{PREFIX}abc"));
        std::fs::create_dir(&scratch).unwrap();
        std::fs::create_dir(scratch.join("home")).unwrap();
        let live = Scratch::new(run.path()).unwrap();
        std::fs::copy(live.path().join(OWNER), scratch.join(OWNER)).unwrap();
        let started = Event::RunStarted {
            trials: 1,
            done: 0,
            scratch: scratch.clone(),
        };
        Journal::open(&run.path().join("journal.jsonl"))
            .unwrap()
            .append(&started)
            .unwrap();
        let (name, value) = mark::mark(&scratch.join("home"));
        let mut survivor = children::spawn(Command::new("sleep").arg("600").env(name, value)).unwrap();
        mark::appears(&scratch);
        let temporary = tempfile::tempdir().unwrap();
        let found = leftovers_in(temporary.path(), [run.path()]);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].processes.len(), 1);
        found[0].remove().unwrap();
        assert!(!scratch.exists());
        assert_eq!(
            std::os::unix::process::ExitStatusExt::signal(&survivor.wait().unwrap()),
            Some(9)
        );
    }
}
