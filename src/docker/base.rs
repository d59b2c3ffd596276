//! The one image: the empty folders and the links of this machine's root, and in them no more than made-up accounts.

use std::io;
use std::path::{Path, PathBuf};

use bollard::query_parameters::CreateImageOptions;
use futures_util::TryStreamExt;
use sha2::{Digest, Sha256};

use super::container::Mount;
use super::{DockerError, Engine};
use crate::process::system;

const NAME: &str = "mtsec-agents/base";
/// What a root has besides.
const FOLDERS: &[&str] = &["dev", "etc", "home", "proc", "root", "run", "sys", "tmp", "var"];
/// The system's own folders as read-only mounts, with what its programs need of `/etc`.
pub fn system_mounts() -> Vec<Mount> {
    let mut mounts = Vec::new();
    for name in system::FOLDERS {
        let path = Path::new("/").join(name);
        if path.symlink_metadata().is_ok_and(|found| found.is_dir()) {
            mounts.push(Mount::read_only(&path, &path));
        }
    }
    for name in system::ETC {
        let target = Path::new("/etc").join(name);
        if let Ok(real) = target.canonicalize() {
            mounts.push(Mount::read_only(&real, &target));
        }
    }
    mounts
}

/// The image's root as a tar archive, the same for the same machine.
fn archive() -> io::Result<Vec<u8>> {
    let mut links: Vec<(&str, PathBuf)> = Vec::new();
    let mut folders = FOLDERS.to_vec();
    for name in system::FOLDERS {
        let path = Path::new("/").join(name);
        match path.symlink_metadata() {
            Ok(found) if found.is_symlink() => links.push((name, std::fs::read_link(&path)?)),
            Ok(found) if found.is_dir() => folders.push(name),
            _ => {}
        }
    }
    let mut archive = tar::Builder::new(Vec::new());
    let header = |kind, mode, size: usize| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(size as u64);
        header.set_mtime(0);
        header
    };
    for name in folders {
        let mode = if name == "tmp" { 0o1777 } else { 0o755 };
        let mut header = header(tar::EntryType::Directory, mode, 0);
        archive.append_data(&mut header, format!("{name}/"), io::empty())?;
    }
    for (name, to) in links {
        archive.append_link(&mut header(tar::EntryType::Symlink, 0o777, 0), name, to)?;
    }
    for (name, text) in system::MADE_UP {
        let mut header = header(tar::EntryType::Regular, 0o644, text.len());
        archive.append_data(&mut header, format!("etc/{name}"), text.as_bytes())?;
    }
    archive.into_inner()
}

impl Engine {
    /// The name of the base image, which is there when this returns.
    ///
    /// # Errors
    /// The daemon does not take it.
    pub async fn base_image(&self) -> Result<String, DockerError> {
        let archive = archive()?;
        let tag = hex::encode(&Sha256::digest(&archive)[..8]);
        let image = format!("{NAME}:{tag}");
        match self.client.inspect_image(&image).await {
            Ok(_) => return Ok(image),
            Err(error) => match DockerError::of("look for the base image", error) {
                error if error.is_missing() => {}
                error => return Err(error),
            },
        }
        let options = CreateImageOptions {
            from_src: Some("-".to_owned()),
            repo: Some(NAME.to_owned()),
            tag: Some(tag),
            ..CreateImageOptions::default()
        };
        let body = bollard::body_full(archive.into());
        let taken = self.client.create_image(Some(options), Some(body), None);
        let taken: Result<Vec<_>, _> = taken.try_collect().await;
        taken.map_err(|error| DockerError::of("make the base image", error))?;
        Ok(image)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_image_holds_no_file_of_the_machine() {
        let bytes = archive().unwrap();
        assert_eq!(bytes, archive().unwrap(), "the same machine makes the same image");
        let mut names = Vec::new();
        for entry in tar::Archive::new(&bytes[..]).entries().unwrap() {
            let entry = entry.unwrap();
            let name = entry.path().unwrap().display().to_string();
            let made_up = system::MADE_UP
                .iter()
                .find(|(made_up, _)| name == format!("etc/{made_up}"));
            assert_eq!(entry.size(), made_up.map_or(0, |(_, text)| text.len() as u64), "{name}");
            names.push(name);
        }
        assert!(names.contains(&"tmp/".to_owned()) && names.len() > 9, "{names:?}");
    }

    #[test]
    fn mounts_of_the_system_are_read_only_and_reveal_no_accounts() {
        let mounts = system_mounts();
        assert!(mounts.iter().any(|mount| mount.target == Path::new("/usr")));
        for mount in mounts {
            assert!(!mount.writable && mount.source.exists(), "{mount:?}");
            assert!(!["/etc", "/etc/passwd", "/etc/shadow"].contains(&mount.target.to_str().unwrap()));
        }
    }
}
