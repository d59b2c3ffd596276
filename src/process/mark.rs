//! The mark that an agent's processes carry: whose they are can be told when all that would end them is dead.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::tree::Process;

/// The variable that the shepherd and all below it have in their environment: a folder of their trial, on the host.
pub const MARK: &str = "MTSEC_PLACE";

/// The mark of a session whose folders are at `place`.
pub fn mark(place: &Path) -> (OsString, OsString) {
    (MARK.into(), place.into())
}

/// The live processes whose mark lies below `folder`. A process that has changed its environment has lost its mark, and
/// one that merely works in the folder, such as a user's shell, has none: it is not found.
pub fn marked_below(folder: &Path) -> Vec<Process> {
    let mut wanted = format!("{MARK}=").into_bytes();
    wanted.extend_from_slice(folder.as_os_str().as_bytes());
    wanted.push(b'/');
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    ids.filter(|id| *id != std::process::id() as i32)
        .filter_map(|id| {
            // The process first: a later one of its id is then told by its start.
            let process = Process::of(id)?;
            let environment = fs::read(format!("/proc/{id}/environ")).ok()?;
            let mut variables = environment.split(|byte| *byte == 0);
            variables
                .any(|variable| variable.starts_with(&wanted))
                .then_some(process)
        })
        .collect()
}

/// Waits until a child that was just started shows its mark: for a moment of its start it has no environment.
#[cfg(test)]
pub fn appears(folder: &Path) {
    let end = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while marked_below(folder).is_empty() {
        assert!(
            std::time::Instant::now() < end,
            "nothing carries the mark of {}",
            folder.display()
        );
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::children;
    use std::process::Command;

    #[test]
    fn only_what_carries_the_mark_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let started = |command: &mut Command| children::spawn(command.arg("600").current_dir(folder.path())).unwrap();
        let (name, value) = mark(&folder.path().join("home"));
        let mut marked = started(Command::new("sleep").env(&name, value));
        // A shell of the user in the folder, and a process of another run whose path begins alike.
        let mut shell = started(&mut Command::new("sleep"));
        let longer = format!("{}-longer/home", folder.path().display());
        let mut other = started(Command::new("sleep").env(&name, longer));
        appears(folder.path());
        let found: Vec<u32> = marked_below(folder.path())
            .iter()
            .map(|process| process.pid as u32)
            .collect();
        assert_eq!(found, [marked.id()]);
        for child in [&mut marked, &mut shell, &mut other] {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        assert!(marked_below(folder.path()).is_empty());
    }
}
