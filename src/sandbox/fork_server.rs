//! A warm interpreter in a sandbox that forks one contained child per job.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::UnixStream;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::error::SandboxError;
use super::launcher::Launcher;
use super::outer::Outer;
use super::spec::Spec;
use super::{Contained, Exit, Sandbox, Trust};

/// The death of a sandbox may be heard a little later than the death of a child.
const GRACE: Duration = Duration::from_millis(200);

/// The fork server of one [`Spec`]. Starts lazily, and again (once per death) when it has died.
pub struct ForkServer {
    launcher: Launcher,
    spec: Spec,
    /// How many hostile children are kept forked ahead, to hide the time that their namespaces take.
    ahead: usize,
    live: tokio::sync::Mutex<Option<Arc<Live>>>,
}

impl ForkServer {
    /// A server that is not yet running.
    pub fn new(launcher: impl Into<Launcher>, spec: Spec, ahead: usize) -> Self {
        Self {
            launcher: launcher.into(),
            spec,
            ahead,
            live: tokio::sync::Mutex::new(None),
        }
    }

    /// Starts the server if it is not running.
    pub async fn warm_up(&self) -> Result<(), SandboxError> {
        self.live().await?.fork_ahead(self.ahead).await
    }

    /// The running server, started if there is none.
    async fn live(&self) -> Result<Arc<Live>, SandboxError> {
        let mut slot = self.live.lock().await;
        if let Some(live) = slot.as_ref().filter(|live| !*live.dead.borrow()) {
            return Ok(Arc::clone(live));
        }
        *slot = None;
        let live = Live::start(Outer::start(&self.launcher, &self.spec).await?);
        *slot = Some(Arc::clone(&live));
        Ok(live)
    }
}

#[async_trait]
impl Sandbox for ForkServer {
    async fn start(&self, trust: Trust) -> Result<Box<dyn Contained>, SandboxError> {
        let live = self.live().await?;
        let ready = match trust {
            Trust::Harness => None,
            Trust::Hostile => live.ahead.lock().unwrap_or_else(PoisonError::into_inner).pop_front(),
        };
        let mut child = match ready {
            Some(child) => child,
            None => live.fork(trust).await?,
        };
        if trust == Trust::Hostile {
            live.fork_ahead(self.ahead).await?;
        }
        child.set_up(&live).await?;
        child.live = Some(live);
        Ok(Box::new(child))
    }
}

/// A running fork server.
struct Live {
    outer: Arc<Outer>,
    next: AtomicU64,
    dead: Arc<watch::Sender<bool>>,
    /// Why the last fork failed.
    failure: Arc<Mutex<Option<String>>>,
    ahead: Mutex<VecDeque<Child>>,
    listener: AbortHandle,
}

impl Live {
    fn start(outer: Outer) -> Arc<Self> {
        let outer = Arc::new(outer);
        let dead = Arc::new(watch::Sender::new(false));
        let failure = Arc::new(Mutex::new(None));
        let listener = tokio::spawn(listen(Arc::clone(&outer), Arc::clone(&dead), Arc::clone(&failure)));
        Arc::new(Self {
            outer,
            next: AtomicU64::new(1),
            dead,
            failure,
            ahead: Mutex::new(VecDeque::new()),
            listener: listener.abort_handle(),
        })
    }

    /// Asks for a child; whether it could be set up is seen later.
    async fn fork(&self, trust: Trust) -> Result<Child, SandboxError> {
        let (stream, their_stream) = UnixStream::pair()?;
        let (status, their_status) = UnixStream::pair()?;
        let (their_stream, their_status) = (blocking(their_stream)?, blocking(their_status)?);
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let plain = trust == Trust::Harness;
        let request = format!("{{\"op\": \"spawn\", \"id\": {id}, \"plain\": {plain}}}");
        let descriptors = [their_stream.as_fd(), their_status.as_fd()];
        if let Err(error) = self.send(request.as_bytes(), &descriptors).await {
            tracing::debug!(%error, "the fork server does not listen");
            return Err(self.died().await);
        }
        Ok(Child {
            id,
            stream,
            status: BufReader::new(status),
            control: Some(Arc::clone(&self.outer)),
            live: None,
        })
    }

    async fn fork_ahead(&self, wanted: usize) -> Result<(), SandboxError> {
        while self.ahead.lock().unwrap_or_else(PoisonError::into_inner).len() < wanted {
            let child = self.fork(Trust::Hostile).await?;
            self.ahead
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push_back(child);
        }
        Ok(())
    }

    async fn send(&self, packet: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        self.outer.send(packet, descriptors).await
    }

    async fn died(&self) -> SandboxError {
        self.dead.send_replace(true);
        self.outer.died().await
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.listener.abort();
        self.outer.end();
    }
}

async fn listen(outer: Arc<Outer>, dead: Arc<watch::Sender<bool>>, failure: Arc<Mutex<Option<String>>>) {
    loop {
        match outer.receive().await {
            Ok(Some(message)) => {
                if message.failed.is_some() {
                    *failure.lock().unwrap_or_else(PoisonError::into_inner) = message.error;
                }
            }
            Ok(None) => break,
            Err(error) => {
                tracing::debug!(%error, "the fork server's socket failed");
                break;
            }
        }
    }
    dead.send_replace(true);
}

/// Whether the sandbox is dead, or turns out to be within the time.
async fn ended(dead: &watch::Sender<bool>, within: Duration) -> bool {
    let mut dead = dead.subscribe();
    tokio::time::timeout(within, dead.wait_for(|dead| *dead)).await.is_ok()
}

fn blocking(stream: UnixStream) -> io::Result<OwnedFd> {
    let stream = stream.into_std()?;
    stream.set_nonblocking(false)?;
    Ok(stream.into())
}

/// A child, contained by its own namespaces.
struct Child {
    id: u64,
    stream: UnixStream,
    /// Lines of the child's init, which the code under test cannot reach.
    status: BufReader<UnixStream>,
    control: Option<Arc<Outer>>,
    /// Keeps the server as long as the child is used; children forked ahead belong to the server and must not.
    live: Option<Arc<Live>>,
}

/// One line of a child's status.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Status {
    ready: bool,
    error: Option<String>,
    exit: Option<i32>,
}

impl Child {
    /// Waits until the child is contained.
    async fn set_up(&mut self, live: &Live) -> Result<(), SandboxError> {
        match self.next_status().await {
            Some(Status { ready: true, .. }) => Ok(()),
            Some(Status { error: Some(error), .. }) => Err(SandboxError::Spawn(error)),
            _ => {
                // Either the fork failed, of which the server tells, or the server is gone.
                tokio::task::yield_now().await;
                let failure = live.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
                match failure {
                    Some(failure) => Err(SandboxError::Spawn(failure)),
                    None => Err(live.died().await),
                }
            }
        }
    }

    async fn next_status(&mut self) -> Option<Status> {
        let mut line = String::new();
        match self.status.read_line(&mut line).await {
            Ok(1..) => serde_json::from_str(&line).ok(),
            _ => None,
        }
    }
}

#[async_trait]
impl Contained for Child {
    fn stream(&mut self) -> &mut UnixStream {
        &mut self.stream
    }

    async fn exit(&mut self) -> Exit {
        match self.next_status().await {
            Some(Status { exit: Some(status), .. }) => {
                // It has ended: there is nothing left to kill.
                self.control = None;
                match status {
                    0.. => Exit::Status(status),
                    _ => Exit::Signal(-status),
                }
            }
            _ => {
                let Some(live) = &self.live else { return Exit::Lost };
                match ended(&live.dead, GRACE).await {
                    true => Exit::SandboxDied,
                    false => Exit::Lost,
                }
            }
        }
    }

    fn kill(&self) {
        let Some(control) = &self.control else { return };
        let request = format!("{{\"op\": \"kill\", \"id\": {}}}", self.id);
        if let Err(error) = control.send_now(request.as_bytes(), &[]) {
            // It does not take orders any more: it must not keep what should be dead.
            tracing::debug!(%error, "ending the fork server, which does not listen");
            control.end();
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill();
    }
}
