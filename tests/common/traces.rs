//! What a run leaves on the machine: its processes, folders and mounts, told from those of others by its own temporary
//! folder.

use std::collections::{HashMap, HashSet};
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

/// When a process was started; `None` once it has ended.
pub fn started(id: i32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    let state = fields.next()?;
    (state != "Z" && state != "X")
        .then(|| fields.nth(18).map(str::to_owned))
        .flatten()
}

/// Looks at what belongs to a place while it runs, and knows it again when nothing names the place any more.
pub struct Watch {
    place: PathBuf,
    /// Process and start.
    seen: HashSet<(i32, String)>,
    commands: HashSet<String>,
    /// Inode → address, of sockets that listened on this machine.
    ports: HashMap<String, String>,
}

impl Watch {
    pub fn new(place: &Path) -> Self {
        Self {
            place: place.to_owned(),
            seen: HashSet::new(),
            commands: HashSet::new(),
            ports: HashMap::new(),
        }
    }

    /// Remembers what is there now.
    pub fn look(&mut self) {
        let listening = listening();
        for id in processes(&self.place) {
            let Some(start) = started(id) else { continue };
            self.seen.insert((id, start));
            let command = std::fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
            self.commands
                .insert(String::from_utf8_lossy(&command).replace('\0', " "));
            let opened = std::fs::read_dir(format!("/proc/{id}/fd"))
                .into_iter()
                .flatten()
                .flatten();
            for file in opened {
                let target = std::fs::read_link(file.path()).unwrap_or_default();
                let target = target.display().to_string();
                let inode = target.strip_prefix("socket:[").and_then(|rest| rest.strip_suffix(']'));
                if let Some((inode, address)) = inode.and_then(|inode| listening.get_key_value(inode)) {
                    self.ports.insert(inode.clone(), address.clone());
                }
            }
        }
    }

    /// What still runs of all that was seen, and what belongs to the place by now.
    pub fn alive(&self) -> Vec<i32> {
        let same = |(id, start): &&(i32, String)| started(*id).as_ref() == Some(start);
        let mut alive: Vec<i32> = self.seen.iter().filter(same).map(|(id, _)| *id).collect();
        alive.extend(processes(&self.place));
        alive
    }

    /// Addresses that were listened at and still are.
    pub fn listening(&self) -> Vec<String> {
        let now = listening();
        let still = self.ports.iter().filter(|(inode, _)| now.contains_key(*inode));
        still.map(|(_, address)| address.clone()).collect()
    }

    /// Whether a process with this text in its command line was seen.
    pub fn saw(&self, text: &str) -> bool {
        self.commands.iter().any(|command| command.contains(text))
    }

    /// Whether anything was seen to listen.
    pub fn saw_a_port(&self) -> bool {
        !self.ports.is_empty()
    }
}

/// Sockets that listen on this machine: inode → address.
fn listening() -> HashMap<String, String> {
    const LISTENS: &str = "0A";
    let tables =
        ["/proc/self/net/tcp", "/proc/self/net/tcp6"].map(|path| std::fs::read_to_string(path).unwrap_or_default());
    let lines = tables.iter().flat_map(|table| table.lines().skip(1));
    lines
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|fields| fields.get(3) == Some(&LISTENS))
        .filter_map(|fields| Some(((*fields.get(9)?).to_owned(), (*fields.get(1)?).to_owned())))
        .collect()
}
