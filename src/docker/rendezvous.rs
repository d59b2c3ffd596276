//! Where the first process of a container meets us: a Unix socket in a private folder that is mounted into it.
//!
//! Over it descriptors can be passed, which nothing of the Engine API could do: with them a process in a container is
//! handed what a child of ours would inherit.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use tempfile::TempDir;
use tokio::io::unix::AsyncFd;

use super::container::Mount;
use super::owner::private_folder;

/// Where the folder lies in a container.
const INSIDE: &str = "/run/mtsec-agents";
const NAME: &str = "socket";

/// Our side, before the other has come. Dropping it removes folder and socket; what was accepted stays.
#[derive(Debug)]
pub struct Rendezvous {
    listener: AsyncFd<OwnedFd>,
    folder: TempDir,
}

impl Rendezvous {
    /// # Errors
    /// No folder or socket can be made.
    pub fn new() -> io::Result<Self> {
        let folder = private_folder()?;
        let shared = folder.path().join("shared");
        let socket = socket()?;
        let opened = rustix::fs::open(&shared, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        // By way of the descriptor: a socket's path must be short, and that of a temporary folder need not be.
        rustix::net::bind(
            &socket,
            &address(&Path::new("/proc/self/fd").join(opened.as_raw_fd().to_string()))?,
        )?;
        // The container's user is another one; the folder around is ours alone.
        std::fs::set_permissions(shared.join(NAME), std::fs::Permissions::from_mode(0o666))?;
        rustix::net::listen(&socket, 1)?;
        rustix::io::ioctl_fionbio(&socket, true)?;
        Ok(Self {
            // SAFETY: the descriptor is owned by what is registered, and so stays the same and open until deregistered.
            listener: unsafe { AsyncFd::register(socket) }?,
            folder,
        })
    }

    /// The mount by which a container can come.
    ///
    /// # Errors
    /// The folder is gone.
    pub fn mount(&self) -> io::Result<Mount> {
        Ok(Mount::read_only(
            self.folder.path().join("shared").canonicalize()?,
            INSIDE,
        ))
    }

    /// The socket's path in a container with the mount.
    pub fn path_inside() -> PathBuf {
        Path::new(INSIDE).join(NAME)
    }

    /// Waits for whoever comes first.
    ///
    /// # Errors
    /// The socket fails.
    pub async fn accept(&self) -> io::Result<OwnedFd> {
        loop {
            let mut guard = self.listener.readable().await?;
            let accepted =
                guard.try_io(|listener| Ok(rustix::net::accept_with(listener.get_ref(), SocketFlags::CLOEXEC)?));
            match accepted {
                Ok(accepted) => return accepted,
                Err(_would_block) => continue,
            }
        }
    }
}

/// The container's side: connects to the socket at `path`. Blocking.
///
/// # Errors
/// Nobody waits there.
pub fn meet(path: &Path) -> io::Result<OwnedFd> {
    let socket = socket()?;
    let folder = path.parent().unwrap_or(Path::new("/"));
    rustix::net::connect(&socket, &address(folder)?)?;
    Ok(socket)
}

fn socket() -> io::Result<OwnedFd> {
    Ok(rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )?)
}

fn address(folder: &Path) -> io::Result<SocketAddrUnix> {
    Ok(SocketAddrUnix::new(folder.join(NAME))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_comes_is_let_in_and_nothing_is_left() {
        let rendezvous = Rendezvous::new().unwrap();
        let folder = rendezvous.folder.path().to_owned();
        let path = rendezvous.mount().unwrap().source.join(NAME);
        let theirs = meet(&path).unwrap();
        let ours = rendezvous.accept().await.unwrap();
        drop(rendezvous);
        assert!(!folder.exists());
        rustix::net::send(&theirs, b"here", rustix::net::SendFlags::empty()).unwrap();
        let mut said = [0; 8];
        let (length, _) = rustix::net::recv(&ours, &mut said, rustix::net::RecvFlags::empty()).unwrap();
        assert_eq!(&said[..length], b"here");
        assert!(meet(&path).is_err());
    }
}
