//! What the ending of a turn means for its trial: the scaffold tells what the agent did, the gateway what the model did.

use super::{Attempt, Stop};
use crate::gateway::catalogue::ModelCatalogue;
use crate::gateway::dialect::Dialect;
use crate::gateway::{self, FailureKind, Route};
use crate::store::StoreError;
use crate::trial::{Ending, Failure, Limit};

impl Attempt<'_> {
    /// What may help against a failure of a server that the user has named; nothing, where nothing is known.
    fn remedy(&self, failure: &gateway::Failure) -> String {
        let endpoints = &self.stand.conductor.lock.settings.api_base;
        let model = &self.runtime.cell.model;
        let named = ModelCatalogue::built_in().is_ok_and(|catalogue| catalogue.endpoint(endpoints, model).is_some());
        let said = !self.runtime.cell.options.dialects.is_empty();
        let spoken = self.runtime.model.dialect;
        match failure.status {
            Some(404 | 405) if named && !said && spoken != Dialect::OpenaiChat => format!(
                "; where the server at --api-base does not speak {spoken}, say what it speaks: --dialect {}",
                Dialect::OpenaiChat
            ),
            _ => String::new(),
        }
    }

    /// What an ending means for the trial. Whether the provider failed is told by the gateway and not by the agent's
    /// words: those may be the model's own, and a model must not be able to talk itself out of the count.
    pub(super) fn weigh(
        &mut self,
        ending: Ending,
        turn: usize,
        seconds: f64,
        route: &Route,
    ) -> Result<(Ending, Option<Stop>), StoreError> {
        // A trial that the run's budget has stopped has no outcome: it is played again when there is a larger one.
        if ending == Ending::Cancelled || route.stopped_by_run() {
            return Ok((Ending::Cancelled, Some(Stop::Cancelled)));
        }
        // A call that failed while the agent said nothing of it was not the agent's: what a model has the shell do, calls
        // of its own and an end of the agent or of its time among it, must not take the trial out of the count either.
        let noticed = matches!(
            &ending,
            Ending::Failed { failure, .. } if failure.is_infrastructure() || *failure == Failure::AgentCrashed
        );
        // From here on the agent was told nothing that is true, whatever it made of it.
        if let Some(divergence) = route.divergence(turn) {
            return Ok((Ending::Diverged, Some(Stop::Diverged(divergence))));
        }
        // As with a full disk: the agent's own doing, judged as it stands.
        if let Some(held) = route.excess(turn) {
            self.warn(format!("turn {turn}: the agent made {held}"))?;
            return Ok((Ending::TimedOut { limit: Limit::Disk }, None));
        }
        let failed = route.failure_of_turn(turn);
        // Whatever the agent made of it: without a further call its conversation is over.
        if let Some(failed) = failed.as_ref().filter(|failed| failed.failure.kind.is_budget()) {
            let detail = failed.failure.message.clone();
            let failure = failed.failure.kind.as_trial();
            return Ok((Ending::Failed { failure, detail }, None));
        }
        // A provider that answers other calls of the trial and does not take this one says something of the call: of its form,
        // which is the agent's where there is one, or of what the conversation has come to.
        let rejected = failed.as_ref().filter(|failed| match failed.failure.kind {
            FailureKind::Rejected => self.runtime.has_agent,
            FailureKind::Policy => true,
            _ => false,
        });
        let rejected = rejected
            .filter(|_| route.was_answered())
            .map(|failed| failed.failure.to_string());
        let seen = failed.as_ref().map(|failed| failed.failure.clone());
        if let Some(failed) = failed
            && rejected.is_none()
            && (failed.failure.kind == FailureKind::Record || (noticed && failed.failure.kind.is_infrastructure()))
        {
            let reason = format!("turn {turn}: {}{}", failed.failure, self.remedy(&failed.failure));
            let ending = Ending::Failed {
                failure: failed.failure.kind.as_trial(),
                detail: failed.failure.message,
            };
            return Ok((ending, Some(Stop::Infrastructure(reason))));
        }
        if seen.is_none() && route.ran_out(turn) && hides_the_token_limit(&ending) {
            let detail = "the last answer was broken off at the limit of its tokens".to_owned();
            let failure = Failure::TokenLimit;
            return Ok((Ending::Failed { failure, detail }, None));
        }
        match &ending {
            Ending::Failed {
                failure: Failure::ContainmentLost,
                detail,
            } => {
                let stop = Stop::Infrastructure(format!("turn {turn}: {detail}"));
                Ok((ending, Some(stop)))
            }
            // Agent time and silence are the agent's own: the wait for the model is no part of them.
            Ending::TimedOut { limit } if limit.is_by_wall() => {
                // A call that began just before the end has not cost the turn its time.
                let waited = route.waited_in_vain(turn).as_secs_f64();
                let stop = (waited * 2.0 > seconds).then(|| {
                    Stop::Infrastructure(format!("turn {turn}: the model had not answered after {waited:.0} s"))
                });
                Ok((ending, stop))
            }
            Ending::Failed { failure, detail } if failure.is_infrastructure() => {
                // An agent that has reached it once and does so no more has cut itself off.
                if !route.was_reached() {
                    let reason = format!("turn {turn}: the agent could not reach its model: {detail}");
                    return Ok((ending, Some(Stop::Infrastructure(reason))));
                }
                let Some(seen) = seen else {
                    self.warn(format!(
                        "turn {turn}: the agent spoke of a failure that the gateway did not see: {detail}"
                    ))?;
                    return Ok((Ending::Answered, None));
                };
                let failure = match rejected {
                    Some(why) => {
                        let how = match seen.kind {
                            FailureKind::Policy => "the provider's content policy refused a call",
                            _ => "a call was not as the provider takes it",
                        };
                        self.warn(format!("turn {turn}: {how}: {why}"))?;
                        Failure::RequestRefused
                    }
                    None => seen.kind.as_trial(),
                };
                let detail = seen.message;
                Ok((Ending::Failed { failure, detail }, None))
            }
            _ => Ok((ending, None)),
        }
    }
}

/// Whether an agent may have ended a turn so because its model's last answer was broken off at the limit of its tokens. Agents
/// take such an answer for a whole one, for an empty one, or for a stream that was cut.
fn hides_the_token_limit(ending: &Ending) -> bool {
    match ending {
        Ending::Answered => true,
        Ending::Failed { failure, .. } => {
            matches!(failure, Failure::EmptyAnswer | Failure::ProviderError)
        }
        _ => false,
    }
}
