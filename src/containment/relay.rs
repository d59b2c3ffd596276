//! The forwarder: from a port of the contained loopback interface to the gateway's socket.

use std::io;
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;

use super::spec::{PORT, SOCKET};

/// Connections at once. What comes after them waits to be accepted, and costs the gateway nothing.
const CONNECTIONS: usize = 64;

/// The connections that are open.
#[derive(Default)]
struct Open {
    count: Mutex<usize>,
    fewer: Condvar,
}

/// One open connection, until both of its directions have ended.
struct Place(Arc<Open>);

impl Open {
    /// Waits until there is room for one more.
    fn place(self: &Arc<Self>) -> Place {
        let count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        let full = |count: &mut usize| *count >= CONNECTIONS;
        let mut count = self
            .fewer
            .wait_while(count, full)
            .unwrap_or_else(PoisonError::into_inner);
        *count += 1;
        Place(self.clone())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        *self.0.count.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.0.fewer.notify_one();
    }
}

/// Opens the port. The loopback interface must be up.
pub(super) fn listen() -> io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, PORT))
}

/// Forwards every connection, on threads of its own. What cannot be forwarded is closed: the agent sees that, and the
/// gateway's record does not have it.
pub(super) fn serve(listener: TcpListener) {
    let accept = move || {
        let open = Arc::new(Open::default());
        loop {
            let place = open.place();
            match listener.accept() {
                Ok((agent, _)) => drop(forward(agent, place)),
                // Out of descriptors: some connection has to end first.
                Err(_) => thread::sleep(std::time::Duration::from_millis(10)),
            }
        }
    };
    let _ = thread::Builder::new().name("relay".to_owned()).spawn(accept);
}

fn forward(agent: TcpStream, place: Place) -> io::Result<()> {
    let _ = agent.set_nodelay(true);
    let gateway = UnixStream::connect(SOCKET)?;
    let (mut from_agent, mut to_gateway) = (agent.try_clone()?, gateway.try_clone()?);
    let (mut from_gateway, mut to_agent) = (gateway, agent);
    // Each direction ends on its own: a side that has said everything may still listen.
    let place = Arc::new(place);
    let other = place.clone();
    thread::Builder::new().spawn(move || {
        let _ = io::copy(&mut from_agent, &mut to_gateway);
        let _ = to_gateway.shutdown(Shutdown::Write);
        drop(other);
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
        let mut places: Vec<Place> = (0..CONNECTIONS).map(|_| open.place()).collect();
        let (sender, accepted) = channel();
        let waits = open.clone();
        let thread = thread::spawn(move || sender.send(waits.place()));
        assert_eq!(accepted.try_recv().err(), Some(TryRecvError::Empty));
        places.pop();
        assert!(accepted.recv_timeout(Duration::from_secs(20)).is_ok());
        thread.join().unwrap().unwrap();
    }
}
