//! One conversation with an agent that is started anew for each turn.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use minijinja::Value;
use tokio_util::sync::CancellationToken;

use super::Agent;
use super::events::{Heard, short};
use super::process::{Hearing, Running, Waited};
use super::rollout;
use super::written::Written;
use crate::plan::Limits;
use crate::recipe::Places;
use crate::scaffold::deadlines::{Began, Deadlines, ModelClock, Moment};
use crate::scaffold::launch::Prepared;
use crate::scaffold::{Exit, Killed, OpenError, Session, Stage, TurnEnd, message};
use crate::trial::{Ending, Failure};

/// One conversation; between its turns nothing of the agent runs.
pub(super) struct ExecSession {
    agent: Arc<Agent>,
    prepared: Arc<Prepared>,
    /// What each of the agent's processes must find as the first one did.
    written: Arc<Written>,
    /// Below it lies the file of the agent's session.
    sessions: PathBuf,
    /// The name of the agent's session, once there is one.
    id: Option<String>,
    cancel: CancellationToken,
    began: Began,
    clock: Arc<dyn ModelClock>,
    /// How the last process ended.
    exit: Exit,
    /// The ending after which there is no further turn.
    over: Option<Ending>,
    killed: Killed,
}

/// What the templates of a turn may name besides the places.
pub(super) fn more(session: Option<&str>, turn: usize) -> Places {
    Places::from([
        ("session", session.map_or(Value::from(()), Value::from)),
        ("turn", Value::from(turn)),
    ])
}

/// How a turn ends whose process cannot be started: that is no doing of the agent's.
fn unstarted(error: impl ToString) -> Ending {
    Ending::Failed {
        failure: Failure::ContainmentLost,
        detail: error.to_string(),
    }
}

impl ExecSession {
    pub fn new(
        agent: Arc<Agent>,
        prepared: Prepared,
        written: Written,
        stage: &Stage,
        began: Began,
    ) -> Result<Self, OpenError> {
        let sessions = prepared.fill(&agent.recipe, &agent.rules.source.session.folder)?;
        Ok(Self {
            sessions: sessions.into(),
            agent,
            prepared: Arc::new(prepared),
            written: Arc::new(written),
            id: None,
            cancel: stage.cancel.clone(),
            began,
            clock: stage.clocks.model.clone(),
            exit: Exit::Code(0),
            over: None,
            killed: Killed::default(),
        })
    }

    /// Starts the process of a turn; the ending of a turn that cannot have one. A large workspace takes its time, in which other sessions go on.
    async fn start(&self, turn: usize) -> Result<Running, Ending> {
        let (agent, prepared, id) = (self.agent.clone(), self.prepared.clone(), self.id.clone());
        let written = self.written.clone();
        let started = tokio::task::spawn_blocking(move || {
            if let Some(path) = written.changed() {
                return Err(Ending::Failed {
                    failure: Failure::SessionLost,
                    detail: format!("{} is no longer what the agent was started with", path.display()),
                });
            }
            let rendered = prepared
                .fill_all(&agent.recipe, more(id.as_deref(), turn))
                .map_err(unstarted)?;
            let folder = prepared.logs.join(format!("turns/{turn}"));
            Running::start(
                &prepared,
                &rendered,
                &agent.program,
                agent.containment.as_ref(),
                &folder,
            )
            .map_err(unstarted)
        });
        started.await.unwrap_or_else(|error| Err(unstarted(error)))
    }

    /// How a turn went whose process is buried.
    fn ending(&mut self, waited: Waited, running: &Running) -> Ending {
        match waited {
            Waited::Cancelled => return Ending::Cancelled,
            Waited::Limit(limit) => return Ending::TimedOut { limit },
            Waited::Ended => {}
        }
        if let Some(lost) = running.lost() {
            return lost;
        }
        let told = self.told(running);
        // A failure of the model's provider often leaves no session, and says why there is none.
        if matches!(&told, Ending::Failed { failure, .. } if failure.is_infrastructure()) {
            // One that goes on all the same goes on with this one.
            return match (rollout::session(&self.sessions, &self.agent.rules), &self.id) {
                (Ok(now), Some(before)) if now != *before => Ending::Failed {
                    failure: Failure::SessionLost,
                    detail: format!("session {before} has become {now}"),
                },
                (now, _) => {
                    self.id = now.ok().or(self.id.take());
                    told
                }
            };
        }
        match self.exit {
            Exit::Code(0) => {}
            Exit::Code(code) => return Ending::AgentExited { code },
            Exit::Killed => return Ending::AgentExited { code: -libc::SIGKILL },
        }
        let lost = |detail: String| Ending::Failed {
            failure: Failure::SessionLost,
            detail,
        };
        match (rollout::session(&self.sessions, &self.agent.rules), &self.id) {
            (Err(why), _) => lost(why),
            (Ok(now), Some(before)) if now != *before => lost(format!("session {before} has become {now}")),
            (Ok(now), _) => {
                self.id = Some(now);
                told
            }
        }
    }

    /// How the agent itself says that the turn went.
    fn told(&self, running: &Running) -> Ending {
        let failed = |failure, detail: String| Ending::Failed { failure, detail };
        let Heard {
            events, message, error, ..
        } = &running.heard;
        if let Some(error) = error {
            return failed(self.agent.rules.failure(error), error.clone());
        }
        if *events == 0 {
            let detail = format!("the agent told of nothing: {}", short(&running.last_words()));
            return failed(Failure::AgentCrashed, detail);
        }
        if !running.delivered {
            let detail = "the agent closed its input before it had read its prompt".to_owned();
            return failed(Failure::AgentCrashed, detail);
        }
        match message {
            true => Ending::Answered,
            false => failed(Failure::EmptyAnswer, "the turn ended without a message".to_owned()),
        }
    }

    /// What a user must be told of besides the ending.
    fn warnings(&self, turn: usize, ending: &Ending, running: &Running) -> Vec<String> {
        let mut warnings = Vec::new();
        let heard = &running.heard;
        if heard.strange > 0 {
            warnings.push(format!(
                "turn {turn}: {} lines of the agent's output are no events, the first of them: {}",
                heard.strange,
                heard.first_strange.escape_debug()
            ));
        }
        let words = running.last_words();
        if matches!(ending, Ending::AgentExited { .. }) && !words.is_empty() {
            warnings.push(format!("turn {turn}: the agent's last words: {}", short(&words)));
        }
        warnings
    }
}

#[async_trait]
impl Session for ExecSession {
    async fn say(&mut self, turn: usize, prompt: &str, limits: &Limits) -> TurnEnd {
        let end = |ending, warnings| TurnEnd {
            ending,
            answers: Vec::new(),
            warnings,
            finished_early: false,
        };
        if self.over.is_some() {
            return end(Ending::NotReached, Vec::new());
        }
        if let Err(refusal) = message::carries(prompt) {
            return end(Ending::NotReached, vec![refusal.to_string()]);
        }
        let deadlines = Deadlines::of_turn(limits, self.began, Moment::now(self.clock.as_ref()));
        let mut running = match self.start(turn).await {
            Ok(running) => running,
            Err(ending) => {
                self.over = Some(ending.clone());
                return end(ending, Vec::new());
            }
        };
        let hearing = Hearing {
            rules: &self.agent.rules,
            input: prompt.as_bytes(),
            deadlines: &deadlines,
            clock: self.clock.as_ref(),
            cancel: &self.cancel,
        };
        let waited = running.hear(hearing).await;
        // Whether the turn is over or was ended: nothing of it may run when the snapshot is taken.
        self.exit = running.bury(waited, &self.agent.rules).await;
        let killed = running.take_killed();
        self.killed.count += killed.count;
        self.killed.left += killed.left;
        let ending = self.ending(waited, &running);
        // Whether a failure of the provider ends the conversation is not the agent's to say, as long as there is a session.
        let goes_on = matches!(&ending, Ending::Failed { failure, .. } if failure.is_infrastructure());
        let goes_on = goes_on && self.id.is_some() && running.lost().is_none();
        if !ending.allows_next_turn() && !goes_on {
            self.over = Some(ending.clone());
        }
        let warnings = self.warnings(turn, &ending, &running);
        end(ending, warnings)
    }

    async fn settle(&mut self) -> Killed {
        std::mem::take(&mut self.killed)
    }

    async fn close(mut self: Box<Self>) -> (Exit, Killed) {
        (self.exit, self.settle().await)
    }
}
