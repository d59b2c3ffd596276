//! Where agents are held: the embedded containment, made of Linux namespaces. No daemon, no root.
//!
//! An agent sees its own processes, its workspace, home and temporary folder (writable), its installation and
//! interpreter and the system's programs (read-only), and nothing else of the host. Its network is a loopback interface
//! of its own with one port on it, behind which a forwarder leads to the gateway's socket.
//!
//! Roles, each our own program started again: the `launcher` runs under the agent's shepherd, makes the namespaces and
//! waits; the `init` is the first process inside, with the forwarder (`relay`), and the parent of the agent.

mod init;
mod launcher;
mod namespaces;
mod relay;
mod spec;

pub use launcher::{ARGUMENT, launcher_main};
pub use namespaces::Namespaces;
