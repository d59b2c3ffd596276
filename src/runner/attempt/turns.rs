//! The turns of a try: what is said, what it did to the workspace, and how it ended.

use std::sync::Arc;
use std::time::Instant;

use tokio::task::block_in_place;

use super::critic::Critic;
use super::{Attempt, Stop, cannot, nothing_runs};
use crate::conversation::Conversation;
use crate::event::Event;
use crate::gateway::{self, CallFailure, FailureKind, Route};
use crate::runner::clock::TrialClock;
use crate::runner::disk::DiskWatch;
use crate::runner::scratch::Places;
use crate::scaffold::Session;
use crate::trial::{Ending, Failure, Limit, TurnRecord};
use crate::workspace::{self, Manifest, Snapshotter};

/// A live session and what is around it.
pub(super) struct Live<'s> {
    pub session: &'s mut dyn Session,
    pub route: &'s Route,
    /// Who puts failures in words, where somebody does.
    pub critic: Option<&'s Critic>,
    pub places: &'s Places,
    pub disk: &'s DiskWatch,
    pub clock: Arc<TrialClock>,
    pub snapshotter: Snapshotter,
    /// After the starter tree and after each reached turn.
    pub snapshots: Vec<Manifest>,
}

impl Attempt<'_> {
    /// Says the conversation, and then what the tests show, as far as the cell asks for it.
    pub(super) async fn converse(&mut self, live: &mut Live<'_>, conversation: &Conversation) -> Result<(), Stop> {
        let count = conversation.turns.len();
        for (index, text) in conversation.turns.iter().enumerate() {
            let turn = index + 1;
            if !self.say(live, turn, text, turn < count).await? {
                self.turns.extend((turn + 1..=count).map(TurnRecord::not_reached));
                return Ok(());
            }
        }
        self.give_feedback(live, count).await
    }

    /// Says one turn, and records it; whether another may follow. `more`: whether one is known to.
    pub(super) async fn say(&mut self, live: &mut Live<'_>, turn: usize, text: &str, more: bool) -> Result<bool, Stop> {
        let route = live.route;
        self.folder.write(&format!("turns/{turn}/prompt.md"), text.as_bytes())?;
        let record = self.folder.turn(turn)?.join("model.jsonl");
        route
            .begin_turn(turn, record)
            .map_err(|error| Stop::Infrastructure(error.to_string()))?;
        self.stand.note(&Event::TurnStarted {
            key: self.key.clone(),
            turn,
        })?;
        let (saying, waited) = (Instant::now(), route.clock().waited());
        let mut end = live.session.say(turn, text, &self.runtime.cell.limits).await;
        let seconds = saying.elapsed().as_secs_f64();
        let waited = route.clock().waited().saturating_sub(waited);
        self.agent_seconds += seconds;
        if let (Ending::Cancelled, Some(held)) = (&end.ending, live.disk.exceeded()) {
            end.warnings.push(format!("turn {turn}: the agent held {held}"));
            end.ending = Ending::TimedOut { limit: Limit::Disk };
        }
        for warning in end.warnings {
            self.warn(warning)?;
        }
        let killed = live.session.settle().await;
        // A snapshot while something can still write would be of no moment at all.
        nothing_runs(killed)?;
        if let Some(full) = block_in_place(|| live.places.full_by_others()) {
            return Err(Stop::Infrastructure(format!("turn {turn}: {full}")));
        }
        let snapshot = self.snapshot(&mut live.snapshotter, turn)?;
        let (first, before) = (&live.snapshots[0], &live.snapshots[turn - 1]);
        let drift = block_in_place(|| workspace::drift(first, before, &snapshot));
        let patch = block_in_place(|| workspace::diff(before, &snapshot, &self.blobs))
            .map_err(|error| cannot("read a snapshot", &error))?;
        self.folder
            .write(&format!("turns/{turn}/diff.patch"), patch.as_bytes())?;
        live.snapshots.push(snapshot);
        let (ending, stop) = self.weigh(end.ending, turn, seconds, route)?;
        self.refused = stop.is_some() && is_refusal(&ending, route.failure_of_turn(turn).as_ref());
        self.stand.note(&Event::TurnEnded {
            key: self.key.clone(),
            turn,
            ending: ending.clone(),
        })?;
        let goes_on = ending.allows_next_turn();
        let mut usage = route.usage_of_turn(turn);
        if let Some(critic) = live.critic {
            usage.add(&critic.usage_of_turn(turn));
        }
        self.turns.push(TurnRecord {
            turn,
            ending,
            answers: end.answers,
            strays: killed.count,
            drift,
            usage,
            seconds,
            waited_seconds: waited.as_secs_f64(),
            // At the end of the conversation it is just done.
            finished_early: end.finished_early && more,
            feedback: false,
            findings: Vec::new(),
        });
        match stop {
            Some(stop) => Err(stop),
            None => Ok(goes_on),
        }
    }
}

/// Whether a turn ended because the provider does not take the key or the request, its content policy among the reasons: another
/// try would come to the same.
fn is_refusal(ending: &Ending, seen: Option<&CallFailure>) -> bool {
    let by_provider = matches!(
        ending,
        Ending::Failed {
            failure: Failure::Authentication | Failure::ProviderError,
            ..
        }
    );
    by_provider && seen.is_some_and(|seen| is_lasting(&seen.failure))
}

/// Whether the same call would fail again.
pub(super) fn is_lasting(failure: &gateway::Failure) -> bool {
    failure.kind == FailureKind::Policy || matches!(failure.status, Some(400 | 401 | 403 | 404))
}
