//! One live agent behind its driver.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rustix::process::Signal;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::protocol::{Reason, Tell, Told};
use super::start::{Started, Starter};
use super::wire::{Line, last_words};
use crate::plan::Limits;
use crate::process::tree::{self, Process};
use crate::recipe::{Recipe, ShimRules};
use crate::scaffold::deadlines::{Began, Deadlines, ModelClock, Moment, seconds};
use crate::scaffold::{Exit, Killed, Session, Stage, TurnEnd};
use crate::trial::{Ending, Failure, Limit};

/// How long an ended driver may take to be gone.
const GONE: Duration = Duration::from_secs(2);

/// One agent behind its driver.
pub(super) struct ShimSession {
    recipe: Arc<Recipe>,
    rules: Arc<ShimRules>,
    started: Started,
    /// What ran when the agent took its first turn: itself, its terminal, its server. All else is left behind.
    waits: Vec<Process>,
    cancel: CancellationToken,
    began: Began,
    clock: Arc<dyn ModelClock>,
    warnings: Vec<String>,
    /// The turn that was said last.
    turn: usize,
    /// Whether the driver has hung up.
    ended: bool,
}

/// What a wait came to.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Heard {
    Ready,
    Finished {
        reason: Reason,
        error: String,
        message: String,
    },
    /// The driver said that it cannot go on, or said what it cannot mean.
    Failed(String),
    Ended,
    Limit(Limit),
    Cancelled,
}

impl ShimSession {
    pub fn new(starter: &Starter, mut started: Started, stage: &Stage, began: Began) -> Self {
        let warnings = std::mem::take(&mut started.warnings);
        Self {
            recipe: starter.recipe.clone(),
            rules: starter.rules.clone(),
            started,
            waits: Vec::new(),
            cancel: stage.cancel.clone(),
            began,
            clock: stage.clocks.model.clone(),
            warnings,
            turn: 0,
            ended: false,
        }
    }

    /// Tells the driver of its session, and waits until it takes the first turn.
    pub async fn until_ready(&mut self, deadlines: &Deadlines) -> Heard {
        let folder = self.started.logs.join("turns/0");
        if let Err(error) = self.started.wire.record_in(&folder) {
            self.warnings.push(format!("the start is not recorded: {error}"));
        }
        if !self.started.wire.tell(&self.started.greeting).await {
            // It may have said why.
            return self.hear(deadlines).await;
        }
        self.hear(deadlines).await
    }

    /// From now on what runs is the agent that waits.
    pub fn remember_who_waits(&mut self) {
        if let Some(root) = self.started.lineage.root() {
            self.waits = tree::descendants(root.pid);
        }
    }

    /// Lets those go on that [`settle`](Session::settle) has stopped.
    fn thaw(&self) {
        for process in &self.waits {
            process.signal(Signal::CONT);
        }
    }

    /// The end of the driver's log.
    pub fn last_words(&self) -> String {
        last_words(&self.started.log)
    }

    /// Listens until something has come to an end.
    async fn hear(&mut self, deadlines: &Deadlines) -> Heard {
        let mut last = Moment::now(self.clock.as_ref());
        let cancel = self.cancel.clone();
        loop {
            let now = Moment::now(self.clock.as_ref());
            if let Some(limit) = deadlines.passed(&now, &last) {
                return Heard::Limit(limit);
            }
            let wake = deadlines.next(&now, &last).min(Instant::now() + Duration::from_secs(1));
            let line = tokio::select! {
                biased;
                () = cancel.cancelled() => return Heard::Cancelled,
                line = self.started.wire.hear() => line,
                () = tokio::time::sleep_until(wake) => {
                    if self.started.lineage.is_lost() {
                        return Heard::Ended;
                    }
                    continue;
                }
            };
            last = Moment::now(self.clock.as_ref());
            match line {
                // One of the turn before may come late. None can know a later turn.
                Some(Line::Told(Told::Event { turn })) if turn <= self.turn => {}
                Some(Line::Told(Told::Ready)) => return Heard::Ready,
                Some(Line::Told(Told::TurnFinished {
                    turn,
                    reason,
                    interrupted,
                    error,
                    message,
                })) if turn == self.turn => {
                    self.started.ward.account(Killed {
                        count: u32::from(interrupted),
                        left: 0,
                    });
                    return Heard::Finished { reason, error, message };
                }
                // Said by another than the driver, or said again.
                Some(Line::Told(Told::Event { turn } | Told::TurnFinished { turn, .. })) => {
                    return Heard::Failed(format!("in turn {} the driver spoke of turn {turn}", self.turn));
                }
                Some(Line::Told(Told::Error { message })) => return Heard::Failed(message),
                Some(Line::Garbage(line)) => {
                    return Heard::Failed(format!("the driver said what is no message: {line}"));
                }
                Some(Line::Told(Told::Closed)) | None => {
                    self.ended = true;
                    return Heard::Ended;
                }
            }
        }
    }

    /// Ends the agent whatever it does, and everything that it started; on return nothing of it runs.
    pub async fn stop(&mut self) -> Exit {
        if let Some(exit) = self.started.ward.over() {
            return exit;
        }
        if self.ended {
            return self.bury().await;
        }
        self.bury().await;
        self.started.ward.had_to_be_killed()
    }

    /// Lets go of the driver, and waits until nothing of it runs.
    async fn bury(&mut self) -> Exit {
        self.started.wire.hang_up();
        if self.started.stand_in.is_some() && self.ended {
            self.until_alone().await;
        }
        self.started.stand_in = None;
        self.started.ward.bury(self.ended).await
    }

    /// Waits until the driver, which has ended, is gone, so that it does not count as left behind.
    async fn until_alone(&mut self) {
        let end = Instant::now() + GONE;
        let agent = self.started.lineage.agent();
        while let Some(root) = self.started.lineage.root()
            && tree::descendants(root.pid)
                .iter()
                .any(|process| Some(*process) != agent)
            && Instant::now() < end
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn turn_end(&mut self, ending: Ending, finished_early: bool) -> TurnEnd {
        TurnEnd {
            ending,
            answers: Vec::new(),
            warnings: std::mem::take(&mut self.warnings),
            finished_early,
        }
    }

    /// The ending of a session that cannot go on.
    async fn crashed(&mut self, detail: String) -> Ending {
        self.stop().await;
        self.started.ward.lost().unwrap_or(Ending::Failed {
            failure: Failure::AgentCrashed,
            detail,
        })
    }

    async fn ending(&mut self, heard: Heard) -> Ending {
        match heard {
            Heard::Finished { reason, error, message } => match reason {
                Reason::Answered if message.trim().is_empty() => Ending::Failed {
                    failure: Failure::EmptyAnswer,
                    detail: "the model's last message is empty".to_owned(),
                },
                Reason::Answered | Reason::Finished => Ending::Answered,
                Reason::RateLimited => Ending::Failed {
                    failure: Failure::RateLimit,
                    detail: error,
                },
                Reason::Error => Ending::Failed {
                    failure: self.rules.failure(&error),
                    detail: error,
                },
                Reason::Cancelled => Ending::Failed {
                    failure: Failure::AgentCrashed,
                    detail: "the agent stopped without having been told to".to_owned(),
                },
                Reason::Broken => self.crashed(error).await,
            },
            Heard::Limit(limit) => {
                self.give_up().await;
                Ending::TimedOut { limit }
            }
            Heard::Cancelled => {
                self.give_up().await;
                Ending::Cancelled
            }
            Heard::Failed(message) => self.crashed(message).await,
            Heard::Ready => self.crashed("the driver began anew".to_owned()).await,
            Heard::Ended => {
                let last = self.last_words();
                self.crashed(format!("the driver ended in the middle of the turn: {last}"))
                    .await
            }
        }
    }

    /// Asks the agent to stop, so that it writes down what it has, and ends it.
    async fn give_up(&mut self) {
        let grace = seconds(self.recipe.source.grace_seconds);
        let wire = &mut self.started.wire;
        let stopped = async {
            wire.tell(&Tell::Cancel).await;
            while let Some(line) = wire.hear().await {
                if matches!(line, Line::Told(Told::TurnFinished { .. })) {
                    return;
                }
            }
        };
        let _ = tokio::time::timeout(grace, stopped).await;
        self.stop().await;
    }
}

#[async_trait]
impl Session for ShimSession {
    async fn say(&mut self, turn: usize, prompt: &str, limits: &Limits) -> TurnEnd {
        if self.started.ward.over().is_some() {
            let ending = self.started.ward.lost().unwrap_or(Ending::NotReached);
            return self.turn_end(ending, false);
        }
        self.thaw();
        self.turn = turn;
        let folder = self.started.logs.join(format!("turns/{turn}"));
        if let Err(error) = self.started.wire.record_in(&folder) {
            self.warnings.push(format!("turn {turn} is not recorded: {error}"));
        }
        let deadlines = Deadlines::of_turn(limits, self.began, Moment::now(self.clock.as_ref()));
        let prompt = prompt.to_owned();
        let told = tokio::time::timeout_at(
            deadlines.by_wall(),
            self.started.wire.tell(&Tell::Turn { turn, prompt }),
        )
        .await;
        let heard = match told {
            Ok(true) => self.hear(&deadlines).await,
            Ok(false) => {
                self.ended = true;
                Heard::Ended
            }
            Err(_) => Heard::Limit(Limit::Turn),
        };
        let finished_early = matches!(
            &heard,
            Heard::Finished {
                reason: Reason::Finished,
                ..
            }
        );
        let ending = self.ending(heard).await;
        self.turn_end(ending, finished_early)
    }

    async fn settle(&mut self) -> Killed {
        if self.started.ward.over().is_none() && self.started.ward.is_unwatched() {
            self.bury().await;
        }
        if self.started.ward.over().is_none()
            && let Some(root) = self.started.lineage.root().filter(|root| root.runs())
        {
            // The agent's own shell may have been told to write for ever.
            self.started.ward.freeze(root, self.waits.clone()).await;
        }
        self.started.ward.take_killed()
    }

    async fn close(mut self: Box<Self>) -> (Exit, Killed) {
        let killed = self.settle().await;
        let exit = match self.started.ward.over() {
            Some(exit) => exit,
            None => {
                let patience = seconds(self.recipe.source.exit_seconds);
                self.thaw();
                let wire = &mut self.started.wire;
                let left = async {
                    wire.tell(&Tell::Stop).await;
                    while wire.hear().await.is_some() {}
                };
                self.ended |= tokio::time::timeout(patience, left).await.is_ok();
                self.stop().await
            }
        };
        self.started.ward.account(killed);
        (exit, self.started.ward.take_killed())
    }
}
