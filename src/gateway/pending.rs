//! A call on its way through the gateway, recorded exactly once.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tokio::sync::OwnedSemaphorePermit;

use super::ask::{Ask, estimated};
use super::dialect::Dialect;
use super::failure::{Failure, FailureKind};
use super::finish::ran_out;
use super::model::{Call, Tokens};
use super::purse::Reservation;
use super::record::{CLIENT_GONE, CallRecord, RecordedError, SYSTEM_ADDED, TurnFile};
use super::route::{CallFailure, Line};
use super::secret::find_text;
use crate::budget::Charge;
use crate::trial::{Evidence, Place, Usage};

/// Most evidence that is kept of one trial: what a model has seen once it hears again in every call.
const MOST_EVIDENCE: usize = 50;

/// How most clients go away.
pub(super) const CLOSED: &str = "the client closed the connection before the answer was complete";

/// A call on its way. Recorded exactly once: by [`Pending::finish`], or when dropped because the client went away.
pub(super) struct Pending {
    line: Arc<Line>,
    pub file: Arc<TurnFile>,
    pub number: u64,
    /// See [`super::model::Call::retry`].
    pub retry: bool,
    pub dialect: Dialect,
    started: Timestamp,
    clock: Instant,
    /// What is recorded of the request, unless it was asked.
    pub request: Value,
    /// The request as the model is asked it.
    pub asked: Option<Call>,
    pub stream: bool,
    pub applied: Map<String, Value>,
    pub attempts: u32,
    /// What the call may use, and what is set aside for it.
    pub ask: Option<Ask>,
    pub reserved: Vec<Reservation>,
    /// Its place among the calls that a route may have at once.
    _place: Option<OwnedSemaphorePermit>,
    /// Whether the model is waited for.
    waits: bool,
    /// How long it was, the wait of now not counted.
    waited: Duration,
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

impl End {
    /// Whether the model may have read and written something: it answered, or began to. The status of an answer that broke off
    /// is the gateway's own.
    fn may_have_cost(&self) -> bool {
        let broke_off = self.failure.as_ref().is_some_and(|failure| {
            matches!(
                failure.kind,
                FailureKind::TimedOut | FailureKind::Cut | FailureKind::Malformed
            )
        });
        broke_off || matches!(self.status, 200..=299 | CLIENT_GONE)
    }
}

impl Pending {
    pub fn new(
        line: Arc<Line>,
        file: Arc<TurnFile>,
        number: u64,
        retry: bool,
        dialect: Dialect,
        place: Option<OwnedSemaphorePermit>,
    ) -> Self {
        Self {
            _place: place,
            line,
            file,
            number,
            retry,
            dialect,
            started: Timestamp::now(),
            clock: Instant::now(),
            request: Value::Null,
            asked: None,
            stream: false,
            applied: Map::new(),
            attempts: 0,
            ask: None,
            reserved: Vec::new(),
            waits: false,
            waited: Duration::ZERO,
            finished: false,
        }
    }

    pub fn line(&self) -> &Arc<Line> {
        &self.line
    }

    /// From now on the model is waited for.
    pub fn wait(&mut self) {
        if self.finished || std::mem::replace(&mut self.waits, true) {
            return;
        }
        self.line.clock.begin();
        let now = Instant::now();
        let since = now.checked_sub(self.waited).unwrap_or(now);
        let waiting = (self.file.turn, since);
        self.line.state().waiting.insert(self.number, waiting);
    }

    /// The model has said something, or is no longer waited for: `in_vain`, when nobody is left who waits.
    pub fn rest(&mut self, in_vain: bool) {
        if !std::mem::take(&mut self.waits) {
            return;
        }
        self.line.clock.end();
        let mut state = self.line.state();
        let Some((turn, since)) = state.waiting.remove(&self.number) else {
            return;
        };
        self.waited = since.elapsed();
        // At once: whoever asks in the meantime must find the wait here or there.
        if in_vain {
            let longest = state.given_up.entry(turn).or_default();
            *longest = self.waited.max(*longest);
        }
    }

    /// Counts and records the call.
    pub fn finish(&mut self, mut end: End) {
        if std::mem::replace(&mut self.finished, true) {
            return;
        }
        let mut request = std::mem::take(&mut self.request);
        if let Some(Call { body, sent, asks, .. }) = self.asked.take() {
            drop(body);
            request = Value::Object(Arc::unwrap_or_clone(sent));
            if let Some(system) = &self.line.spec.system {
                self.applied.insert(SYSTEM_ADDED.to_owned(), json!(system));
            }
            // Of a call that was broken off the model tells no more.
            self.attempts = self.attempts.max(asks.load(Ordering::Relaxed));
        }
        self.rest(end.status == CLIENT_GONE);
        if self.attempts == 0 {
            // The tokens that a recorded answer tells were used when it was recorded.
            end.tokens = None;
        }
        let refused = end.error.is_some();
        let elapsed = self.clock.elapsed();
        let turn = self.file.turn;
        // A refused call costs nothing; an answered one without counts costs nobody knows what.
        let cost = match &end.tokens {
            Some(tokens) => self.line.spec.pricing.cost(tokens),
            None if self.attempts > 0 && end.may_have_cost() => None,
            None => Some(0.0),
        };
        let charge = self.charge(&end, cost);
        let tokens = end.tokens.map(|tokens| (tokens.input, tokens.output));
        let used = Usage::of_call(self.attempts > 0, tokens, cost, elapsed.as_secs_f64());
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
            request,
            applied: std::mem::take(&mut self.applied),
            response: end.response,
            tokens: end.tokens,
            cost,
            charge,
            error,
        };
        let evidence = self.evidence(&record);
        let ran_out = ran_out(record.dialect, &record.response);
        let written = self.file.append(record, &self.line.redactor);
        for reserved in self.reserved.drain(..) {
            reserved.settle(&charge.unwrap_or_default());
        }
        let mut state = self.line.state();
        let room = MOST_EVIDENCE.saturating_sub(state.evidence.len());
        state.evidence.extend(evidence.into_iter().take(room));
        state.usage.entry(turn).or_default().add(&used);
        state.reached |= !refused || self.attempts > 0;
        state.answered |= !refused && end.failure.is_none() && end.status < 300;
        let call = self.number;
        let failed = |mut failure: Failure| {
            self.line.redactor.string(&mut failure.message);
            CallFailure { turn, call, failure }
        };
        let failure = end.failure.map(failed);
        state.fail(failure.clone());
        if !refused {
            state.last.insert(turn, failure);
            state.ran_out.insert(turn, ran_out);
        }
        match written {
            Ok(bytes) => state.recorded = state.recorded.saturating_add(bytes),
            Err(error) => {
                let lost = failed(Failure {
                    kind: FailureKind::Record,
                    status: None,
                    message: format!("cannot record a call in {}: {error}", self.file.path().display()),
                });
                state.fail(Some(lost.clone()));
                state.lost.entry(turn).or_insert(lost);
            }
        }
        state.in_flight = state.in_flight.saturating_sub(1);
        drop(state);
        self.line.settled.notify_waiters();
    }

    /// Where the call holds hidden text: in what the agent said, as in a file that it read, or in what it was told.
    fn evidence(&self, record: &CallRecord) -> Vec<Evidence> {
        let (turn, call) = (record.turn, record.call);
        let canaries = &self.line.spec.canaries;
        let sides = [
            (&record.request, Place::Request { call }),
            (&record.response, Place::Response { call }),
        ];
        let found = |(value, place): (&Value, Place)| {
            let task = find_text(value, &|text| canaries.find(text.as_bytes()).map(str::to_owned))?;
            Some(Evidence { turn, task, place })
        };
        sides.into_iter().filter_map(found).collect()
    }

    /// What the call takes from the budgets: what it used, where a count came. An answer without one is taken by its
    /// size, and one that did not come to its end may have cost all that was set aside for it.
    fn charge(&self, end: &End, cost: Option<f64>) -> Option<Charge> {
        let ask = self.ask.filter(|_| self.attempts > 0)?;
        let pricing = &self.line.spec.pricing;
        if let Some(tokens) = &end.tokens {
            return Some(Charge {
                tokens: tokens.input.saturating_add(tokens.output),
                usd: cost.unwrap_or(0.0),
            });
        }
        match end.status {
            200..=299 if end.failure.is_none() => {
                let written = estimated(end.response.to_string().len());
                let output = written.min(ask.output.saturating_mul(ask.choices));
                let used = Ask {
                    output,
                    choices: 1,
                    ..ask
                };
                Some(used.charge(pricing))
            }
            _ if end.may_have_cost() => Some(ask.charge(pricing)),
            _ => Some(Charge::default()),
        }
    }

    /// Counts and records a call whose client went away, or might as well have, with what it had received.
    pub fn client_gone(&mut self, response: Value, tokens: Option<Tokens>, how: &str) {
        let message = how.to_owned();
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
            self.client_gone(Value::Null, None, CLOSED);
        }
    }
}
