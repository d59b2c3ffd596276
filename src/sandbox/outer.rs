//! Our side of a sandbox's outer shell: starts the launcher and talks to what runs inside.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::Child;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::net::{RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sockopt};
use tokio::io::unix::AsyncFd;

use super::error::SandboxError;
use super::launcher::{Launcher, Started};
use super::probe::remedy;
use super::spec::{Message, Spec};

/// How long a sandbox may take to be built and to start its command.
const START: Duration = Duration::from_secs(30);
/// What is kept of the sandbox's standard error.
const MAX_STDERR: usize = 4096;

/// A running sandbox. Dropping it ends everything inside.
pub(super) struct Outer {
    control: AsyncFd<OwnedFd>,
    stderr: Arc<Mutex<VecDeque<u8>>>,
}

impl Outer {
    /// Starts a launcher and waits until the command in the sandbox says that it is ready.
    pub async fn start(launcher: &Launcher, spec: &Spec) -> Result<Self, SandboxError> {
        let packet = serde_json::to_vec(spec).map_err(io::Error::from)?;
        let Started {
            control: ours,
            their_stderr,
            stderr: pipe,
            child,
        } = launcher.start(spec).await?;
        // The request is one packet, and the default may be smaller than it.
        let _ = sockopt::set_socket_send_buffer_size(&ours, packet.len() * 2 + 65536);
        let stderr = Arc::new(Mutex::new(VecDeque::new()));
        let kept = Arc::clone(&stderr);
        std::thread::spawn(move || attend(child, pipe, &kept));
        rustix::io::ioctl_fionbio(&ours, true).map_err(io::Error::from)?;
        // SAFETY: the descriptor is owned by what is registered, and so stays the same and open until deregistered.
        let control = unsafe { AsyncFd::register(ours) }.map_err(io::Error::from)?;
        let outer = Self { control, stderr };
        let passed: Vec<BorrowedFd<'_>> = their_stderr.iter().map(AsFd::as_fd).collect();
        outer.send(&packet, &passed).await?;
        drop(their_stderr);
        let first = tokio::time::timeout(START, outer.receive())
            .await
            .map_err(|_| SandboxError::Silent(START.as_secs()))??;
        match first {
            Some(Message { ready: true, .. }) => Ok(outer),
            Some(Message {
                launch_failure: Some(failure),
                ..
            }) => {
                let error = io::Error::from_raw_os_error(failure.errno);
                Err(SandboxError::Refused {
                    remedy: remedy(&failure.step, &error),
                    step: failure.step,
                    error,
                })
            }
            _ => Err(outer.died().await),
        }
    }

    /// Sends one packet, with descriptors.
    pub async fn send(&self, packet: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        loop {
            let mut guard = self.control.writable().await?;
            match guard.try_io(|control| send_to(control.get_ref(), packet, descriptors)) {
                Ok(result) => return result,
                Err(_would_block) => continue,
            }
        }
    }

    /// Sends one packet now or not at all.
    pub fn send_now(&self, packet: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        send_to(self.control.get_ref(), packet, descriptors)
    }

    /// The next message; `None` when the sandbox has ended.
    pub async fn receive(&self) -> io::Result<Option<Message>> {
        let mut packet = [0; 4096];
        loop {
            let mut guard = self.control.readable().await?;
            let received = guard.try_io(|control| {
                let (length, _) = rustix::net::recv(control.get_ref(), &mut packet[..], RecvFlags::empty())?;
                Ok(length)
            });
            return match received {
                Ok(Ok(0)) => Ok(None),
                Ok(Ok(length)) => Ok(serde_json::from_slice(&packet[..length]).map(Some)?),
                Ok(Err(error)) if error.raw_os_error() == Some(libc::ECONNRESET) => Ok(None),
                Ok(Err(error)) => Err(error),
                Err(_would_block) => continue,
            };
        }
    }

    /// The error of a sandbox that has ended, with what it said last.
    pub async fn died(&self) -> SandboxError {
        // Its last words may still be on their way through the thread that attends to it.
        tokio::time::sleep(Duration::from_millis(50)).await;
        let said = self.stderr.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes: Vec<u8> = said.iter().copied().collect();
        SandboxError::Died {
            detail: String::from_utf8_lossy(&bytes).into_owned(),
        }
    }

    /// Ends everything inside, without waiting.
    pub fn end(&self) {
        let _ = rustix::net::shutdown(self.control.get_ref(), rustix::net::Shutdown::Both);
    }
}

impl Drop for Outer {
    fn drop(&mut self) {
        self.end();
    }
}

fn send_to(control: &OwnedFd, packet: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() {
        ancillary.push(SendAncillaryMessage::ScmRights(descriptors));
    }
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    rustix::net::sendmsg(control, &[IoSlice::new(packet)], &mut ancillary, flags)?;
    Ok(())
}

/// Keeps the end of the sandbox's standard error, and reaps a launcher that is a child of ours.
fn attend(child: Option<Child>, pipe: Option<Box<dyn Read + Send>>, kept: &Mutex<VecDeque<u8>>) {
    let mut buffer = [0; 1024];
    if let Some(mut pipe) = pipe {
        while let Ok(length @ 1..) = pipe.read(&mut buffer) {
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.extend(&buffer[..length]);
            let surplus = kept.len().saturating_sub(MAX_STDERR);
            kept.drain(..surplus);
        }
    }
    if let Some(mut child) = child {
        let _ = child.wait();
    }
}
