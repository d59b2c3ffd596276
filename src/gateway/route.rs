//! A trial's way through the gateway: its token, its model, its record, its usage.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};

use super::GatewayError;
use super::dialect::Dialect;
use super::model::{Failure, FailureKind, Model, Pricing, Tokens};
use super::record::{CLIENT_GONE, CallRecord, RecordedError, TurnFile};
use super::secret::{Redactor, Secret};
use super::server::Registry;
use crate::trial::Usage;

/// What a route is opened with.
pub struct RouteSpec {
    /// Who answers.
    pub model: Arc<dyn Model>,
    /// The model's name at its provider; replaces whatever the agent names.
    pub wire_model: String,
    /// A text that a driver had to put into prompts. Removed wherever it occurs in a request.
    pub guard: Option<String>,
    pub pricing: Pricing,
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

    /// Everything that went wrong between gateway and model, whether or not a later call made up for it.
    pub fn failures(&self) -> Vec<CallFailure> {
        self.line.state().failures.clone()
    }

    /// The failure of a turn's last call, when that one failed: what the turn ended with as far as the model goes.
    /// A call that could not be recorded counts whatever came later.
    pub fn failure_of_turn(&self, turn: usize) -> Option<CallFailure> {
        let state = self.line.state();
        let of_turn = || state.failures.iter().filter(|failure| failure.turn == turn);
        let lost = of_turn().find(|failure| failure.failure.kind == FailureKind::Record);
        let last = *state.last_call.get(&turn)?;
        lost.or_else(|| of_turn().find(|failure| failure.call == last)).cloned()
    }
}

impl Drop for Route {
    fn drop(&mut self) {
        self.registry.remove(&self.line.token);
    }
}

/// The server's side of a route.
pub(super) struct Line {
    pub token: String,
    pub spec: RouteSpec,
    pub redactor: Redactor,
    pub guard: Option<String>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    file: Option<Arc<TurnFile>>,
    calls: u64,
    usage: BTreeMap<usize, Usage>,
    /// Turn → its latest answered call.
    last_call: BTreeMap<usize, u64>,
    failures: Vec<CallFailure>,
}

impl Line {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a call on the current turn; `None` before the first turn.
    pub fn begin(self: &Arc<Self>, dialect: Dialect) -> Option<Pending> {
        let mut state = self.state();
        let file = state.file.clone()?;
        state.calls += 1;
        let retry = !state
            .failures
            .iter()
            .any(|failure| failure.turn == file.turn && failure.failure.kind.is_passing());
        Some(Pending {
            line: self.clone(),
            number: state.calls,
            file,
            retry,
            dialect,
            started: Timestamp::now(),
            clock: Instant::now(),
            request: Value::Null,
            stream: false,
            applied: Map::new(),
            attempts: 0,
            finished: false,
        })
    }
}

/// A call on its way. Recorded exactly once: by [`Pending::finish`], or when dropped because the client went away.
pub(super) struct Pending {
    line: Arc<Line>,
    pub file: Arc<TurnFile>,
    pub number: u64,
    /// See [`super::model::Call::retry`].
    pub retry: bool,
    dialect: Dialect,
    started: Timestamp,
    clock: Instant,
    pub request: Value,
    pub stream: bool,
    pub applied: Map<String, Value>,
    pub attempts: u32,
    finished: bool,
}

/// How a call ended.
#[derive(Default)]
pub(super) struct End {
    pub status: u16,
    pub response: Value,
    pub tokens: Option<Tokens>,
    pub failure: Option<Failure>,
    /// An error that is the client's own.
    pub error: Option<RecordedError>,
}

impl Pending {
    pub fn line(&self) -> &Arc<Line> {
        &self.line
    }

    pub fn is_finished(&self) -> bool {
        self.finished
    }

    /// Counts and records the call.
    pub fn finish(&mut self, end: End) {
        if std::mem::replace(&mut self.finished, true) {
            return;
        }
        let elapsed = self.clock.elapsed();
        let turn = self.file.turn;
        // A refused call costs nothing; an answered one without counts costs nobody knows what.
        let cost = match (&end.tokens, end.status) {
            (Some(tokens), _) => self.line.spec.pricing.cost(tokens),
            (None, 200..=299 | CLIENT_GONE) if self.attempts > 0 => None,
            (None, _) => Some(0.0),
        };
        let tokens = end.tokens.unwrap_or_default();
        let used = Usage {
            calls: u64::from(self.attempts > 0),
            input_tokens: tokens.input,
            output_tokens: tokens.output,
            cost,
            model_seconds: elapsed.as_secs_f64(),
        };
        let error = end.error.or_else(|| {
            let failure = end.failure.as_ref()?;
            let kind = serde_json::to_value(failure.kind).ok()?;
            Some(RecordedError {
                kind: kind.as_str()?.to_owned(),
                message: failure.message.clone(),
            })
        });
        let record = CallRecord {
            turn,
            call: self.number,
            started: self.started,
            latency_ms: elapsed.as_secs_f64() * 1e3,
            dialect: self.dialect,
            stream: self.stream,
            status: end.status,
            attempts: self.attempts,
            request: std::mem::take(&mut self.request),
            applied: std::mem::take(&mut self.applied),
            response: end.response,
            tokens: end.tokens,
            cost,
            error,
        };
        let written = self.file.append(record, &self.line.redactor);
        let mut state = self.line.state();
        state.usage.entry(turn).or_default().add(&used);
        if self.attempts > 0 && end.status != CLIENT_GONE {
            state.last_call.insert(turn, self.number);
        }
        let mut fail = |failure: Failure| {
            state.failures.push(CallFailure {
                turn,
                call: self.number,
                failure,
            })
        };
        if let Some(mut failure) = end.failure {
            self.line.redactor.string(&mut failure.message);
            fail(failure);
        }
        if let Err(error) = written {
            let message = format!("cannot record a call in {}: {error}", self.file.path().display());
            fail(Failure {
                kind: FailureKind::Record,
                status: None,
                message,
            });
        }
    }

    /// Counts and records a call whose client went away, with what it had received.
    pub fn client_gone(&mut self, response: Value, tokens: Option<Tokens>) {
        let message = "the client closed the connection before the answer was complete".to_owned();
        let error = Some(RecordedError {
            kind: "client_gone".to_owned(),
            message,
        });
        self.finish(End {
            status: CLIENT_GONE,
            response,
            tokens,
            failure: None,
            error,
        });
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if !self.finished {
            self.client_gone(Value::Null, None);
        }
    }
}
