//! The default containment, from the driver's side.

use std::io;
use std::os::unix::fs::lchown;
use std::path::{Path, PathBuf};

use super::init::PROCESSES;
use super::launcher::ARGUMENT;
use super::spec::{Agent, PORT, SOCKET, Spec, wrapped};
use crate::process::{Containment, Entry, Room, Wrapped};
use crate::sandbox::init::{NOBODY, may_become_nobody};
use crate::sandbox::seccomp;
use crate::sandbox::{Bind, Spec as View};

/// Holds agents in Linux namespaces.
#[derive(Debug, Clone)]
pub struct Namespaces {
    /// Our own executable, which knows the hidden launcher command.
    program: PathBuf,
}

impl Namespaces {
    /// `program`: an executable whose `main` knows [`super::launcher_main`].
    pub fn new(program: PathBuf) -> Self {
        Self { program }
    }
}

impl Containment for Namespaces {
    fn wrap(&self, argv: Vec<String>, room: Room<'_>) -> io::Result<Wrapped> {
        let writable = [room.workspace, room.home, room.tmp, room.logs];
        if nix::unistd::geteuid().is_root() && may_become_nobody() {
            // The launcher gives root's rights up, and the agent must still be able to write.
            writable.into_iter().try_for_each(hand_over)?;
        }
        let same = |path: &Path| Bind {
            source: path.to_owned(),
            target: path.to_owned(),
        };
        let writable: Vec<Bind> = writable.into_iter().map(same).collect();
        let shown = room.shown.iter().map(|shown| Bind {
            source: shown.source.clone(),
            target: shown.target.clone(),
        });
        let mut binds: Vec<Bind> = shown.collect();
        // To connect to a socket nothing of its mount needs to be writable; an agent of our own user could take the right to
        // connect from everyone otherwise.
        binds.push(Bind {
            source: room.gateway.canonicalize()?,
            target: SOCKET.into(),
        });
        wrapped(&self.program, ARGUMENT, room.private, |trace| {
            Ok(Spec {
                view: View {
                    binds,
                    writable,
                    interactive: true,
                    ..View::default()
                },
                agent: Agent {
                    folder: room.workspace.to_owned(),
                    argv,
                },
                trace,
            })
        })
    }

    fn api_base(&self, api_base: &str) -> String {
        inside(api_base)
    }

    fn entry(&self) -> Option<Entry> {
        let filter = seccomp::program(seccomp::For::Agent).ok()?;
        Some(Entry {
            filter,
            processes: PROCESSES,
        })
    }
}

/// The same route, at the forwarder's port.
pub(super) fn inside(api_base: &str) -> String {
    let path = api_base
        .split_once("://")
        .and_then(|(_, rest)| rest.find('/').map(|slash| &rest[slash..]));
    format!("http://127.0.0.1:{PORT}{}", path.unwrap_or_default())
}

/// Makes a tree the contained user's. Links are handed over themselves, never followed.
pub(super) fn hand_over(tree: &Path) -> io::Result<()> {
    for entry in walkdir::WalkDir::new(tree).follow_links(false) {
        lchown(entry?.path(), Some(NOBODY), Some(NOBODY))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_route_is_kept() {
        assert_eq!(
            inside("http://127.0.0.1:39211/t/abc/v1"),
            "http://127.0.0.1:4000/t/abc/v1"
        );
        assert_eq!(inside("http://[::1]:1"), "http://127.0.0.1:4000");
    }
}
