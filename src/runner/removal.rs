//! Removing what agents left, whatever they did to it.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::mount::{UnmountFlags, unmount};

/// Removes a tree even where its owner took the right to write in folders away. Links are removed, never followed; what
/// is mounted in it is taken off first, so that nothing of another place is lost.
///
/// # Errors
/// Something is left.
pub(super) fn remove_all(root: &Path) -> io::Result<()> {
    for mount in mounts_below(root)? {
        unmount(&mount, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW)?;
    }
    if std::fs::remove_dir_all(root).is_ok() {
        return Ok(());
    }
    for entry in walkdir::WalkDir::new(root).follow_links(false).into_iter().flatten() {
        if entry.file_type().is_dir() {
            use std::os::unix::fs::PermissionsExt;
            let _ = std::fs::set_permissions(entry.path(), std::fs::Permissions::from_mode(0o700));
        }
    }
    match std::fs::remove_dir_all(root) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
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
