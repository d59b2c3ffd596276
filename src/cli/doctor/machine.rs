//! Checks of the machine itself: programs, engines, room, limits.

use std::path::{Path, PathBuf};

use rustix::fs::{Access, access, statvfs};
use rustix::process::{Resource, getrlimit};

use super::Check;
use crate::docker::Engine;
use crate::recipe::Recipe;

/// Where a program is, by `PATH`.
pub(super) fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|program| program.is_file())
}

/// What a recipe's agent starts besides itself.
pub(super) fn needs(recipe: &Recipe) -> Option<Check> {
    let source = &recipe.source;
    let missing: Vec<&str> = source
        .needs
        .iter()
        .map(String::as_str)
        .filter(|name| on_path(name).is_none())
        .collect();
    let label = format!("programs for {}", source.name);
    match (source.needs.is_empty(), missing.is_empty()) {
        (true, _) => None,
        (false, true) => Some(Check::ok(&label, source.needs.join(", "))),
        (false, false) => {
            let missing = missing.join(" ");
            let remedy = format!(
                "Only {} needs it; on Debian and Ubuntu: apt install {missing}",
                source.name
            );
            Some(Check::warning(&label, format!("not on PATH: {missing}"), remedy))
        }
    }
}

/// Agents need it for some tasks.
pub(super) fn git() -> Check {
    match on_path("git") {
        Some(git) => Check::ok("git", git.display().to_string()),
        None => Check::warning(
            "git",
            "not found",
            "Agents need it for --repo-map and for tasks of several folders.",
        ),
    }
}

/// Optional: whether an engine answers.
pub(super) fn docker() -> std::io::Result<Check> {
    let found = crate::cli::parts::runtime()?.block_on(Engine::connect());
    Ok(match found {
        Ok(engine) => Check::ok("Docker", format!("{} at {}", engine.describe(), engine.host())),
        Err(error) => {
            let text = error.to_string();
            let (what, remedy) = text.split_once('\n').unwrap_or((&text, ""));
            let only = "Only needed for `--containment docker` and `--sandbox docker`.";
            Check::warning("Docker", what, format!("{only} {remedy}"))
        }
    })
}

/// Where agents work. Nobody makes this folder.
pub(super) fn temporary() -> Check {
    let (name, folder) = ("temporary folder", std::env::temp_dir());
    let remedy = "Set TMPDIR to a folder that is there and has more room.";
    match folder.is_dir() {
        true => room(name, &folder, 2 << 30, remedy),
        false => Check::missing(name, format!("{} is no folder", folder.display()), remedy),
    }
}

/// Whether a folder, or the one that it will be made in, takes files, and has room for them.
pub(super) fn room(name: &str, folder: &Path, wanted: u64, remedy: &str) -> Check {
    let absolute = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let Some(there) = absolute.ancestors().find(|folder| folder.exists()) else {
        return Check::missing(name, format!("{} is nowhere", absolute.display()), remedy);
    };
    let shown = absolute.display();
    if !there.is_dir() || access(there, Access::WRITE_OK | Access::EXEC_OK).is_err() {
        return Check::missing(name, format!("{shown} cannot be written"), remedy);
    }
    let Ok(system) = statvfs(there) else {
        return Check::warning(name, format!("{shown}: its room cannot be told"), remedy);
    };
    let free = system.f_bavail.saturating_mul(system.f_frsize);
    let found = format!("{shown}, {:.1} GB free", free as f64 / 1e9);
    match free {
        free if free < 64 << 20 => Check::missing(name, found, remedy),
        free if free < wanted => Check::warning(name, found, remedy),
        _ => Check::ok(name, found),
    }
}

/// What a user may open and start at once. About 30 descriptors and 10 processes for each trial at once.
pub(super) fn limits() -> Vec<Check> {
    let limit = |name: &str, resource, wanted: u64, remedy: &str| {
        let current = getrlimit(resource).current;
        let found = current.map_or_else(|| "unlimited".to_owned(), |current| current.to_string());
        match current {
            Some(current) if current < wanted => Check::warning(name, found, remedy),
            _ => Check::ok(name, found),
        }
    };
    vec![
        limit(
            "open files",
            Resource::Nofile,
            1024,
            "`ulimit -n 4096` before many trials at once.",
        ),
        limit(
            "processes",
            Resource::Nproc,
            1024,
            "`ulimit -u 4096` before many trials at once.",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn room_is_told_for_folders_that_are_not_there_yet() {
        let place = tempfile::tempdir().unwrap();
        let new = place.path().join("not/yet");
        assert_ne!(room("x", &new, 0, "").state, State::Missing);
        assert_eq!(room("x", &new, u64::MAX, "other").state, State::Warning);
        std::fs::write(place.path().join("file"), "").unwrap();
        assert_eq!(room("x", &place.path().join("file/below"), 0, "").state, State::Missing);
    }
}
