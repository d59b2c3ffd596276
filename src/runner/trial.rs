//! One trial: tried until it has its one outcome.

use std::sync::Arc;

use super::attempt::{Attempt, Tried};
use super::conduct::{RunError, Stand};
use super::rejudge::judge_again;
use crate::conversation::{Conversation, Manner};
use crate::diagnosis::Signs;
use crate::event::Event;
use crate::gateway::RouteSpec;
use crate::plan::{Cell, TrialKey};
use crate::scaffold::{AgentModel, Scaffold};
use crate::task::Task;
use crate::trial::Outcome;

/// A cell, ready to run: its agent installed, its model resolved.
pub struct CellRuntime {
    pub cell: Cell,
    pub scaffold: Arc<dyn Scaffold>,
    /// Whether an agent makes the requests, as its recipe says.
    pub has_agent: bool,
    pub model: AgentModel,
    /// Paths in the workspace that are no part of the agent's work: snapshots leave them out.
    pub litter: Vec<String>,
    /// How its user speaks.
    pub manner: Manner,
    /// By what words the traffic shows what went wrong.
    pub signs: Arc<Signs>,
    /// Makes the model behind the gateway for one conversation: scripted ones answer from the task itself.
    pub backend: Backend,
    /// Who puts failures in words.
    pub critic: Option<CriticRuntime>,
}

/// The second model of `debugging-natural`.
pub struct CriticRuntime {
    pub model: AgentModel,
    pub backend: Backend,
}

/// Makes what answers a trial's conversation on a task; the error says why it cannot.
pub type Backend = Box<dyn Fn(&TrialKey, &Task, &Conversation) -> Result<RouteSpec, String> + Send + Sync>;

/// How the work on a trial ended in this process.
pub(super) enum Try {
    Ended(Outcome),
    /// Interrupted: no outcome; what there is stays in the folder and the trial is run again by `resume`.
    Cancelled,
}

/// Runs a trial until it has its outcome, trying infrastructure failures again as often as the run allows.
pub(super) async fn run_trial(stand: Arc<Stand>, key: TrialKey) -> Result<Try, RunError> {
    let folder = stand.conductor.run.trial(&key);
    if let Some(ended) = judge_again(&stand, &key, &folder).await? {
        return Ok(ended);
    }
    let retries = stand.conductor.lock.settings.retries;
    let mut failed_before = None;
    let scaffold = stand.conductor.cells.get(&key.cell).map(|cell| cell.scaffold.clone());
    for number in 0..=retries {
        // Before the trial begins, on whatever clock.
        if let Some(scaffold) = &scaffold {
            tokio::select! {
                biased;
                () = stand.conductor.cancel.cancelled() => break,
                () = scaffold.ready(stand.scratch.path()) => {}
            }
        }
        // What an earlier try left, of this process or of a dead one, is kept beside the trial.
        let kept = folder.begin()?;
        if let (Some(reason), Some(kept)) = (failed_before.take(), kept) {
            stand.note(&Event::TrialRetried {
                key: key.clone(),
                reason,
                kept,
            })?;
        }
        stand.note(&Event::TrialStarted { key: key.clone() })?;
        let tried = Attempt::new(&stand, &key, &folder)?.carry_out().await?;
        let Some(Tried {
            mut record,
            played,
            refused,
        }) = tried
        else {
            break;
        };
        if let Outcome::InfrastructureFailure { reason } = &record.outcome
            && number < retries
            && !played
            && !refused
        {
            folder.write_json("failed.json", &record)?;
            failed_before = Some(reason.clone());
            // A trial that may still be tried has no outcome: `resume` goes on with it.
            if stand.conductor.cancel.is_cancelled() {
                break;
            }
            continue;
        }
        record.retried = folder.usage_of_kept();
        folder.complete(&record)?;
        stand.note(&Event::TrialEnded {
            key: key.clone(),
            outcome: record.outcome.clone(),
        })?;
        return Ok(Try::Ended(record.outcome));
    }
    Ok(Try::Cancelled)
}
