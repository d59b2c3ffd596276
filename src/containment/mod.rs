//! Where agents are held: in Linux namespaces, which need no daemon and no root, or in Docker containers.
//!
//! An agent sees its own processes, its workspace, home and temporary folder (writable), its installation and
//! interpreter and the system's programs (read-only), and nothing else of the host. Its network is a loopback interface
//! of its own with one port on it, behind which a forwarder leads to the gateway's socket.
//!
//! Roles, each our own program started again: the `launcher` runs under the agent's shepherd, makes the namespaces and
//! waits; the `init` is the first process inside, with the forwarder (`relay`), and the parent of the agent.
//!
//! In Docker the container has these walls, an `attendant` is in the launcher's place, and `inside` is how the same init
//! comes to its work.

mod attendant;
mod container;
mod init;
mod inside;
mod launcher;
mod namespaces;
mod probe;
mod relay;
mod spec;

pub use attendant::{ARGUMENT as ATTENDANT, attendant_main};
pub use container::Containers;
pub use inside::{INSIDE, inside_main};
pub use launcher::{ARGUMENT, launcher_main};
pub use namespaces::Namespaces;
pub use probe::{ProbeError, probe};
