//! The second model of a trial: it puts what the tests have shown in words, for the user of `debugging-natural`.

use std::path::PathBuf;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Stop;
use super::turns::is_lasting;
use crate::dataset::feedback;
use crate::gateway::{FailureKind, Route};
use crate::scaffold::{AgentModel, Caller, Said};
use crate::trial::Usage;

/// How long it may take until an answer is there, retries of the provider's faults included.
const PATIENCE: Duration = Duration::from_secs(1200);

/// A model on a route of its own: its calls are recorded and bounded like the agent's, and are none of its.
pub(super) struct Critic {
    route: Route,
    caller: Caller,
}

/// What came of a question.
pub(super) enum Criticised {
    Said(String),
    /// Its provider does not take the key or the request, and would not another time.
    Refused(String),
    /// It has nothing to say, or may not: the conversation is over, and is judged as it stands. The text says why.
    Over(String),
}

impl Critic {
    /// # Errors
    /// The client cannot be set up.
    pub fn new(route: Route, model: &AgentModel) -> Result<Self, Stop> {
        let caller = Caller::new(route.base_url(), route.key(), model);
        let caller = caller.map_err(|error| Stop::Infrastructure(format!("the client of the critic: {error}")))?;
        Ok(Self { route, caller })
    }

    /// Asks what is wrong with a program, for the feedback of a turn.
    pub async fn ask(
        &self,
        turn: usize,
        record: PathBuf,
        instruction: &str,
        question: String,
        cancel: &CancellationToken,
    ) -> Result<Criticised, Stop> {
        let failed = |why: String| Stop::Infrastructure(format!("turn {turn}: the critic: {why}"));
        self.route
            .begin_turn(turn, record)
            .map_err(|error| failed(error.to_string()))?;
        let answer = tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(Stop::Cancelled),
            answer = tokio::time::timeout(PATIENCE, self.caller.ask(instruction, question)) => answer,
        };
        if self.route.stopped_by_run() {
            return Err(Stop::Cancelled);
        }
        if let Some(divergence) = self.route.divergence(turn) {
            return Err(Stop::Diverged(divergence));
        }
        let seen = self.route.failure_of_turn(turn).map(|failed| failed.failure);
        if let Some(lost) = seen.as_ref().filter(|seen| seen.kind == FailureKind::Record) {
            return Err(failed(lost.to_string()));
        }
        let Ok(answer) = answer else {
            return Err(failed(format!("it had not answered after {} s", PATIENCE.as_secs())));
        };
        let Said { text, cut } = match answer {
            Ok(said) => said,
            Err(unanswered) => {
                return match seen {
                    Some(seen) if seen.kind.is_budget() || seen.kind == FailureKind::Policy => {
                        Ok(Criticised::Over(format!("the critic was refused: {seen}")))
                    }
                    Some(seen) if is_lasting(&seen) => Ok(Criticised::Refused(seen.to_string())),
                    Some(seen) => Err(failed(seen.to_string())),
                    None => Err(failed(unanswered.detail)),
                };
            }
        };
        let text = feedback::criticism(&text);
        Ok(match (text.is_empty(), cut) {
            (false, _) => Criticised::Said(text),
            (true, true) => Criticised::Over("the critic's answer was broken off before it said anything".into()),
            (true, false) => Criticised::Over("the critic has said nothing but code, or nothing at all".into()),
        })
    }

    pub fn usage_of_turn(&self, turn: usize) -> Usage {
        self.route.usage_of_turn(turn)
    }

    /// Takes no further question; the route tells what it used.
    pub async fn close(&self, patience: Duration) -> &Route {
        self.route.close(patience).await;
        &self.route
    }
}
