//! The files of an installation as they were when it was finished. What lies on the disk is compared with them before an
//! agent is started: one that was changed in place would be measured under the name of another.
//!
//! A file whose size, inode and time of change (`st_ctime`, which no program can set) are those that were noted is not read:
//! that takes a look at each file, a fifth of a second for the 81,000 files of OpenHands, instead of reading 1.6 GB. Where
//! they differ, as after a copy of the cache, its content decides.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io::{self, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::digest::sha256;
use super::marker::MARKER;

/// Where it lies in an installation.
const FILE: &str = ".files";

/// Every file and link below a folder, by its path from there. Folders are none: without files they are nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Inventory(BTreeMap<PathBuf, Entry>);

/// One file or link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    /// SHA-256: of a link that of its target's name.
    content: [u8; 32],
    /// Kind and permissions.
    mode: u32,
    stamp: Stamp,
}

/// What cannot stay the same when a file is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    size: u64,
    inode: u64,
    seconds: i64,
    nanoseconds: i64,
}

/// What of an installation is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// The files that may have changed.
    Quick,
    /// Every file.
    Whole,
}

/// How an installation compares with its inventory.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Compared {
    /// Files that were changed, added or removed, by their paths in the installation.
    pub changed: Vec<PathBuf>,
    /// The inventory has been told of files that are the same under another stamp: it is worth being written again.
    pub renewed: bool,
}

impl Inventory {
    /// Reads every file of an installation.
    ///
    /// # Errors
    /// One cannot be read.
    pub fn take(folder: &Path) -> io::Result<Self> {
        let mut files = BTreeMap::new();
        for (name, metadata) in files_of(folder)? {
            let entry = Entry::of(&folder.join(&name), &metadata)?;
            files.insert(name, entry);
        }
        Ok(Self(files))
    }

    /// What was noted of an installation; `None`: nothing, as of those that an earlier version of this program made.
    ///
    /// # Errors
    /// It cannot be read, or is damaged.
    pub fn read(folder: &Path) -> io::Result<Option<Self>> {
        let bytes = match fs::read(folder.join(FILE)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let damaged = || {
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("its list of files, {FILE}, is damaged"),
            )
        };
        let mut files = BTreeMap::new();
        for line in bytes.split_inclusive(|byte| *byte == 0) {
            let (name, entry) = line.strip_suffix(&[0]).and_then(parsed).ok_or_else(damaged)?;
            files.insert(name, entry);
        }
        Ok(Some(Self(files)))
    }

    /// Notes it in the installation, whole or not at all.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        let mut bytes = Vec::new();
        for (name, Entry { content, mode, stamp }) in &self.0 {
            let Stamp {
                size,
                inode,
                seconds,
                nanoseconds,
            } = stamp;
            let content = hex::encode(content);
            write!(bytes, "{content} {mode:o} {size} {inode} {seconds} {nanoseconds} ")?;
            bytes.extend_from_slice(name.as_os_str().as_bytes());
            bytes.push(0);
        }
        // Beside the installation: within it others would take the file for an added one.
        let mut builder = tempfile::Builder::new();
        // As any file of a cache that several users share.
        builder.permissions(fs::Permissions::from_mode(0o644));
        let mut file = builder.tempfile_in(folder.parent().unwrap_or(folder))?;
        file.write_all(&bytes)?;
        file.as_file().sync_all()?;
        file.persist(folder.join(FILE)).map_err(|error| error.error)?;
        Ok(())
    }

    /// Compares an installation with what was noted of it.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn compare(&mut self, folder: &Path, look: Look) -> io::Result<Compared> {
        let mut compared = Compared::default();
        let mut found = BTreeSet::new();
        for (name, metadata) in files_of(folder)? {
            let same = match self.0.get_mut(&name) {
                None => false,
                Some(known) if look == Look::Quick && known.is_untouched(&metadata) => true,
                Some(known) => {
                    let now = Entry::of(&folder.join(&name), &metadata)?;
                    let same = now.content == known.content && now.mode == known.mode;
                    if same && now.stamp != known.stamp {
                        known.stamp = now.stamp;
                        compared.renewed = true;
                    }
                    same
                }
            };
            if !same {
                compared.changed.push(name.clone());
            }
            found.insert(name);
        }
        let gone = self.0.keys().filter(|name| !found.contains(*name));
        compared.changed.extend(gone.cloned());
        Ok(compared)
    }
}

impl Entry {
    /// A file's entry; `metadata` is older than its content is read, so that a change in between is seen later.
    fn of(path: &Path, metadata: &Metadata) -> io::Result<Self> {
        let content = match metadata.file_type() {
            kind if kind.is_file() => sha256(path)?,
            kind if kind.is_symlink() => Sha256::digest(fs::read_link(path)?.as_os_str().as_bytes()).into(),
            // A pipe or socket: its mode tells.
            _ => [0; 32],
        };
        Ok(Self {
            content,
            mode: metadata.mode(),
            stamp: Stamp::of(metadata),
        })
    }

    fn is_untouched(&self, metadata: &Metadata) -> bool {
        self.stamp == Stamp::of(metadata) && self.mode == metadata.mode()
    }
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            size: metadata.size(),
            inode: metadata.ino(),
            seconds: metadata.ctime(),
            nanoseconds: metadata.ctime_nsec(),
        }
    }
}

/// All but what this program itself notes in an installation.
fn files_of(folder: &Path) -> io::Result<Vec<(PathBuf, Metadata)>> {
    let mut files = Vec::new();
    for entry in walkdir::WalkDir::new(folder).follow_links(false) {
        let entry = entry?;
        if entry.file_type().is_dir() {
            continue;
        }
        let name = entry.path().strip_prefix(folder).map_err(io::Error::other)?;
        if name != Path::new(FILE) && name != Path::new(MARKER) {
            files.push((name.to_owned(), entry.metadata()?));
        }
    }
    Ok(files)
}

/// One line of the file.
fn parsed(line: &[u8]) -> Option<(PathBuf, Entry)> {
    let mut fields = line.splitn(7, |byte| *byte == b' ');
    let mut text = || std::str::from_utf8(fields.next()?).ok();
    let mut content = [0; 32];
    hex::decode_to_slice(text()?, &mut content).ok()?;
    let entry = Entry {
        content,
        mode: u32::from_str_radix(text()?, 8).ok()?,
        stamp: Stamp {
            size: text()?.parse().ok()?,
            inode: text()?.parse().ok()?,
            seconds: text()?.parse().ok()?,
            nanoseconds: text()?.parse().ok()?,
        },
    };
    let name = OsString::from_vec(fields.next()?.to_vec());
    Some((name.into(), entry))
}

#[cfg(test)]
mod tests {
    use std::fs::FileTimes;
    use std::os::unix::fs::symlink;

    use super::*;

    /// An installation of three files and its inventory, read again.
    fn installation(place: &Path) -> (PathBuf, Inventory) {
        let folder = place.join("1.0");
        fs::create_dir_all(folder.join("lib/new\nline")).unwrap();
        fs::write(folder.join("lib/a.py"), "print(1)\n").unwrap();
        fs::write(folder.join("lib/new\nline/b c.pyc"), "compiled").unwrap();
        symlink("lib", folder.join("lib64")).unwrap();
        let taken = Inventory::take(&folder).unwrap();
        assert_eq!(Inventory::read(&folder).unwrap(), None);
        taken.write(&folder).unwrap();
        fs::write(folder.join(MARKER), "{}").unwrap();
        let read = Inventory::read(&folder).unwrap().unwrap();
        assert_eq!(read, taken);
        (folder, read)
    }

    #[test]
    fn every_change_is_seen_even_under_the_old_size_and_time() {
        let place = tempfile::tempdir().unwrap();
        let (folder, inventory) = installation(place.path());
        let changed = |look: Look| inventory.clone().compare(&folder, look).unwrap().changed;
        assert_eq!(changed(Look::Quick), Vec::<PathBuf>::new());
        assert_eq!(changed(Look::Whole), Vec::<PathBuf>::new());

        let source = folder.join("lib/a.py");
        let before = fs::metadata(&source).unwrap();
        fs::write(&source, "print(2)\n").unwrap();
        let file = fs::File::options().write(true).open(&source).unwrap();
        let times = FileTimes::new().set_modified(before.modified().unwrap());
        file.set_times(times).unwrap();
        assert_eq!(fs::metadata(&source).unwrap().mtime_nsec(), before.mtime_nsec());
        assert_eq!(changed(Look::Quick), [Path::new("lib/a.py")]);
        fs::write(&source, "print(1)\n").unwrap();
        assert_eq!(changed(Look::Quick), Vec::<PathBuf>::new(), "it is as it was");

        let compiled = folder.join("lib/new\nline/b c.pyc");
        fs::set_permissions(&compiled, fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(folder.join("lib/added.pth"), "import os").unwrap();
        fs::remove_file(folder.join("lib64")).unwrap();
        symlink("bin", folder.join("lib64")).unwrap();
        fs::remove_file(&source).unwrap();
        let mut seen = changed(Look::Quick);
        seen.sort();
        let wanted = ["lib/a.py", "lib/added.pth", "lib/new\nline/b c.pyc", "lib64"];
        assert_eq!(seen, wanted.map(PathBuf::from));
    }

    #[test]
    fn the_same_files_of_another_time_are_read_once() {
        let place = tempfile::tempdir().unwrap();
        let (folder, mut inventory) = installation(place.path());
        let compared = |inventory: &mut Inventory| {
            let compared = inventory.compare(&folder, Look::Quick).unwrap();
            assert_eq!(compared.changed, Vec::<PathBuf>::new());
            compared.renewed
        };
        assert!(!compared(&mut inventory));
        fs::copy(folder.join("lib/a.py"), folder.join("copy")).unwrap();
        fs::rename(folder.join("copy"), folder.join("lib/a.py")).unwrap();
        assert!(compared(&mut inventory));
        assert!(!compared(&mut inventory));
    }

    #[test]
    fn a_damaged_inventory_is_an_error_and_not_an_empty_one() {
        let place = tempfile::tempdir().unwrap();
        let (folder, _) = installation(place.path());
        let whole = fs::read(folder.join(FILE)).unwrap();
        fs::write(folder.join(FILE), &whole[..whole.len() - 1]).unwrap();
        assert!(Inventory::read(&folder).unwrap_err().to_string().contains(FILE));
    }
}
