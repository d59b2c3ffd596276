//! The containment in Docker, from the driver's side.

use std::io;
use std::path::{Path, PathBuf};

use super::attendant::ARGUMENT;
use super::inside::INSIDE;
use super::namespaces::{hand_over, inside};
use super::spec::{Agent, InContainer, SOCKET, wrapped};
use crate::docker::{self, ContainerSpec, Engine, Mount};
use crate::process::{Containment, Room, Wrapped};
use crate::sandbox::init::NOBODY;

/// Where our own program lies in a container: its first process.
const PROGRAM: &str = "/mtsec-agents";
/// Memory of one session, in bytes: an agent is a program of some hundred megabytes, and builds what it writes.
const MEMORY: u64 = 4 << 30;
/// Processes and threads of one session.
const PROCESSES: u32 = 4096;
const SHM: u64 = 128 << 20;
const TMP: &str = "rw,nosuid,nodev,exec,mode=1777,size=512m,nr_inodes=100000";

/// Holds each agent in a Docker container of its own.
#[derive(Debug, Clone)]
pub struct Containers {
    engine: Engine,
    /// Our own executable, without symbolic links.
    program: PathBuf,
    /// The name of the run, for labels.
    run: String,
}

impl Containers {
    /// `program`: an executable whose `main` knows [`super::attendant_main`] and [`super::inside_main`].
    ///
    /// # Errors
    /// There is no such executable.
    pub fn new(engine: Engine, program: &Path, run: &str) -> io::Result<Self> {
        Ok(Self {
            engine,
            program: program.canonicalize()?,
            run: run.to_owned(),
        })
    }

    fn container(&self, room: &Room<'_>) -> io::Result<ContainerSpec> {
        let mut mounts = docker::system_mounts();
        mounts.push(Mount::read_only(&self.program, PROGRAM));
        for shown in room.shown {
            mounts.push(Mount::read_only(&shown.source, &shown.target));
        }
        for place in [room.workspace, room.home, room.tmp, room.logs] {
            mounts.push(Mount::writable(place, place));
        }
        // To connect to a socket nothing of its mount needs to be writable; an agent of our own user could take the right to
        // connect from everyone otherwise.
        mounts.push(Mount::read_only(room.gateway.canonicalize()?, SOCKET));
        Ok(ContainerSpec {
            purpose: "agent".to_owned(),
            run: self.run.clone(),
            trial: room.trial.to_owned(),
            command: vec![PROGRAM.to_owned(), INSIDE.to_owned()],
            working_dir: Some(room.workspace.to_owned()),
            user: docker::user(),
            mounts,
            tmpfs: vec![("/tmp".into(), TMP.to_owned())],
            shm: SHM,
            memory: MEMORY,
            processes: PROCESSES,
            auto_remove: true,
            ..ContainerSpec::default()
        })
    }
}

impl Containment for Containers {
    fn wrap(&self, argv: Vec<String>, room: Room<'_>) -> io::Result<Wrapped> {
        if docker::user() == (NOBODY, NOBODY) {
            let places = [room.workspace, room.home, room.tmp, room.logs];
            places.into_iter().try_for_each(hand_over)?;
        }
        wrapped(&self.program, ARGUMENT, room.private, |trace| {
            Ok(InContainer {
                host: self.engine.host().to_owned(),
                container: self.container(&room)?,
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
}
