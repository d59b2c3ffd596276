//! The forwarder: from a port of the contained loopback interface to the gateway's socket.

use std::io;
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::thread;

use super::spec::{PORT, SOCKET};

/// Opens the port. The loopback interface must be up.
pub(super) fn listen() -> io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, PORT))
}

/// Forwards every connection, on threads of its own. What cannot be forwarded is closed: the agent sees that, and the
/// gateway's record does not have it.
pub(super) fn serve(listener: TcpListener) {
    let accept = move || {
        for agent in listener.incoming() {
            match agent {
                Ok(agent) => drop(forward(agent)),
                // Out of descriptors: some connection has to end first.
                Err(_) => thread::sleep(std::time::Duration::from_millis(10)),
            }
        }
    };
    let _ = thread::Builder::new().name("relay".to_owned()).spawn(accept);
}

fn forward(agent: TcpStream) -> io::Result<()> {
    let _ = agent.set_nodelay(true);
    let gateway = UnixStream::connect(SOCKET)?;
    let (mut from_agent, mut to_gateway) = (agent.try_clone()?, gateway.try_clone()?);
    let (mut from_gateway, mut to_agent) = (gateway, agent);
    // Each direction ends on its own: a side that has said everything may still listen.
    thread::Builder::new().spawn(move || {
        let _ = io::copy(&mut from_agent, &mut to_gateway);
        let _ = to_gateway.shutdown(Shutdown::Write);
    })?;
    thread::Builder::new().spawn(move || {
        let _ = io::copy(&mut from_gateway, &mut to_agent);
        let _ = to_agent.shutdown(Shutdown::Write);
    })?;
    Ok(())
}
