//! Whether this host lets us hold agents in namespaces.

use std::io;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Stdio};

use super::Namespaces;
use crate::process::{Containment, Room, children};

/// Agents cannot be held here.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// What the launcher said: the step that failed, why, and the remedy.
    #[error("{0}")]
    Refused(String),
    #[error("cannot try whether agents can be held: {0}")]
    Io(#[from] io::Error),
}

/// Holds an agent that does nothing, as every other would be held. `program` as for [`Namespaces::new`]; `place` is an empty
/// folder, for the caller to remove. Blocks for some milliseconds.
///
/// # Errors
/// [`ProbeError::Refused`] names the step that failed and the remedy.
pub fn probe(program: &Path, place: &Path) -> Result<(), ProbeError> {
    match hold_nothing(program, place) {
        // A full disk tells nothing of the kernel; whoever needs the room will say so.
        Err(ProbeError::Io(error)) if error.kind() == io::ErrorKind::StorageFull => Ok(()),
        Err(ProbeError::Refused(said)) if said.contains(&format!("os error {}", libc::ENOSPC)) => Ok(()),
        held => held,
    }
}

fn hold_nothing(program: &Path, place: &Path) -> Result<(), ProbeError> {
    let base = place.canonicalize()?;
    let folder = |name: &str| -> io::Result<_> {
        let path = base.join(name);
        std::fs::create_dir(&path)?;
        Ok(path)
    };
    let (workspace, home, tmp) = (folder("workspace")?, folder("home")?, folder("tmp")?);
    let (logs, private, gateway) = (folder("logs")?, folder("private")?, base.join("probe.sock"));
    let _listener = UnixListener::bind(&gateway)?;
    let room = Room {
        trial: "probe",
        workspace: &workspace,
        home: &home,
        tmp: &tmp,
        logs: &logs,
        shown: &[],
        gateway: &gateway,
        private: &private,
    };
    let wrapped = Namespaces::new(program.to_owned()).wrap(vec!["true".to_owned()], room)?;
    let [launcher, arguments @ ..] = wrapped.argv.as_slice() else {
        return Err(io::Error::from(io::ErrorKind::InvalidInput).into());
    };
    let mut command = Command::new(launcher);
    command
        .args(arguments)
        .current_dir(&workspace)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .stdin(Stdio::null());
    let output = children::output(&mut command)?;
    match output.status.success() {
        true => Ok(()),
        false => Err(ProbeError::Refused(
            String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        )),
    }
}
