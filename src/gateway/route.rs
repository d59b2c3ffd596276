//! A trial's way through the gateway: its token, its model, its record, its usage.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::ask::Ask;
use super::clock::WaitClock;
use super::dialect::Dialect;
use super::failure::{Failure, FailureKind};
use super::model::{Model, Pricing};
use super::pending::Pending;
use super::purse::{Purse, Refusal, Reservation};
use super::record::TurnFile;
use super::secret::{Redactor, Secret};
use super::server::Registry;
use super::{GatewayConfig, GatewayError};
use crate::budget::Scope;
use crate::canary::Canaries;
use crate::trial::{Divergence, Evidence, Usage};

/// Bodies of a route's requests that are read at once; whole ones come in no time.
const BODIES_AT_ONCE: usize = 2;
/// Most failures that are kept of one route.
const MOST_FAILURES: usize = 100;

/// What a route is opened with.
pub struct RouteSpec {
    /// Who answers.
    pub model: Arc<dyn Model>,
    /// The model's name at its provider; replaces whatever the agent names.
    pub wire_model: String,
    /// A text that a driver had to put into prompts. Removed wherever it occurs in a request.
    pub guard: Option<String>,
    /// Added to the model's system prompt in every request, behind what the agent says there.
    pub system: Option<String>,
    pub pricing: Pricing,
    pub budget: RouteBudget,
    /// What must be neither in a request nor in an answer.
    pub canaries: Arc<Canaries>,
}

/// What bounds the calls of a route.
#[derive(Debug, Clone)]
pub struct RouteBudget {
    /// Budgets that every call must fit into, the narrowest first.
    pub purses: Vec<Arc<Purse>>,
    /// What the model takes at most, in tokens.
    pub max_input: u64,
    /// What it writes at most; `None`: not known.
    pub max_output: Option<u64>,
}

impl Default for RouteBudget {
    fn default() -> Self {
        Self {
            purses: Vec::new(),
            max_input: u64::MAX,
            max_output: None,
        }
    }
}

/// A failed call of the model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CallFailure {
    pub turn: usize,
    pub call: u64,
    #[serde(flatten)]
    pub failure: Failure,
}

/// One trial's route. Closed when dropped: later calls get 401.
pub struct Route {
    line: Arc<Line>,
    registry: Arc<Registry>,
    base_url: String,
}

impl Route {
    pub(super) fn open(registry: Arc<Registry>, origin: &str, spec: RouteSpec) -> Self {
        let token = hex::encode(rand::random::<[u8; 24]>());
        let base_url = format!("{origin}/t/{token}/v1");
        let mut secrets = spec.model.secrets();
        secrets.push(Secret::new(token.clone()));
        let guard = spec.guard.clone().filter(|guard| !guard.is_empty());
        let line = Arc::new(Line {
            token,
            redactor: Redactor::new(secrets),
            guard,
            spec,
            clock: Arc::default(),
            places: Arc::new(Semaphore::new(registry.config.at_once.clamp(1, Semaphore::MAX_PERMITS))),
            reading: Semaphore::new(BODIES_AT_ONCE),
            settled: Notify::new(),
            state: Mutex::default(),
        });
        registry.insert(line.clone());
        Self {
            line,
            registry,
            base_url,
        }
    }

    /// What the agent is told as its API base; ends in `/v1`.
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// The only key that this route accepts.
    pub fn key(&self) -> &str {
        &self.line.token
    }

    /// Tells how long calls of this route have waited for the model.
    pub fn clock(&self) -> Arc<WaitClock> {
        self.line.clock.clone()
    }

    /// From now on calls belong to turn `turn` (from 1) and are appended to `record`, JSON lines. Calls between turns
    /// belong to the turn before; calls before the first are refused.
    pub fn begin_turn(&self, turn: usize, record: PathBuf) -> Result<(), GatewayError> {
        let file = TurnFile::open(turn, &record).map_err(|source| GatewayError::Record { path: record, source })?;
        self.line.state().file = Some(Arc::new(file));
        Ok(())
    }

    /// What the calls of one turn used so far.
    pub fn usage_of_turn(&self, turn: usize) -> Usage {
        self.line.state().usage.get(&turn).copied().unwrap_or_default()
    }

    /// What all calls used so far.
    pub fn usage(&self) -> Usage {
        let mut sum = Usage::default();
        self.line.state().usage.values().for_each(|usage| sum.add(usage));
        sum
    }

    /// What went wrong between gateway and model, whether or not a later call made up for it; of very much the first.
    pub fn failures(&self) -> Vec<CallFailure> {
        self.line.state().failures.clone()
    }

    /// Where hidden text passed.
    pub fn evidence(&self) -> Vec<Evidence> {
        self.line.state().evidence.clone()
    }

    /// Whether a call was refused because the run's budget has no room for it.
    pub fn stopped_by_run(&self) -> bool {
        self.line.state().stopped_by_run
    }

    /// Whether a call of the trial was answered: then its model can be reached, and takes its requests.
    pub fn was_answered(&self) -> bool {
        self.line.state().answered
    }

    /// Whether a call of the trial came to its model, whatever became of it. Answers from a record count: they are no usage,
    /// but the agent has reached who gives them.
    pub fn was_reached(&self) -> bool {
        self.line.state().reached
    }

    /// What the agent made too much of in this turn, so that further calls were refused.
    pub fn excess(&self, turn: usize) -> Option<String> {
        let state = self.line.state();
        state
            .excess
            .as_ref()
            .filter(|(of, _)| *of == turn)
            .map(|(_, held)| held.clone())
    }

    /// Takes no further call, and waits until those on their way are counted and recorded, at most for `patience`: what is
    /// read of the route afterwards is all there is.
    pub async fn close(&self, patience: Duration) {
        self.registry.remove(&self.line.token);
        self.line.state().closed = true;
        let settled = async {
            loop {
                let settled = self.line.settled.notified();
                tokio::pin!(settled);
                // From here on no end of a call is missed.
                settled.as_mut().enable();
                if self.line.state().in_flight == 0 {
                    return;
                }
                settled.await;
            }
        };
        // What does not end in time is a call whose client was not ended either, and is told elsewhere.
        let _ = tokio::time::timeout(patience, settled).await;
    }

    /// How long the model was waited for in vain by a call of the turn: the gateway waits still, or the agent gave up while
    /// it did. The model is to blame for a turn that ran out of time meanwhile, and not the agent. Of a call whose client
    /// has yet to read what came, nothing is in vain.
    pub fn waited_in_vain(&self, turn: usize) -> Duration {
        let state = self.line.state();
        let waiting = state
            .waiting
            .values()
            .filter(|(of, _)| *of == turn)
            .map(|(_, since)| since.elapsed());
        waiting
            .chain(state.given_up.get(&turn).copied())
            .max()
            .unwrap_or_default()
    }

    /// Where a replay has left its record by the end of a turn, if it has.
    pub fn divergence(&self, ended: usize) -> Option<Divergence> {
        self.line.spec.model.divergence(ended)
    }

    /// Whether the answer to a turn's last call was broken off because it used up the tokens that it may have.
    pub fn ran_out(&self, turn: usize) -> bool {
        self.line.state().ran_out.get(&turn).copied().unwrap_or_default()
    }

    /// The failure of a turn's last call, when that one failed: what the turn ended with as far as the model goes.
    /// A call that could not be recorded counts whatever came later.
    pub fn failure_of_turn(&self, turn: usize) -> Option<CallFailure> {
        let state = self.line.state();
        let last = || state.last.get(&turn).and_then(Option::as_ref);
        state.lost.get(&turn).or_else(last).cloned()
    }
}

impl Drop for Route {
    fn drop(&mut self) {
        self.registry.remove(&self.line.token);
        self.line.state().closed = true;
    }
}

/// The server's side of a route.
pub(super) struct Line {
    pub token: String,
    pub spec: RouteSpec,
    pub redactor: Redactor,
    pub guard: Option<String>,
    pub clock: Arc<WaitClock>,
    /// Calls that may be on their way at once.
    pub places: Arc<Semaphore>,
    /// Bodies that may be read at once.
    pub reading: Semaphore,
    /// A call is over.
    pub settled: Notify,
    state: Mutex<State>,
}

/// Why a call cannot begin.
pub(super) enum NoCall {
    NoTurn,
    Closed,
    /// The text says of what.
    TooMuch(String),
}

#[derive(Default)]
pub(super) struct State {
    file: Option<Arc<TurnFile>>,
    calls: u64,
    closed: bool,
    pub(super) in_flight: usize,
    /// Bytes of the calls that are recorded.
    pub(super) recorded: u64,
    /// The turn in which the agent made too much of something, and of what.
    excess: Option<(usize, String)>,
    /// Calls for which the model is waited for: number → turn, and the start of the wait, earlier ones of the call put
    /// together with it.
    pub(super) waiting: BTreeMap<u64, (usize, Instant)>,
    /// Turn → the longest wait that ended because the agent went away.
    pub(super) given_up: BTreeMap<usize, Duration>,
    pub(super) usage: BTreeMap<usize, Usage>,
    /// Turn → the failure of its latest answered call, if that one failed.
    pub(super) last: BTreeMap<usize, Option<CallFailure>>,
    /// Turn → whether the answer to that call ended because it used up its tokens.
    pub(super) ran_out: BTreeMap<usize, bool>,
    /// Turn → its first call that could not be recorded.
    pub(super) lost: BTreeMap<usize, CallFailure>,
    /// Turns in which a fault that may pass outlived its retries.
    outlived: BTreeSet<usize>,
    stopped_by_run: bool,
    pub(super) answered: bool,
    pub(super) reached: bool,
    failures: Vec<CallFailure>,
    pub(super) evidence: Vec<Evidence>,
}

impl State {
    /// Keeps what went wrong with a call.
    pub(super) fn fail(&mut self, failure: Option<CallFailure>) {
        let Some(failure) = failure else { return };
        self.stopped_by_run |= failure.failure.kind == FailureKind::RunBudget;
        if failure.failure.kind.is_passing() {
            self.outlived.insert(failure.turn);
        }
        if self.failures.len() < MOST_FAILURES {
            self.failures.push(failure);
        }
    }
}

impl Line {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets aside what a call may use, and lowers its output to what the budgets leave.
    pub async fn reserve(&self, ask: &mut Ask) -> Result<Vec<Reservation>, Refusal> {
        let mut reserved = Vec::new();
        for purse in &self.spec.budget.purses {
            // What other trials have set aside of the run's budget is no doing of this agent.
            let _waits = (purse.scope() == Scope::Run).then(|| self.clock.count());
            reserved.push(purse.reserve(ask, &self.spec.pricing).await?);
        }
        Ok(reserved)
    }

    /// Starts a call on the current turn.
    pub fn begin(
        self: &Arc<Self>,
        dialect: Dialect,
        place: Option<OwnedSemaphorePermit>,
        config: &GatewayConfig,
    ) -> Result<Pending, NoCall> {
        let mut state = self.state();
        let file = state.file.clone().ok_or(NoCall::NoTurn)?;
        if state.closed {
            return Err(NoCall::Closed);
        }
        let held = match &*state {
            State { calls, .. } if *calls >= config.most_calls => Some(format!("{calls} calls of its model")),
            State { recorded, .. } if *recorded >= config.most_recorded => {
                Some(format!("calls of its model whose record takes {recorded} bytes"))
            }
            _ => None,
        };
        if let Some(held) = held {
            state.excess.get_or_insert((file.turn, held.clone()));
            return Err(NoCall::TooMuch(held));
        }
        state.calls += 1;
        state.in_flight += 1;
        let number = state.calls;
        let retry = !state.outlived.contains(&file.turn);
        Ok(Pending::new(self.clone(), file, number, retry, dialect, place))
    }
}
