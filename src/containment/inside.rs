//! The first process of a container: takes what the attendant hands over, and becomes the agent's init.

use std::ffi::OsString;
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags};

use super::init;
use super::spec::{Agent, Arrival};
use crate::docker;

/// The hidden subcommand.
pub const INSIDE: &str = "__inside";
/// The longest command line with its environment.
const MAX_ARRIVAL: usize = 1 << 20;

/// Runs the first process of a container: `arguments` are the path of the attendant's socket.
pub fn inside_main(mut arguments: impl Iterator<Item = OsString>) -> ! {
    let path = arguments.next().unwrap_or_default();
    match arrive(Path::new(&path)) {
        Ok((agent, attendant)) => init::run_in_container(&agent, attendant),
        Err(error) => {
            eprintln!("{INSIDE} cannot take its work: {error}");
            std::process::exit(126)
        }
    }
}

fn arrive(path: &Path) -> io::Result<(Agent, UnixStream)> {
    let socket: OwnedFd = docker::meet(path)?;
    let mut packet = vec![0; MAX_ARRIVAL];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let parts = &mut [IoSliceMut::new(&mut packet)];
    let received = rustix::net::recvmsg(&socket, parts, &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    let arrival: Arrival = serde_json::from_slice(&packet[..received.bytes])?;
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(streams) = message {
            for (stream, number) in streams.zip(0..3) {
                // SAFETY: plain duplications onto the standard descriptors, which nothing here uses.
                unsafe { libc::dup2(stream.as_raw_fd(), number) };
            }
        }
    }
    let inherited: Vec<OsString> = std::env::vars_os().map(|(name, _)| name).collect();
    // SAFETY: this process has one thread.
    unsafe {
        for name in inherited {
            std::env::remove_var(name);
        }
        for (name, value) in arrival.environment {
            std::env::set_var(name, value);
        }
    }
    // Messages keep their bounds on it, but it is read and written like any stream.
    Ok((arrival.agent, UnixStream::from(socket)))
}
