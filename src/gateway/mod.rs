//! The gateway between agent and model: one local HTTP server, one route per trial.
//!
//! Agents cannot be trusted with keys, counts or honesty about either. Each trial's agent gets a URL with an unguessable
//! token in it, which is also its only key; the provider's key stays here. Every call is recorded whole.
//!
//! Modules: `server`, `reply` and `refusal` (HTTP), `route` (one trial), `clock` (how long it has waited), `pending` (one call), `ask`
//! (what it may use), `finish` (why its answer ended), `purse` (budgets), `record` (JSON lines), `dialect` (wire forms), `model` (who answers: `oracle` with
//! `edit` and `drafts`, `nop`, `critic`, `script`, `replay` with `recording` and `varying`, `upstream` with `limiter`),
//! `catalogue` (what a user types → model), `backend` (model → who answers).

mod ask;
pub mod backend;
pub mod catalogue;
mod clock;
pub mod critic;
pub mod dialect;
pub mod drafts;
pub mod edit;
mod failure;
mod finish;
pub mod limiter;
pub mod model;
pub mod nop;
pub mod oracle;
mod pending;
mod policy;
mod purse;
pub mod record;
pub mod recording;
mod refusal;
pub mod replay;
mod reply;
mod route;
pub mod script;
mod secret;
mod server;
pub mod upstream;
mod varying;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, UnixListener};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use clock::WaitClock;
pub use failure::{Failure, FailureKind};
pub use model::{Model, Pricing};
pub use purse::Purse;
pub use route::{CallFailure, Route, RouteBudget, RouteSpec};
pub use secret::Secret;
use server::Registry;
pub use varying::Varying;

/// Most bytes of a route's calls that are recorded, and most calls: a hundred times what a long trial needs, and too little to
/// fill a disk with what costs nothing.
const MOST_RECORDED: u64 = 1 << 30;
const MOST_CALLS: u64 = 10_000;
/// Calls of a route that are on their way at once; more wait. Each may hold its request and its answer in memory.
const CALLS_AT_ONCE: usize = 8;

/// Limits of the server.
#[derive(Debug, Clone, Copy)]
pub struct GatewayConfig {
    /// Longest request body, in bytes.
    pub max_request: usize,
    /// Longest streamed answer, in bytes.
    pub max_reply: usize,
    /// How long, all in all, a streamed answer may wait for a client that does not read. Then the call is given up, so that
    /// nobody holds a provider's place, or what is set aside for the call, by not reading.
    pub unread: Duration,
    /// Longest time in which a request's body may come.
    pub read: Duration,
    /// Most bytes of one route's calls that are recorded; then calls are refused.
    pub most_recorded: u64,
    /// Most calls of one route.
    pub most_calls: u64,
    /// Most calls of one route at once.
    pub at_once: usize,
}

impl Default for GatewayConfig {
    fn default() -> Self {
        Self {
            // Several times the longest context of any model.
            max_request: 16 << 20,
            max_reply: 32 << 20,
            unread: Duration::from_secs(120),
            read: Duration::from_secs(60),
            most_recorded: MOST_RECORDED,
            most_calls: MOST_CALLS,
            at_once: CALLS_AT_ONCE,
        }
    }
}

/// The gateway cannot do its work: infrastructure, never the agent's fault.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    #[error("cannot open a port on the loopback interface: {0}")]
    Bind(std::io::Error),
    #[error(
        "cannot open the socket {path}: {source}; a shorter TMPDIR may help: a socket's path has at most 107 bytes"
    )]
    Socket { path: PathBuf, source: std::io::Error },
    #[error("cannot open the record of model calls {path}: {source}")]
    Record { path: PathBuf, source: std::io::Error },
}

/// The running server. Stops when closed or dropped.
pub struct Gateway {
    registry: Arc<Registry>,
    origin: String,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

impl Gateway {
    /// Serves on a free port of 127.0.0.1, on the current tokio runtime.
    pub async fn start(config: GatewayConfig) -> Result<Self, GatewayError> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(GatewayError::Bind)?;
        let origin = format!("http://{}", listener.local_addr().map_err(GatewayError::Bind)?);
        let registry = Arc::new(Registry::new(config));
        let stop = CancellationToken::new();
        let router = server::router(registry.clone());
        let stopped = stop.clone().cancelled_owned();
        let task = tokio::spawn(async move {
            // `axum::serve` handles its own errors and returns only when stopped.
            let _ = axum::serve(listener, router).with_graceful_shutdown(stopped).await;
        });
        Ok(Self {
            registry,
            origin,
            stop,
            tasks: vec![task],
        })
    }

    /// Serves at a Unix socket as well, for agents that have no network. Whoever can reach the file can connect: its
    /// folder must be closed to others.
    ///
    /// # Errors
    /// [`GatewayError::Socket`].
    pub fn serve_at(&mut self, path: &Path) -> Result<(), GatewayError> {
        let failed = |source| GatewayError::Socket {
            path: path.to_owned(),
            source,
        };
        let listener = UnixListener::bind(path).map_err(failed)?;
        // A contained agent may be another user.
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666)).map_err(failed)?;
        let router = server::router(self.registry.clone());
        let stopped = self.stop.clone().cancelled_owned();
        self.tasks.push(tokio::spawn(async move {
            let _ = axum::serve(listener, router).with_graceful_shutdown(stopped).await;
        }));
        Ok(())
    }

    /// Opens a route for one trial.
    pub fn open(&self, spec: RouteSpec) -> Route {
        Route::open(self.registry.clone(), &self.origin, spec)
    }

    /// Stops listening, lets running calls finish for up to `patience`, and ends.
    pub async fn close(mut self, patience: Duration) {
        self.stop.cancel();
        let end = tokio::time::Instant::now() + patience;
        for mut task in std::mem::take(&mut self.tasks) {
            if tokio::time::timeout_at(end, &mut task).await.is_err() {
                task.abort();
            }
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.stop.cancel();
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}
