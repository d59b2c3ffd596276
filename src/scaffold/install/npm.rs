//! Agents whose native program is in an npm package. npm fetches it and knows from where; nothing of it is run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::digest::sha256;
use super::marker::Marker;
use super::step::run;
use super::tarball::unpack;
use super::{InstallError, Installed, Progress, Way, io};
use crate::recipe::{Npm, Packed, Recipe};

/// One agent, out of an npm package.
pub(super) struct FromNpm<'a> {
    pub recipe: &'a Recipe,
    pub npm: &'a Npm,
}

impl FromNpm<'_> {
    /// This machine's program.
    fn packed(&self) -> Result<&Packed, InstallError> {
        let architecture = std::env::consts::ARCH;
        self.npm.from.get(architecture).ok_or_else(|| {
            let known: Vec<&str> = self.npm.from.keys().map(String::as_str).collect();
            InstallError::Architecture {
                name: self.recipe.source.name.clone(),
                architecture,
                known: known.join(", "),
            }
        })
    }

    fn versioned(&self, text: &str) -> Result<String, InstallError> {
        self.recipe.versioned(text).map_err(|message| InstallError::Recipe {
            name: self.recipe.source.name.clone(),
            message,
        })
    }

    fn fetch(&self, package: &str, into: &Path, progress: &mut dyn FnMut(Progress)) -> Result<(), InstallError> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let npm = std::env::split_paths(&path)
            .map(|folder| folder.join("npm"))
            .find(|npm| npm.is_file());
        let npm = npm.ok_or_else(|| InstallError::NoNpm {
            name: self.recipe.source.name.clone(),
            package: package.to_owned(),
        })?;
        progress(Progress::Step("downloading the package"));
        let mut pack = Command::new(npm);
        pack.args(["pack", "--ignore-scripts", "--no-update-notifier", "--no-audit", "--"])
            .arg(package)
            .current_dir(into);
        run("downloading the package", &mut pack, progress)
    }
}

impl Way for FromNpm<'_> {
    fn prefix(&self) -> String {
        format!("{}-{}", self.recipe.source.version, std::env::consts::ARCH)
    }

    fn folder(&self) -> Result<String, InstallError> {
        self.packed()?;
        Ok(self.prefix())
    }

    fn look(&self, folder: &Path, marker: Marker) -> Result<Installed, InstallError> {
        let packed = self.packed()?;
        let (source, program) = (&self.recipe.source, folder.join(&self.npm.program));
        if !program.is_file() {
            return Err(InstallError::Incomplete(format!("{} is missing", program.display())));
        }
        // Another one than is pinned now, such as that of an older recipe of the same version.
        if packed.sha256.is_some() && packed.sha256 != marker.digest {
            let why = format!("{} is not the pinned program", program.display());
            return Err(InstallError::Incomplete(why));
        }
        let visible = program.parent().unwrap_or(folder).to_owned();
        Ok(Installed {
            name: source.name.clone(),
            version: source.version.clone(),
            folder: folder.to_owned(),
            interpreter: program.clone(),
            visible: vec![visible],
            program,
            digest: marker.digest,
        })
    }

    fn fill(&self, folder: &Path, progress: &mut dyn FnMut(Progress)) -> Result<Option<String>, InstallError> {
        let packed = self.packed()?;
        let (package, path) = (self.versioned(&self.npm.package)?, self.versioned(&packed.path)?);
        fs::create_dir_all(folder).map_err(io(folder))?;
        // Beside what will be the installation, so that it is removed with it should we be killed.
        let download = tempfile::tempdir_in(folder).map_err(io(folder))?;
        self.fetch(&package, download.path(), progress)?;
        let unusable = |why: &str| InstallError::Package {
            package: package.clone(),
            why: why.to_owned(),
        };
        let files = fs::read_dir(download.path()).map_err(io(folder))?.flatten();
        let mut paths = files.map(|entry| entry.path());
        let tarball = paths
            .find(|path| path.extension().is_some_and(|extension| extension == "tgz"))
            .ok_or_else(|| unusable("npm left no tarball"))?;
        progress(Progress::Step("checking the package"));
        let check = |what: String, found: &str, wanted: &Option<String>| match wanted {
            Some(wanted) if wanted != found => Err(InstallError::Checksum {
                what,
                found: found.to_owned(),
                wanted: wanted.clone(),
            }),
            _ => Ok(()),
        };
        let found = hex::encode(sha256(&tarball).map_err(io(&tarball))?);
        check(format!("the package {package}"), &found, &self.npm.sha256)?;
        progress(Progress::Step("unpacking the program"));
        let program = folder.join(&self.npm.program);
        if let Some(parent) = program.parent() {
            fs::create_dir_all(parent).map_err(io(parent))?;
        }
        let digest = unpack(&tarball, &path, &program).map_err(|error| unusable(&error.to_string()))?;
        check(format!("{path} of the package {package}"), &digest, &packed.sha256)?;
        Ok(Some(digest))
    }

    fn changed(&self, installed: &Installed) -> std::io::Result<Vec<PathBuf>> {
        let found = hex::encode(sha256(&installed.program)?);
        Ok(match installed.digest == Some(found) {
            true => Vec::new(),
            false => vec![installed.program.clone()],
        })
    }
}
