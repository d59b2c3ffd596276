//! One live agent at its terminal.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use rustix::process::Signal;
use tokio_util::sync::CancellationToken;

use super::answers;
use super::deadlines::{Began, Deadlines, ModelClock, Moment, seconds};
use super::dialogue::{Dialogue, Waited};
use super::endings::{CallLog, Seen};
use super::launch::Launched;
use super::message;
use super::ward::{Lineage, Ward};
use super::{Exit, Killed, OpenError, Session, Stage, TurnEnd};
use crate::plan::Limits;
use crate::pty::{Recorder, Spawned};
use crate::recipe::{Recipe, TerminalRules};
use crate::trial::{Answer, Ending, Limit};

/// One agent at its terminal.
pub(super) struct PtySession {
    recipe: Arc<Recipe>,
    rules: Arc<TerminalRules>,
    pub(super) dialogue: Dialogue,
    ward: Ward,
    workspace: PathBuf,
    logs: PathBuf,
    calls: Option<CallLog>,
    guard: String,
    shell_commands: bool,
    cancel: CancellationToken,
    began: Began,
    clock: Arc<dyn ModelClock>,
    answers: Vec<Answer>,
    warnings: Vec<String>,
}

/// How attending to the agent's questions came to an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attended {
    Ready,
    Ended,
    Limit(Limit),
    Cancelled,
}

impl PtySession {
    pub(super) fn new(
        recipe: Arc<Recipe>,
        rules: Arc<TerminalRules>,
        launched: Launched,
        stage: &Stage,
        began: Began,
    ) -> Result<Self, OpenError> {
        let Spawned { io, pid, child } = launched.spawned;
        let (report, trace) = (launched.report, launched.trace);
        let lineage = Lineage::new(pid, trace.clone());
        // Before anything can fail: from here on it is ended whatever happens.
        let ward = Ward::new(child, pid, report, trace);
        let dialogue = Dialogue::new(io, lineage, stage.clocks.model.clone()).map_err(|source| OpenError::Spawn {
            program: recipe.source.name.clone(),
            source,
        })?;
        Ok(Self {
            dialogue,
            ward,
            workspace: launched.workspace,
            logs: stage.logs.clone(),
            calls: launched.calls.map(CallLog::new),
            guard: stage.guard.clone(),
            shell_commands: !stage.options.no_shell_commands,
            cancel: stage.cancel.clone(),
            began,
            clock: stage.clocks.model.clone(),
            answers: Vec::new(),
            warnings: Vec::new(),
            recipe,
            rules,
        })
    }

    /// Answers questions until the agent is ready or cannot become so.
    pub(super) async fn attend(&mut self, deadlines: &Deadlines, most: u32) -> Attended {
        let mut asked = 0;
        let mut given_up = false;
        let cancel = self.cancel.clone();
        loop {
            let question = match self.dialogue.wait(&self.rules, deadlines, &cancel).await {
                Waited::Ready => return Attended::Ready,
                Waited::Ended => return Attended::Ended,
                Waited::Cancelled => return Attended::Cancelled,
                Waited::Limit(limit) => return Attended::Limit(limit),
                Waited::Retrying => {
                    // Interrupted between two attempts, the agent is back at its prompt.
                    if !given_up && let Some(agent) = self.dialogue.agent() {
                        agent.signal(Signal::INT);
                    }
                    given_up = true;
                    self.dialogue.seen.waits_to_retry = false;
                    continue;
                }
                Waited::Question(question) | Waited::Unknown(question) => question,
            };
            if asked >= most {
                return Attended::Limit(Limit::Answers);
            }
            asked += 1;
            let reply = answers::reply(&self.rules, &question, &self.workspace, self.shell_commands);
            if reply.answer.rule.is_none() {
                let told = &reply.answer.answer;
                self.warnings.push(format!(
                    "no rule knows the question `{}`: answered `{told}`",
                    question.text
                ));
            }
            let text = format!("{}{}", reply.answer.answer, self.rules.source.enter);
            self.dialogue.seen.failure = self.dialogue.seen.failure.or(reply.failure);
            self.answers.push(reply.answer);
            if !self.dialogue.answer(&text, reply.runs_command).await {
                return Attended::Ended;
            }
        }
    }

    /// Ends the agent whatever it does, and everything that it started; on return nothing of it runs.
    pub(super) async fn stop(&mut self) -> Exit {
        if let Some(exit) = self.ward.over() {
            return exit;
        }
        if self.dialogue.io().ended() {
            return self.bury().await;
        }
        if let Some(agent) = self.dialogue.agent() {
            let grace = seconds(self.recipe.source.grace_seconds);
            // The interrupt lets it write down what it has; it may also take it for a wish to go on.
            agent.signal(Signal::INT);
            if !self.dialogue.until_closed(&self.rules, grace / 10).await {
                agent.signal(Signal::TERM);
                self.dialogue.until_closed(&self.rules, grace).await;
            }
        }
        self.bury().await;
        self.ward.had_to_be_killed()
    }

    /// Waits until nothing of the agent runs.
    async fn bury(&mut self) -> Exit {
        let ended = self.dialogue.io().ended();
        let exit = self.ward.bury(ended).await;
        self.dialogue.io().recorder.flush();
        exit
    }

    fn turn_end(&mut self, ending: Ending) -> TurnEnd {
        self.dialogue.io().recorder.flush();
        TurnEnd {
            ending,
            answers: std::mem::take(&mut self.answers),
            warnings: std::mem::take(&mut self.warnings),
            finished_early: false,
        }
    }

    /// The ending of a turn that came to `attended`.
    async fn ending(&mut self, attended: Attended) -> Ending {
        let last_call = self.calls.as_mut().and_then(|calls| calls.last_call(&self.rules));
        // Nobody watches an agent without its shepherd: it cannot go on.
        let attended = match attended {
            Attended::Ready if self.ward.is_unwatched() => Attended::Ended,
            attended => attended,
        };
        match attended {
            Attended::Ready => self
                .dialogue
                .seen
                .failure(&self.rules, last_call)
                .unwrap_or(Ending::Answered),
            Attended::Limit(limit) => {
                self.stop().await;
                Ending::TimedOut { limit }
            }
            Attended::Cancelled => {
                self.stop().await;
                Ending::Cancelled
            }
            Attended::Ended => {
                let exit = self.bury().await;
                if let Some(lost) = self.ward.lost() {
                    return lost;
                }
                let crash = self.dialogue.seen.crash(&self.rules);
                crash.unwrap_or(Ending::AgentExited {
                    code: match exit {
                        Exit::Code(code) => code,
                        Exit::Killed => -libc::SIGKILL,
                    },
                })
            }
        }
    }
}

#[async_trait]
impl Session for PtySession {
    async fn say(&mut self, turn: usize, prompt: &str, limits: &Limits) -> TurnEnd {
        if self.ward.over().is_some() {
            let ending = self.ward.lost().unwrap_or(Ending::NotReached);
            return self.turn_end(ending);
        }
        let bytes = match message::framed(&self.rules.source.message, prompt, &self.guard) {
            Ok(bytes) => bytes,
            Err(refusal) => {
                self.warnings.push(refusal.to_string());
                return self.turn_end(Ending::NotReached);
            }
        };
        self.dialogue.io().recorder.flush();
        match Recorder::open(&self.logs.join(format!("turns/{turn}"))) {
            Ok(recorder) => self.dialogue.io().recorder = recorder,
            Err(error) => {
                self.dialogue.io().recorder = Recorder::none();
                self.warnings.push(format!("turn {turn} is not recorded: {error}"));
            }
        }
        self.dialogue.seen = Seen::default();
        let deadlines = Deadlines::of_turn(limits, self.began, Moment::now(self.clock.as_ref()));
        let end = deadlines.by_wall();
        let cancel = self.cancel.clone();
        let attended = match self.dialogue.enter(&self.rules, bytes.as_bytes(), &cancel, end).await {
            true => self.attend(&deadlines, limits.answers).await,
            false => Attended::Ended,
        };
        let ending = self.ending(attended).await;
        self.turn_end(ending)
    }

    async fn settle(&mut self) -> Killed {
        if self.ward.over().is_none() && self.ward.is_unwatched() {
            self.bury().await;
        }
        if self.ward.over().is_none()
            && let Some(root) = self.dialogue.root().filter(|root| root.runs())
        {
            let keep = self.dialogue.agent();
            self.ward.kill_strays(root, keep.into_iter().collect()).await;
        }
        self.ward.take_killed()
    }

    async fn close(mut self: Box<Self>) -> (Exit, Killed) {
        let killed = self.settle().await;
        let exit = match self.ward.over() {
            Some(exit) => exit,
            None => {
                let (text, patience) = (self.rules.source.exit.clone(), seconds(self.recipe.source.exit_seconds));
                match self.dialogue.leave(&text, patience).await {
                    true => self.bury().await,
                    false => self.stop().await,
                }
            }
        };
        self.ward.account(killed);
        (exit, self.ward.take_killed())
    }
}
