//! The preparing process of a run: it has imported the agent's library, and a session's driver is forked from it.
//!
//! It runs below a shepherd, so that it is gone when we are, however that comes about.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use rustix::net::{
    AddressFamily, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType, sockopt,
};
use serde::{Deserialize, Serialize};

use super::start::OPENHANDS;
use crate::process::tree::Process;
use crate::process::{children, mark, shepherd};
use crate::recipe::Recipe;
use crate::scaffold::Stage;
use crate::scaffold::install::Installed;
use crate::scaffold::installed::PATH;

/// How long its imports, and each fork, may take.
const PATIENCE: Duration = Duration::from_secs(180);
/// The longest answer.
const LONGEST: usize = 64 << 10;

/// One driver that is asked for.
#[derive(Debug, Serialize)]
pub(super) struct Request {
    /// The process whose namespaces it enters.
    pub agent: i32,
    /// The whole environment. No secret: what the zygote has been told could be read by what is forked from it later.
    pub env: BTreeMap<String, String>,
    pub folder: String,
    /// The system-call filter, in hex digits.
    pub filter: String,
    pub processes: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Answer {
    ready: bool,
    threads: u32,
    error: Option<String>,
}

/// A process that forks drivers.
#[derive(Debug)]
pub(super) struct Zygote {
    control: Mutex<OwnedFd>,
    child: Mutex<Child>,
    shepherd: Option<Process>,
    /// Its own folder, removed with it.
    _folder: tempfile::TempDir,
}

/// The zygote of each interpreter: one for all cells of a run.
static SHARED: tokio::sync::Mutex<BTreeMap<PathBuf, Weak<Zygote>>> = tokio::sync::Mutex::const_new(BTreeMap::new());

impl Zygote {
    /// The zygote of an installed agent, started if there is none. Takes ten seconds then.
    pub async fn of(recipe: &Recipe, installed: &Installed, program: &Path, stage: &Stage) -> io::Result<Arc<Self>> {
        let mut shared = SHARED.lock().await;
        if let Some(zygote) = shared.get(&installed.interpreter).and_then(Weak::upgrade)
            && zygote.shepherd.is_some_and(Process::runs)
        {
            return Ok(zygote);
        }
        let given = recipe.source.env.iter().filter(|(_, value)| !value.contains("{{"));
        let given: Vec<(String, String)> = given.map(|(name, value)| (name.clone(), value.clone())).collect();
        let (interpreter, program, home) = (installed.interpreter.clone(), program.to_owned(), stage.home.clone());
        let started = tokio::task::spawn_blocking(move || Self::start(&interpreter, &program, &home, given)).await;
        let zygote = Arc::new(started.map_err(io::Error::other)??);
        shared.insert(installed.interpreter.clone(), Arc::downgrade(&zygote));
        Ok(zygote)
    }

    fn start(interpreter: &Path, program: &Path, home: &Path, given: Vec<(String, String)>) -> io::Result<Self> {
        // Beside the places of the trials, where a dead run's leftovers are looked for.
        let scratch = home.parent().and_then(Path::parent).unwrap_or(home).canonicalize()?;
        let folder = tempfile::Builder::new().prefix("prepared-").tempdir_in(scratch)?;
        for (name, text) in OPENHANDS {
            std::fs::write(folder.path().join(name), text)?;
        }
        let (ours, theirs) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        sockopt::set_socket_timeout(&ours, sockopt::Timeout::Recv, Some(PATIENCE))?;
        let argv = [interpreter, &folder.path().join("zygote.py")].map(|path| path.display().to_string());
        let mut line = shepherd::command(program, &folder.path().join("shepherd.json"), argv.to_vec()).into_iter();
        let log = File::create(folder.path().join("zygote.log"))?;
        let mut command = Command::new(line.next().ok_or(io::ErrorKind::InvalidInput)?);
        let place = folder.path().join("home");
        std::fs::create_dir(&place)?;
        command
            .args(line)
            .env_clear()
            .envs(given)
            .env("PATH", PATH)
            .env("HOME", &place)
            .env("TMPDIR", &place)
            .envs([mark::mark(&place)])
            .current_dir(folder.path())
            .stdin(Stdio::from(theirs))
            .stdout(log.try_clone()?)
            .stderr(log);
        children::adopt()?;
        let child = children::spawn(&mut command)?;
        // It holds the other side's end of the socket.
        drop(command);
        let shepherd = Process::existing(child.id() as i32);
        let zygote = Self {
            control: Mutex::new(ours),
            child: Mutex::new(child),
            shepherd,
            _folder: folder,
        };
        let ready = zygote.control.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = hear(&ready)?;
        drop(ready);
        match answer {
            Answer {
                ready: true,
                threads: 1,
                ..
            } => Ok(zygote),
            Answer { threads, .. } => Err(io::Error::other(format!("it came up with {threads} threads"))),
        }
    }

    /// Forks a driver that talks over `channel`. Blocks for some milliseconds.
    pub fn fork(&self, request: &Request, channel: &UnixStream, log: &File) -> io::Result<()> {
        let packet = serde_json::to_vec(request)?;
        let control = self.control.lock().unwrap_or_else(PoisonError::into_inner);
        let descriptors = [channel.as_fd(), log.as_fd()];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
        rustix::net::sendmsg(&*control, &[IoSlice::new(&packet)], &mut ancillary, SendFlags::NOSIGNAL)?;
        match hear(&control)?.error {
            None => Ok(()),
            Some(error) => Err(io::Error::other(format!(
                "the driver could not enter the containment: {error}"
            ))),
        }
    }
}

fn hear(control: &OwnedFd) -> io::Result<Answer> {
    let mut packet = vec![0; LONGEST];
    let (count, _) = rustix::net::recv(control, packet.as_mut_slice(), RecvFlags::empty())?;
    if count == 0 {
        return Err(io::Error::other("the preparing process has ended"));
    }
    Ok(serde_json::from_slice(&packet[..count])?)
}

impl Drop for Zygote {
    fn drop(&mut self) {
        if let Some(shepherd) = self.shepherd {
            shepherd.signal(rustix::process::Signal::TERM);
        }
        let _ = self.child.lock().unwrap_or_else(PoisonError::into_inner).wait();
    }
}
