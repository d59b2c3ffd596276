//! The preparing process of a run: it has imported the agent's library, and a session's driver is forked from it.
//!
//! It runs below a shepherd, so that it is gone when we are, however that comes about.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::net::{
    AddressFamily, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};
use serde::{Deserialize, Serialize};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::Mutex;

use super::start::OPENHANDS;
use crate::process::tree::Process;
use crate::process::{children, mark, shepherd};
use crate::scaffold::installed::PATH;

/// How long its imports may take.
const IMPORTS: Duration = Duration::from_secs(180);
/// How long each fork may take.
const FORK: Duration = Duration::from_secs(30);
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
    control: Mutex<Control>,
    child: Child,
    shepherd: Option<Process>,
    /// It did not answer as it must.
    lost: AtomicBool,
    /// Its own folder, removed with it.
    _folder: tempfile::TempDir,
}

/// The line to it, on which answers come in the order of the requests.
#[derive(Debug)]
struct Control {
    socket: AsyncFd<OwnedFd>,
    /// Answers that are still to come: whoever asks may be cancelled before there is one.
    owed: usize,
}

impl Zygote {
    /// Starts one whose environment is `given`, with its folder in `scratch`; it can be used once it is [ready](Self::ready).
    /// Must be called within a runtime.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(interpreter: &Path, program: &Path, scratch: &Path, given: &[(String, String)]) -> io::Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("prepared-")
            .tempdir_in(scratch.canonicalize()?)?;
        let own = ("zygote.py", include_str!("../../../scaffolds/openhands/zygote.py"));
        for (name, text) in OPENHANDS.into_iter().chain([own]) {
            std::fs::write(folder.path().join(name), text)?;
        }
        let flags = SocketFlags::CLOEXEC;
        let (ours, theirs) = rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        rustix::io::ioctl_fionbio(&ours, true)?;
        let argv = [interpreter, &folder.path().join("zygote.py")].map(|path| path.display().to_string());
        let mut line = shepherd::command(program, &folder.path().join("shepherd.json"), argv.to_vec()).into_iter();
        let log = File::create(folder.path().join("zygote.log"))?;
        let mut command = Command::new(line.next().ok_or(io::ErrorKind::InvalidInput)?);
        let place = folder.path().join("home");
        std::fs::create_dir(&place)?;
        command
            .args(line)
            .env_clear()
            .envs(given.iter().map(|(name, value)| (name, value)))
            .env("PATH", PATH)
            .env("HOME", &place)
            .env("TMPDIR", &place)
            .envs([mark::mark(&place)])
            .current_dir(folder.path())
            .stdin(Stdio::from(theirs))
            .stdout(log.try_clone()?)
            .stderr(log);
        // SAFETY: an `OwnedFd` always gives the same, open descriptor.
        let socket = unsafe { AsyncFd::register_with_interest(ours, Interest::READABLE) }.map_err(io::Error::from)?;
        children::adopt()?;
        let child = children::spawn(&mut command)?;
        // The command, which holds the other side's end of the socket, is dropped here: else its end would not be seen.
        Ok(Self {
            control: Mutex::new(Control { socket, owed: 1 }),
            shepherd: Process::existing(child.id() as i32),
            child,
            lost: AtomicBool::new(false),
            _folder: folder,
        })
    }

    /// Whether it can be asked for drivers.
    pub fn runs(&self) -> bool {
        !self.lost.load(Ordering::Relaxed) && self.shepherd.is_some_and(Process::runs)
    }

    /// Waits until it has imported everything.
    ///
    /// # Errors
    /// It has ended, takes too long, or has threads, with which it cannot be forked.
    pub async fn ready(&self) -> io::Result<()> {
        match self.control.lock().await.hear(IMPORTS).await? {
            Answer {
                ready: true,
                threads: 1,
                ..
            } => Ok(()),
            Answer { threads, .. } => Err(io::Error::other(format!("it came up with {threads} threads"))),
        }
    }

    /// Forks a driver that talks over `channel`: a matter of milliseconds.
    ///
    /// # Errors
    /// The preparing process has ended, or the driver could not enter the containment.
    pub async fn fork(&self, request: &Request, channel: &UnixStream, log: &File) -> io::Result<()> {
        let packet = serde_json::to_vec(request)?;
        let answer = self.control.lock().await.ask(&packet, channel, log).await;
        let answer = answer.inspect_err(|_| self.lost.store(true, Ordering::Relaxed))?;
        match answer.error {
            None => Ok(()),
            Some(error) => Err(io::Error::other(format!(
                "the driver could not enter the containment: {error}"
            ))),
        }
    }
}

impl Control {
    async fn ask(&mut self, packet: &[u8], channel: &UnixStream, log: &File) -> io::Result<Answer> {
        while self.owed > 0 {
            self.hear(FORK).await?;
        }
        self.send(packet, channel, log)?;
        self.hear(FORK).await
    }

    fn send(&mut self, packet: &[u8], channel: &UnixStream, log: &File) -> io::Result<()> {
        let descriptors = [channel.as_fd(), log.as_fd()];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
        let packet = [IoSlice::new(packet)];
        // With nothing underway there is room for one packet.
        rustix::net::sendmsg(self.socket.get_ref(), &packet, &mut ancillary, SendFlags::NOSIGNAL)?;
        self.owed += 1;
        Ok(())
    }

    async fn hear(&mut self, patience: Duration) -> io::Result<Answer> {
        let mut packet = vec![0; LONGEST];
        let heard = async {
            loop {
                let mut ready = self.socket.readable().await?;
                let received = ready.try_io(|socket| {
                    let (count, _) = rustix::net::recv(socket.get_ref(), packet.as_mut_slice(), RecvFlags::empty())?;
                    Ok(count)
                });
                if let Ok(count) = received {
                    return count;
                }
            }
        };
        let late = |_| io::Error::other(format!("the preparing process did not answer within {patience:?}"));
        let count = tokio::time::timeout(patience, heard).await.map_err(late)??;
        self.owed = self.owed.saturating_sub(1);
        match count {
            0 => Err(io::Error::other("the preparing process has ended")),
            count => Ok(serde_json::from_slice(&packet[..count])?),
        }
    }
}

impl Drop for Zygote {
    fn drop(&mut self) {
        if let Some(shepherd) = self.shepherd {
            shepherd.signal(rustix::process::Signal::TERM);
        }
        let _ = self.child.wait();
    }
}
