//! What a run leaves on the machine: its processes, folders and mounts, told from those of others by its own temporary
//! folder.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Waits until something holds. The bound only tells a hang from an end.
pub fn until(what: &str, limit: Duration, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + limit;
    while !holds() {
        assert!(Instant::now() < end, "{what}: not within {limit:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Live processes that belong to a place: whose environment, command line or working folder names it, or that descend
/// from such a process. A sandbox of the tester has none of these: it descends from its driver.
pub fn processes(place: &Path) -> Vec<i32> {
    let text = place.as_os_str().as_bytes();
    let names = |bytes: Vec<u8>| bytes.windows(text.len()).any(|window| window == text);
    let all: Vec<(i32, i32)> = std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(|id: i32| {
            let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
            let mut fields = stat.rsplit_once(") ")?.1.split(' ');
            let state = fields.next()?;
            let parent = fields.next()?.parse().ok()?;
            (state != "Z" && state != "X").then_some((id, parent))
        })
        .collect();
    let named = |id: i32| {
        let file = |name: &str| std::fs::read(format!("/proc/{id}/{name}")).unwrap_or_default();
        let folder = std::fs::read_link(format!("/proc/{id}/cwd")).unwrap_or_default();
        names(file("environ")) || names(file("cmdline")) || names(folder.as_os_str().as_bytes().to_vec())
    };
    let me = std::process::id() as i32;
    let mut found: Vec<i32> = all
        .iter()
        .map(|(id, _)| *id)
        .filter(|id| *id != me && named(*id))
        .collect();
    let mut index = 0;
    while index < found.len() {
        let parent = found[index];
        let children = all
            .iter()
            .filter(|(id, of)| *of == parent && !found.contains(id))
            .map(|(id, _)| *id);
        let children: Vec<i32> = children.collect();
        found.extend(children);
        index += 1;
    }
    found
}

/// What lies in a folder.
pub fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    all.sort();
    all
}

/// The lines of the mount table that name a place.
pub fn mounts(place: &Path) -> Vec<String> {
    let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let place = place.display().to_string();
    table
        .lines()
        .filter(|line| line.contains(&place))
        .map(str::to_owned)
        .collect()
}
