//! Freezing a workspace. Nothing may write to it meanwhile: the caller has killed the turn's strays.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{Mode, OFlags};
use walkdir::WalkDir;

use super::manifest::{Entry, Kind, Manifest};
use crate::blob::BlobStore;

/// Most entries of one snapshot: a workspace with more is cut there, and says so.
const MAX_ENTRIES: usize = 100_000;
/// Largest file that is kept, in bytes.
const MAX_FILE: u64 = 64 << 20;
/// Most bytes kept per snapshot.
const MAX_TOTAL: u64 = 512 << 20;
/// A file changed so shortly before it was read may change again without its timestamps telling (coarse kernel clock).
const SETTLED: Duration = Duration::from_millis(50);

/// Takes the snapshots of one workspace, reading only files whose inode, size or change time differ from last time.
#[derive(Debug)]
pub struct Snapshotter {
    workspace: PathBuf,
    blobs: BlobStore,
    /// Names at the top of the workspace that belong to the agent's machinery, such as `.git`.
    excluded: Vec<String>,
    /// Kept whatever else there is: what is judged must not be crowded out.
    first: Vec<PathBuf>,
    known: HashMap<PathBuf, Known>,
}

#[derive(Debug, Clone)]
struct Known {
    stamp: Stamp,
    kind: Kind,
    settled: bool,
}

/// What changes when a file's content does. The change time cannot be set by the owner of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    fn is_settled(&self) -> bool {
        let changed = UNIX_EPOCH + Duration::new(self.changed.0.max(0) as u64, self.changed.1.max(0) as u32);
        SystemTime::now().duration_since(changed).is_ok_and(|age| age > SETTLED)
    }
}

impl Snapshotter {
    /// `excluded`: names at the top that are no part of the work; `first`: files that are kept whatever else there is.
    pub fn new(workspace: impl Into<PathBuf>, blobs: BlobStore, excluded: Vec<String>, first: Vec<PathBuf>) -> Self {
        Self {
            workspace: workspace.into(),
            blobs,
            excluded,
            first,
            known: HashMap::new(),
        }
    }

    /// Stores the workspace's contents and returns its manifest. Links are kept as links and never followed.
    ///
    /// # Errors
    /// A blob cannot be written. What the agent did to its workspace is never an error: it is recorded.
    pub fn take(&mut self) -> io::Result<Manifest> {
        let mut manifest = Manifest::default();
        match std::fs::symlink_metadata(&self.workspace) {
            Ok(metadata) if metadata.is_dir() => {}
            Ok(_) => manifest.incomplete = Some("the workspace was replaced by something that is no folder".into()),
            Err(_) => manifest.incomplete = Some("the workspace was deleted".into()),
        }
        if manifest.incomplete.is_some() {
            return Ok(manifest);
        }
        let mut total = 0;
        let mut known = HashMap::new();
        let walk = WalkDir::new(&self.workspace)
            .min_depth(1)
            .follow_links(false)
            .sort_by_file_name();
        let excluded = self.excluded.clone();
        let walk = walk.into_iter().filter_entry(move |entry| {
            entry.depth() != 1 || !excluded.iter().any(|name| entry.file_name() == OsStr::new(name))
        });
        let mut cut = false;
        for entry in walk {
            if manifest.entries.len() >= MAX_ENTRIES {
                manifest.incomplete = Some(format!("more than {MAX_ENTRIES} entries"));
                cut = true;
                break;
            }
            let Ok(entry) = entry else {
                manifest.incomplete = Some("a folder could not be read".into());
                continue;
            };
            let Ok(relative) = entry.path().strip_prefix(&self.workspace) else {
                continue;
            };
            let Ok(metadata) = entry.metadata() else {
                manifest.incomplete = Some(format!("{} could not be read", printable(relative)));
                continue;
            };
            let kind = if metadata.is_file() {
                let left = if self.first.iter().any(|path| path == relative) {
                    MAX_FILE
                } else {
                    MAX_TOTAL - total
                };
                let found = self.file(relative, &metadata, left.min(MAX_FILE))?;
                // What is not kept takes no room.
                if let Kind::File { size, .. } = found.kind {
                    total = MAX_TOTAL.min(total + size);
                }
                let kind = found.kind.clone();
                known.insert(relative.to_owned(), found);
                kind
            } else {
                other_kind(entry.path(), &metadata)
            };
            manifest.entries.insert(
                printable(relative),
                Entry {
                    mode: metadata.mode() & 0o7777,
                    kind,
                },
            );
        }
        if cut {
            self.take_first(&mut manifest)?;
        }
        self.known = known;
        Ok(manifest)
    }

    /// What is judged is kept even when it comes after the last entry.
    fn take_first(&self, manifest: &mut Manifest) -> io::Result<()> {
        for relative in &self.first {
            // No folder on the way may be a link that leads out of the workspace.
            let mut above = relative.ancestors().skip(1).filter(|folder| *folder != Path::new(""));
            let is_real = |path: &Path| std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir());
            let real = above.all(|folder| is_real(&self.workspace.join(folder)));
            if let Ok(metadata) = std::fs::symlink_metadata(self.workspace.join(relative))
                && real
                && metadata.is_file()
            {
                let kind = self.file(relative, &metadata, MAX_FILE)?.kind;
                let mode = metadata.mode() & 0o7777;
                manifest.entries.insert(printable(relative), Entry { mode, kind });
            }
        }
        Ok(())
    }

    fn file(&self, relative: &Path, metadata: &Metadata, cap: u64) -> io::Result<Known> {
        let stamp = Stamp::of(metadata);
        if let Some(known) = self.known.get(relative)
            && known.settled
            && known.stamp == stamp
        {
            return Ok(known.clone());
        }
        let settled = stamp.is_settled();
        let unkept = |reason: String| Known {
            stamp,
            settled: false,
            kind: Kind::Unkept {
                size: metadata.len(),
                reason,
            },
        };
        if metadata.len() > cap {
            return Ok(unkept("too large".into()));
        }
        // No link is followed at the last component, and a FIFO that took the file's place cannot block us.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let mut file = match rustix::fs::open(self.workspace.join(relative), flags, Mode::empty()) {
            Ok(descriptor) => File::from(descriptor),
            Err(error) => return Ok(unkept(io::Error::from(error).to_string())),
        };
        match self.blobs.put(&mut file, cap) {
            Ok((digest, size)) => Ok(Known {
                stamp,
                settled,
                kind: Kind::File { digest, size },
            }),
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => Ok(unkept("too large".into())),
            Err(error) => Err(error),
        }
    }
}

fn other_kind(path: &Path, metadata: &Metadata) -> Kind {
    let file_type = metadata.file_type();
    if file_type.is_dir() {
        Kind::Folder
    } else if file_type.is_symlink() {
        Kind::Symlink {
            target: std::fs::read_link(path)
                .map(|target| printable(&target))
                .unwrap_or_default(),
        }
    } else {
        let what = match () {
            () if file_type.is_fifo() => "fifo",
            () if file_type.is_socket() => "socket",
            () if file_type.is_block_device() || file_type.is_char_device() => "device",
            () => "unknown",
        };
        Kind::Special { what: what.into() }
    }
}

/// A path as text: bytes that are not UTF-8 as `\xNN`, and a backslash as `\\`, so that no two paths look alike.
fn printable(path: &Path) -> String {
    let mut text = String::new();
    for chunk in path.as_os_str().as_bytes().utf8_chunks() {
        text.push_str(&chunk.valid().replace('\\', "\\\\"));
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// The contents of a snapshot's regular files, by path.
    fn read_tree(manifest: &Manifest, blobs: &BlobStore) -> io::Result<BTreeMap<PathBuf, Vec<u8>>> {
        let files = manifest.files();
        files
            .map(|(path, digest, _)| Ok((PathBuf::from(path), blobs.get(digest)?)))
            .collect()
    }

    fn workspace() -> (tempfile::TempDir, PathBuf, Snapshotter) {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("workspace");
        std::fs::create_dir(&folder).unwrap();
        let snapshotter = Snapshotter::new(
            &folder,
            BlobStore::new(place.path().join("blobs")),
            vec![".git".to_owned()],
            vec!["app.py".into()],
        );
        (place, folder, snapshotter)
    }

    #[test]
    fn links_stay_links_and_lead_nowhere() {
        let (place, folder, mut snapshotter) = workspace();
        std::fs::write(place.path().join("secret"), "outside").unwrap();
        std::os::unix::fs::symlink("../secret", folder.join("link")).unwrap();
        std::os::unix::fs::symlink("..", folder.join("up")).unwrap();
        std::fs::write(folder.join("app.py"), "x = 1\n").unwrap();
        std::fs::write(folder.join(".git"), "gitdir: elsewhere").unwrap();
        let manifest = snapshotter.take().unwrap();
        let paths: Vec<&str> = manifest.entries.keys().map(String::as_str).collect();
        assert_eq!(paths, ["app.py", "link", "up"]);
        assert_eq!(
            manifest.entries["link"].kind,
            Kind::Symlink {
                target: "../secret".into()
            }
        );
        let tree = read_tree(&manifest, &snapshotter.blobs).unwrap();
        assert_eq!(tree.len(), 1);
        assert_eq!(tree[Path::new("app.py")], b"x = 1\n");
    }

    #[test]
    fn a_change_of_the_same_size_right_after_a_snapshot_is_seen() {
        let (_place, folder, mut snapshotter) = workspace();
        for round in 0..50 {
            let text = format!("{round:04}");
            std::fs::write(folder.join("app.py"), &text).unwrap();
            let manifest = snapshotter.take().unwrap();
            assert_eq!(
                read_tree(&manifest, &snapshotter.blobs).unwrap()[Path::new("app.py")],
                text.as_bytes()
            );
        }
    }

    #[test]
    fn odd_things_are_recorded_and_never_opened() {
        let (_place, folder, mut snapshotter) = workspace();
        nix::unistd::mkfifo(&folder.join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(folder.join("socket")).unwrap();
        std::fs::write(folder.join(OsStr::from_bytes(b"bad\xff")), "x").unwrap();
        std::fs::File::create(folder.join("sparse"))
            .unwrap()
            .set_len(MAX_FILE + 1)
            .unwrap();
        let manifest = snapshotter.take().unwrap();
        assert_eq!(manifest.entries["pipe"].kind, Kind::Special { what: "fifo".into() });
        assert_eq!(manifest.entries["socket"].kind, Kind::Special { what: "socket".into() });
        assert!(matches!(manifest.entries["bad\\xff"].kind, Kind::File { size: 1, .. }));
        assert!(matches!(&manifest.entries["sparse"].kind, Kind::Unkept { reason, .. } if reason == "too large"));
    }

    #[test]
    fn large_files_do_not_crowd_out_the_rest() {
        let (_place, folder, mut snapshotter) = workspace();
        std::fs::File::create(folder.join("a.bin"))
            .unwrap()
            .set_len(MAX_TOTAL + 1)
            .unwrap();
        for name in ["app.py", "z.py"] {
            std::fs::write(folder.join(name), "x = 1\n").unwrap();
        }
        let manifest = snapshotter.take().unwrap();
        assert!(matches!(manifest.entries["a.bin"].kind, Kind::Unkept { .. }));
        assert_eq!(
            manifest.files().map(|(path, ..)| path).collect::<Vec<_>>(),
            ["app.py", "z.py"]
        );
        assert_eq!(manifest.unkept(), 1);
    }

    #[test]
    fn a_workspace_that_is_gone_or_replaced_is_recorded() {
        let (place, folder, mut snapshotter) = workspace();
        std::fs::remove_dir(&folder).unwrap();
        assert!(snapshotter.take().unwrap().incomplete.unwrap().contains("deleted"));
        std::os::unix::fs::symlink(place.path(), &folder).unwrap();
        let manifest = snapshotter.take().unwrap();
        assert!(manifest.incomplete.unwrap().contains("replaced"));
        assert!(manifest.entries.is_empty());
    }
}
