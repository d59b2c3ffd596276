//! Removing what agents left, whatever they did to it.

use std::ffi::{CStr, CString, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{UnmountFlags, unmount};

/// How many folders of a tree are open at once: what lies deeper is first moved up. An agent makes folders within folders
/// as it likes, and neither our stack nor our descriptors may grow with them.
const OPEN: usize = 32;
/// How often one folder is read again because something was still in it: whoever writes to it all the time wins.
const PASSES: u32 = 100_000;

/// Removes a tree however deep it is, and even where its owner took the right to write in folders away. Links are removed,
/// never followed; what is mounted in it is taken off first, so that nothing of another place is lost.
///
/// # Errors
/// Something is left.
pub(super) fn remove_all(root: &Path) -> io::Result<()> {
    for mount in mounts_below(root)? {
        unmount(&mount, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW)?;
    }
    let name = CString::new(root.as_os_str().as_bytes())?;
    let removed = match Folder::open(CWD, name.clone()) {
        Ok(top) => Removal::of(top).carry_out(),
        Err(Errno::NOTDIR | Errno::LOOP) => rustix::fs::unlink(name),
        Err(error) => Err(error),
    };
    match removed {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// A folder that is being emptied.
struct Folder {
    entries: Dir,
    /// Its name in the folder above.
    name: CString,
    passes: u32,
    /// Whether anything went since it was read from its beginning.
    progress: bool,
}

impl Folder {
    /// Opens it, with the right to empty it.
    fn open(above: BorrowedFd<'_>, name: CString) -> Result<Self, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = match rustix::fs::openat(above, &name, flags, Mode::empty()) {
            Err(Errno::ACCESS) => {
                permit(above, &name)?;
                rustix::fs::openat(above, &name, flags, Mode::empty())
            }
            opened => opened,
        }?;
        if !Mode::from_raw_mode(rustix::fs::fstat(&opened)?.st_mode).contains(Mode::RWXU) {
            let _ = rustix::fs::fchmod(&opened, Mode::RWXU);
        }
        Ok(Self {
            entries: Dir::new(opened)?,
            name,
            passes: 0,
            progress: false,
        })
    }

    /// Removes an entry that is no folder; a folder's name comes back.
    fn remove(&mut self, name: &CStr, kind: FileType) -> Result<Option<CString>, Errno> {
        if kind == FileType::Directory {
            return Ok(Some(name.to_owned()));
        }
        match rustix::fs::unlinkat(self.entries.fd()?, name, AtFlags::empty()) {
            Err(Errno::ISDIR) => Ok(Some(name.to_owned())),
            Err(error) if error != Errno::NOENT => Err(error),
            _ => {
                self.progress = true;
                Ok(None)
            }
        }
    }
}

/// A tree that is being removed.
struct Removal {
    /// From the root down to where we are. Never empty, and never longer than [`OPEN`].
    open: Vec<Folder>,
    /// How many folders were moved up.
    moved: u64,
    error: Option<Errno>,
}

impl Removal {
    fn of(top: Folder) -> Self {
        Self {
            open: vec![top],
            moved: 0,
            error: None,
        }
    }

    /// Removes all that can be; the first error, if something is left.
    fn carry_out(mut self) -> Result<(), Errno> {
        while let Some(mut folder) = self.open.pop() {
            match folder.entries.read() {
                Some(Ok(entry)) => {
                    let is_own = matches!(entry.file_name().to_bytes(), b"." | b"..");
                    let found = match is_own {
                        true => Ok(None),
                        false => folder.remove(entry.file_name(), entry.file_type()),
                    };
                    self.open.push(folder);
                    if let Err(error) = found.and_then(|inner| inner.map_or(Ok(()), |name| self.enter(name))) {
                        self.error.get_or_insert(error);
                    }
                }
                Some(Err(error)) => {
                    self.error.get_or_insert(error);
                }
                None => {
                    let above = self.open.last().map_or(Ok(CWD), |above| above.entries.fd())?;
                    match rustix::fs::unlinkat(above, &folder.name, AtFlags::REMOVEDIR) {
                        // What was moved here, and what a file system did not show while we removed.
                        Err(Errno::NOTEMPTY | Errno::EXIST) if folder.progress && folder.passes < PASSES => {
                            folder.entries.rewind();
                            (folder.progress, folder.passes) = (false, folder.passes + 1);
                            self.open.push(folder);
                        }
                        Err(error) if error != Errno::NOENT => {
                            self.error.get_or_insert(error);
                        }
                        _ if self.open.is_empty() => return Ok(()),
                        _ => self.progress(),
                    }
                }
            }
        }
        self.error.map_or(Ok(()), Err)
    }

    /// Goes on in a folder of the one we are in; where we are deep already, it is moved up to the root instead.
    fn enter(&mut self, name: CString) -> Result<(), Errno> {
        let [top, ..] = self.open.as_slice() else { return Ok(()) };
        let here = self.open.last().unwrap_or(top).entries.fd()?;
        if self.open.len() < OPEN {
            let folder = Folder::open(here, name)?;
            self.open.push(folder);
            return Ok(());
        }
        let top = top.entries.fd()?;
        loop {
            let fresh = format!(".moved-{}", self.moved);
            self.moved += 1;
            let moved = match rustix::fs::renameat(here, &name, top, &fresh) {
                // A folder's own entry for what is above it is written, too.
                Err(Errno::ACCESS) => {
                    permit(here, &name)?;
                    rustix::fs::renameat(here, &name, top, &fresh)
                }
                moved => moved,
            };
            match moved {
                // The name is taken.
                Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOTDIR) => {}
                moved => {
                    moved?;
                    break;
                }
            }
        }
        self.progress();
        if let Some(top) = self.open.first_mut() {
            top.progress = true;
        }
        Ok(())
    }

    fn progress(&mut self) {
        if let Some(folder) = self.open.last_mut() {
            folder.progress = true;
        }
    }
}

/// Takes all rights on a folder of ours back; a link in its place is not followed.
fn permit(above: BorrowedFd<'_>, name: &CStr) -> Result<(), Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder = rustix::fs::openat(above, name, flags, Mode::empty())?;
    let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&folder.as_fd()));
    rustix::fs::chmod(path, Mode::RWXU)
}

/// The mounts at or below a folder, the last one first.
///
/// # Errors
/// The kernel does not list the mounts.
pub(super) fn mounts_below(root: &Path) -> io::Result<Vec<PathBuf>> {
    let root = root.canonicalize().unwrap_or_else(|_| root.to_owned());
    let text = std::fs::read("/proc/self/mountinfo")?;
    let places = text.split(|byte| *byte == b'\n').filter_map(|line| {
        let place = line.split(|byte| *byte == b' ').nth(4)?;
        Some(PathBuf::from(OsString::from_vec(unescaped(place))))
    });
    let mut below: Vec<PathBuf> = places.filter(|place| place.starts_with(&root)).collect();
    below.reverse();
    Ok(below)
}

/// Spaces, tabs, line ends and backslashes stand there as three octal digits.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        let digits = (*first == b'\\').then(|| after.get(..3)).flatten();
        let code = digits.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        plain.push(code.unwrap_or(*first));
        rest = if code.is_some() { &after[3..] } else { after };
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_without_rights_is_removed() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("a");
        std::fs::create_dir_all(root.join("b/c")).unwrap();
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(root.join("b"), std::fs::Permissions::from_mode(0o000)).unwrap();
        remove_all(&root).unwrap();
        assert!(!root.exists());
        remove_all(&root).unwrap();
    }

    /// Makes `depth` folders within each other, too many for a path to name them.
    fn nested(place: &Path, depth: u32, then: &str) {
        let script = format!("import os\nfor _ in range({depth}):\n    os.mkdir('d'); os.chdir('d')\n{then}");
        let mut command = std::process::Command::new("python3");
        let status = command.args(["-c", &script]).current_dir(place).status().unwrap();
        assert!(status.success());
    }

    #[test]
    fn folders_within_folders_are_removed_however_many() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("root");
        std::fs::create_dir(&root).unwrap();
        std::fs::write(place.path().join("outside"), "kept").unwrap();
        std::os::unix::fs::symlink(place.path(), root.join(".moved-0")).unwrap();
        std::fs::create_dir(root.join(".moved-1")).unwrap();
        std::fs::write(root.join(".moved-1/file"), "x").unwrap();
        let then = format!(
            "open('f', 'w'); os.symlink('{}', 'link')\nfor _ in range(4_000):\n    os.chdir('..'); os.chmod('d', 0)",
            place.path().display()
        );
        nested(&root, 4_000, &then);
        // As a thread of a test has it: a frame for each folder would not fit.
        remove_all(&root).unwrap();
        assert!(!root.exists() && place.path().join("outside").exists());
    }

    #[test]
    fn a_link_in_a_tree_s_place_is_removed_and_what_it_names_stays() {
        let place = tempfile::tempdir().unwrap();
        std::fs::create_dir(place.path().join("kept")).unwrap();
        let link = place.path().join("link");
        std::os::unix::fs::symlink("kept", &link).unwrap();
        remove_all(&link).unwrap();
        assert!(std::fs::symlink_metadata(&link).is_err() && place.path().join("kept").exists());
    }

    #[test]
    fn mounts_are_found_by_their_real_path() {
        assert_eq!(unescaped(br"/a\040b\134c"), br"/a b\c");
        assert!(
            mounts_below(Path::new("/proc"))
                .unwrap()
                .contains(&PathBuf::from("/proc"))
        );
        let place = tempfile::tempdir().unwrap();
        assert!(mounts_below(place.path()).unwrap().is_empty());
    }
}
