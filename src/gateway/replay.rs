//! The model of a replay: answers from the record of an earlier trial, as long as the agent does what is recorded.
//!
//! Each request is compared with the recorded one of the same place in the conversation, after what legitimately differs
//! between two sessions is made equal. The first difference is kept as the trial's divergence, and from then on nothing is
//! answered: an answer to another question would be made up. With a last turn to replay, another model takes over after it.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use serde_json::{Map, Value};

use super::dialect::Dialect;
use super::failure::{Failure, FailureKind};
use super::model::{Added, Call, Model, Reply};
use super::recording::{RecordedCall, Recording};
use super::secret::Secret;
use super::varying::{Varying, difference};
use crate::trial::Divergence;

/// The model that goes on after the last turn of the record.
pub struct Then {
    /// The last turn that is answered from the record.
    pub until: usize,
    pub model: Arc<dyn Model>,
}

/// One trial's replay.
pub struct ReplayModel {
    recording: Recording,
    varying: Varying,
    then: Option<Then>,
    progress: Mutex<Progress>,
}

#[derive(Default)]
struct Progress {
    /// Turn → how many of its recorded calls were answered.
    answered: BTreeMap<usize, usize>,
    /// Places of the recorded session → those of this one, as the requests told them.
    places: HashMap<String, String>,
    divergence: Option<Divergence>,
}

impl ReplayModel {
    pub fn new(recording: Recording, varying: Varying, then: Option<Then>) -> Self {
        Self {
            recording,
            varying,
            then,
            progress: Mutex::default(),
        }
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, call: &Call) -> Result<Reply, Divergence> {
        let mut progress = self.progress();
        if let Some(divergence) = &progress.divergence {
            return Err(divergence.clone());
        }
        let answered = progress.answered.entry(call.turn).or_default();
        let replied = match self.recording.of_turn(call.turn).get(*answered) {
            None => {
                let calls = *answered;
                Err((
                    self.recording.after(call.turn),
                    format!("one more call than the {calls} that are recorded of this turn"),
                ))
            }
            Some(recorded) => {
                *answered += 1;
                let reply = self.compared(recorded, call, &mut progress.places);
                reply.map_err(|difference| (recorded.call, difference))
            }
        };
        replied.map_err(|(number, difference)| {
            let divergence = Divergence {
                turn: call.turn,
                call: number,
                difference,
            };
            progress.divergence = Some(divergence.clone());
            divergence
        })
    }

    /// The recorded answer, when the request is as recorded; else the difference.
    fn compared(
        &self,
        recorded: &RecordedCall,
        call: &Call,
        places: &mut HashMap<String, String>,
    ) -> Result<Reply, String> {
        // The agent was started for the model that goes on, so what it was told of that one is not as recorded.
        let settings_differ = self.then.is_some();
        let said = self
            .varying
            .settled(Value::Object((*call.sent).clone()), settings_differ);
        let before = self.varying.settled(recorded.request.clone(), settings_differ);
        if let Some(difference) = difference(&before, &said) {
            return Err(difference);
        }
        self.varying
            .learn_places(&recorded.request, &Value::Object((*call.sent).clone()), places);
        recorded.reply(places)
    }
}

#[async_trait]
impl Model for ReplayModel {
    async fn complete(&self, call: &Call) -> Reply {
        if let Some(then) = self.then.as_ref().filter(|_| !self.is_recorded(call.turn)) {
            return then.model.complete(call).await;
        }
        self.answer(call).unwrap_or_else(|divergence| {
            let failure = Failure {
                kind: FailureKind::Diverged,
                status: Some(400),
                message: format!("the agent has left the record that it replays: {divergence}"),
            };
            Reply {
                attempts: 0,
                ..Reply::failed(failure)
            }
        })
    }

    fn secrets(&self) -> Vec<Secret> {
        self.then.iter().flat_map(|then| then.model.secrets()).collect()
    }

    fn adds(&self, dialect: Dialect, body: &Map<String, Value>) -> Added {
        let then = self.then.as_ref();
        then.map_or_else(Added::default, |then| then.model.adds(dialect, body))
    }

    fn is_recorded(&self, turn: usize) -> bool {
        self.then.as_ref().is_none_or(|then| turn <= then.until)
    }

    fn divergence(&self, ended: usize) -> Option<Divergence> {
        let progress = self.progress();
        if progress.divergence.is_some() || self.then.as_ref().is_some_and(|then| ended > then.until) {
            return progress.divergence.clone();
        }
        let calls = self.recording.of_turn(ended);
        let made = progress.answered.get(&ended).copied().unwrap_or(0);
        calls.get(made).map(|missing| Divergence {
            turn: ended,
            call: missing.call,
            difference: format!(
                "the agent made {made} of the {} calls that are recorded of this turn",
                calls.len()
            ),
        })
    }
}
