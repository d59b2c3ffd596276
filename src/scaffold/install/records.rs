//! What the packages of an environment say of their own files: each has a `RECORD` of names and hashes
//! (packaging.python.org, "Recording installed projects").

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use super::digest::sha256;

/// What the installer adds, and not the package: it differs between machines.
const OF_INSTALLER: [&str; 3] = ["INSTALLER", "REQUESTED", "direct_url.json"];

/// One package as it is installed.
struct Package {
    /// The name of its folder, such as `aider_chat-0.82.1.dist-info`.
    info: String,
    /// What the names in its record are relative to.
    folder: PathBuf,
    /// Names and SHA-256 in the form of the record; of compiled files there is none.
    files: Vec<(String, Option<String>)>,
}

/// What identifies an environment: names, versions and files of its packages, in hex. Fast: no file of a package is read.
pub(super) fn digest(environment: &Path) -> io::Result<String> {
    let mut lines = BTreeSet::new();
    for package in packages(environment)? {
        // pip comes with the interpreter, and does nothing for the agent.
        if package.info.starts_with("pip-") {
            continue;
        }
        lines.insert(package.info.clone());
        for (name, hash) in &package.files {
            let last = name.rsplit('/').next().unwrap_or(name);
            // What lies outside, such as a script of `bin`, names the place of the environment.
            if let Some(hash) = hash
                && !name.starts_with("..")
                && !OF_INSTALLER.contains(&last)
            {
                lines.insert(format!("{} {name} {hash}", package.info));
            }
        }
    }
    let text: String = lines.into_iter().map(|line| line + "\n").collect();
    Ok(hex::encode(Sha256::digest(text)))
}

/// The files of an environment that are not what was installed: changed, gone, or added where Python would import them.
/// Reads every file, which takes seconds.
pub(super) fn changed(environment: &Path) -> io::Result<Vec<PathBuf>> {
    let (mut changed, mut known) = (Vec::new(), BTreeSet::new());
    for package in packages(environment)? {
        for (name, hash) in package.files {
            let path = plain(&package.folder.join(name));
            if let Some(hash) = hash {
                let same = sha256(&path).is_ok_and(|found| URL_SAFE_NO_PAD.encode(found) == hash);
                if !same {
                    changed.push(path.clone());
                }
            }
            known.insert(path);
        }
    }
    for folder in site_packages(environment)? {
        for entry in walkdir::WalkDir::new(&folder).into_iter().flatten() {
            let extension = entry.path().extension().and_then(|extension| extension.to_str());
            let imported = matches!(extension, Some("py" | "pth" | "so"));
            if imported && !entry.file_type().is_dir() && !known.contains(entry.path()) {
                changed.push(entry.into_path());
            }
        }
    }
    changed.sort();
    Ok(changed)
}

/// A path without `..`: those of a record lead through folders that are no links.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            std::path::Component::ParentDir => drop(plain.pop()),
            other => plain.push(other),
        }
    }
    plain
}

fn site_packages(environment: &Path) -> io::Result<Vec<PathBuf>> {
    let folders = fs::read_dir(environment.join("lib"))?.flatten();
    let folders = folders.map(|entry| entry.path().join("site-packages"));
    Ok(folders.filter(|folder| folder.is_dir()).collect())
}

fn packages(environment: &Path) -> io::Result<Vec<Package>> {
    let mut packages = Vec::new();
    for folder in site_packages(environment)? {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            let info = entry.file_name().to_string_lossy().into_owned();
            let files = if info.ends_with(".dist-info") {
                record(&entry.path().join("RECORD"))?
            } else if info.ends_with(".egg-info") && entry.path().is_dir() {
                listed(&folder, &entry.path())?
            } else {
                continue;
            };
            let folder = folder.clone();
            packages.push(Package { info, folder, files });
        }
    }
    Ok(packages)
}

fn record(path: &Path) -> io::Result<Vec<(String, Option<String>)>> {
    let reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_path(path);
    let mut files = Vec::new();
    for line in reader.map_err(io::Error::other)?.into_records() {
        let line = line.map_err(io::Error::other)?;
        let name = line.get(0).unwrap_or_default();
        let hash = line.get(1).and_then(|hash| hash.strip_prefix("sha256="));
        // The installation compiles anew what a package brings compiled.
        let hash = hash.filter(|_| !name.ends_with(".pyc"));
        files.push((name.to_owned(), hash.map(str::to_owned)));
    }
    Ok(files)
}

/// The files of a package that was installed in the old way, from its sources: they are listed without hashes, so they
/// are hashed here.
fn listed(site: &Path, info: &Path) -> io::Result<Vec<(String, Option<String>)>> {
    let Ok(text) = fs::read_to_string(info.join("installed-files.txt")) else {
        return Ok(Vec::new());
    };
    let mut files = Vec::new();
    for line in text.lines().filter(|line| !line.ends_with(".pyc")) {
        let path = plain(&info.join(line));
        if let Ok(name) = path.strip_prefix(site) {
            let hash = sha256(&path).map(|hash| URL_SAFE_NO_PAD.encode(hash)).ok();
            files.push((name.display().to_string(), hash));
        }
    }
    Ok(files)
}
