//! The forwarder: from a port of the contained loopback interface to the gateway's socket.

use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;

use nix::mount::{MntFlags, umount2};

use super::spec::{PORT, SOCKET};

/// Most connections at once; more wait until one ends. An agent needs one or two, and each takes a descriptor of the gateway's.
const CONNECTIONS: usize = 64;

/// The way to the gateway.
pub(super) enum Gateway {
    /// Its socket, opened as a place to connect to, and seen by nobody else any more.
    Hidden(File),
    /// Its socket at [`SOCKET`], which the agent sees as well.
    Shown,
}

impl Gateway {
    /// Takes the socket out of the agent's sight, so that all that it says goes through the forwarder.
    pub(super) fn hide() -> io::Result<Self> {
        let place = std::fs::OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_PATH)
            .open(SOCKET)?;
        umount2(SOCKET, MntFlags::MNT_DETACH)?;
        Ok(Self::Hidden(place))
    }

    fn connect(&self) -> io::Result<UnixStream> {
        let path = match self {
            Self::Hidden(place) => PathBuf::from(format!("/proc/self/fd/{}", place.as_raw_fd())),
            Self::Shown => PathBuf::from(SOCKET),
        };
        UnixStream::connect(path)
    }
}

/// The places of connections.
#[derive(Default)]
struct Open {
    count: Mutex<usize>,
    ended: Condvar,
}

/// One place, given back when dropped.
struct Place(Arc<Open>);

impl Open {
    /// Waits for a place.
    fn enter(self: &Arc<Self>) -> Place {
        let mut count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        while *count >= CONNECTIONS {
            count = self.ended.wait(count).unwrap_or_else(PoisonError::into_inner);
        }
        *count += 1;
        Place(self.clone())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        *self.0.count.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.0.ended.notify_one();
    }
}

/// Opens the port. The loopback interface must be up.
pub(super) fn listen() -> io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, PORT))
}

/// Forwards every connection, on threads of its own. What cannot be forwarded is closed: the agent sees that, and the
/// gateway's record does not have it.
pub(super) fn serve(listener: TcpListener, gateway: Gateway) {
    let open = Arc::new(Open::default());
    let accept = move || {
        loop {
            let place = open.enter();
            match listener.accept() {
                Ok((agent, _)) => drop(forward(agent, &gateway, place)),
                // Out of descriptors: some connection has to end first.
                Err(_) => thread::sleep(std::time::Duration::from_millis(10)),
            }
        }
    };
    let _ = thread::Builder::new().name("relay".to_owned()).spawn(accept);
}

fn forward(agent: TcpStream, gateway: &Gateway, place: Place) -> io::Result<()> {
    let _ = agent.set_nodelay(true);
    let gateway = gateway.connect()?;
    let (mut from_agent, mut to_gateway) = (agent.try_clone()?, gateway.try_clone()?);
    let (mut from_gateway, mut to_agent) = (gateway, agent);
    // Each direction ends on its own: a side that has said everything may still listen. The place is given back by the last.
    let place = Arc::new(place);
    let kept = place.clone();
    thread::Builder::new().spawn(move || {
        let _ = io::copy(&mut from_agent, &mut to_gateway);
        let _ = to_gateway.shutdown(Shutdown::Write);
        drop(kept);
    })?;
    thread::Builder::new().spawn(move || {
        let _ = io::copy(&mut from_gateway, &mut to_agent);
        let _ = to_agent.shutdown(Shutdown::Write);
        drop(place);
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{TryRecvError, channel};
    use std::time::Duration;

    #[test]
    fn one_connection_too_many_waits_for_the_end_of_another() {
        let open = Arc::new(Open::default());
        let mut places: Vec<Place> = (0..CONNECTIONS).map(|_| open.enter()).collect();
        let (sender, accepted) = channel();
        let waits = open.clone();
        let thread = thread::spawn(move || sender.send(waits.enter()));
        assert_eq!(accepted.try_recv().err(), Some(TryRecvError::Empty));
        places.pop();
        assert!(accepted.recv_timeout(Duration::from_secs(20)).is_ok());
        thread.join().unwrap().unwrap();
    }
}
