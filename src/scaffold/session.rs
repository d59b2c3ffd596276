//! One live agent at its terminal.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open};
use tokio::io::unix::AsyncFd;
use tokio_util::sync::CancellationToken;

use super::answers;
use super::deadlines::{Began, Deadlines, ModelClock, Moment, seconds};
use super::dialogue::{Dialogue, Waited};
use super::endings::{CallLog, Seen};
use super::launch::Launched;
use super::message;
use super::{Exit, Killed, OpenError, Session, Stage, TurnEnd};
use crate::plan::Limits;
use crate::process::shepherd::Report;
use crate::process::tree::{self, Process};
use crate::process::{Trace, children};
use crate::pty::Recorder;
use crate::recipe::Recipe;
use crate::trial::{Answer, Ending, Failure, Limit};

/// One agent at its terminal.
pub(super) struct PtySession {
    recipe: Arc<Recipe>,
    pub(super) dialogue: Dialogue,
    child: Option<Box<dyn portable_pty::Child + Send + Sync>>,
    shepherd: i32,
    /// When the shepherd was started, in clock ticks: what it may leave to us is younger.
    since: u64,
    workspace: PathBuf,
    logs: PathBuf,
    report: PathBuf,
    /// What a containment leaves.
    trace: Option<PathBuf>,
    calls: Option<CallLog>,
    guard: String,
    shell_commands: bool,
    cancel: CancellationToken,
    began: Began,
    clock: Arc<dyn ModelClock>,
    answers: Vec<Answer>,
    warnings: Vec<String>,
    /// How everything ended, once nothing runs any more.
    over: Option<Exit>,
    /// Whether it was the containment that ended, and not the agent.
    lost: bool,
    /// What was killed, or could not be, and was not yet told of.
    killed: Killed,
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
    pub(super) fn new(recipe: Arc<Recipe>, launched: Launched, stage: &Stage, began: Began) -> Result<Self, OpenError> {
        let shepherd = launched.spawned.pid;
        let (trace, clock) = (launched.trace.clone(), stage.clocks.model.clone());
        let dialogue =
            Dialogue::new(launched.spawned.io, shepherd, trace, clock).map_err(|source| OpenError::Spawn {
                program: recipe.source.name.clone(),
                source,
            })?;
        Ok(Self {
            dialogue,
            child: Some(launched.spawned.child),
            shepherd,
            since: Process::existing(shepherd).map_or(u64::MAX, |shepherd| shepherd.started),
            workspace: launched.workspace,
            logs: stage.logs.clone(),
            report: launched.report,
            trace: launched.trace,
            calls: launched.calls.map(CallLog::new),
            guard: stage.guard.clone(),
            shell_commands: !stage.options.no_shell_commands,
            cancel: stage.cancel.clone(),
            began,
            clock: stage.clocks.model.clone(),
            answers: Vec::new(),
            warnings: Vec::new(),
            over: None,
            lost: false,
            killed: Killed::default(),
            recipe,
        })
    }

    /// Answers questions until the agent is ready or cannot become so.
    pub(super) async fn attend(&mut self, deadlines: &Deadlines, most: u32) -> Attended {
        let mut asked = 0;
        let mut given_up = false;
        let cancel = self.cancel.clone();
        loop {
            let question = match self.dialogue.wait(&self.recipe, deadlines, &cancel).await {
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
            let reply = answers::reply(&self.recipe, &question, &self.workspace, self.shell_commands);
            if reply.answer.rule.is_none() {
                let told = &reply.answer.answer;
                self.warnings.push(format!(
                    "no rule knows the question `{}`: answered `{told}`",
                    question.text
                ));
            }
            let text = format!("{}{}", reply.answer.answer, self.recipe.source.enter);
            self.dialogue.seen.failure = self.dialogue.seen.failure.or(reply.failure);
            self.answers.push(reply.answer);
            if !self.dialogue.answer(&text, reply.runs_command).await {
                return Attended::Ended;
            }
        }
    }

    /// Ends the agent whatever it does, and everything that it started; on return nothing of it runs.
    pub(super) async fn stop(&mut self) -> Exit {
        if let Some(exit) = self.over {
            return exit;
        }
        if self.dialogue.io().ended() {
            return self.bury().await;
        }
        if let Some(agent) = self.dialogue.agent() {
            let grace = seconds(self.recipe.source.grace_seconds);
            // The interrupt lets it write down what it has; it may also take it for a wish to go on.
            agent.signal(Signal::INT);
            if !self.dialogue.until_closed(&self.recipe, grace / 10).await {
                agent.signal(Signal::TERM);
                self.dialogue.until_closed(&self.recipe, grace).await;
            }
        }
        self.bury().await;
        // What had to be told to leave was killed, whatever status it left with.
        self.over = Some(Exit::Killed);
        Exit::Killed
    }

    /// Waits for the shepherd, which kills what is left; makes it when it does not.
    async fn bury(&mut self) -> Exit {
        let patience = Duration::from_secs(12);
        if let Some(shepherd) = Process::of(self.shepherd) {
            if !self.dialogue.io().ended() {
                shepherd.signal(Signal::TERM);
            }
            if !gone(self.shepherd, patience).await {
                let root = self.shepherd;
                let _ = tokio::task::spawn_blocking(move || tree::kill_descendants(root, &[], patience)).await;
                shepherd.signal(Signal::KILL);
                gone(self.shepherd, patience).await;
            }
        }
        if let Some(mut child) = self.child.take() {
            // It has ended, so this does not wait.
            let status = child.try_wait();
            // What was left by a shepherd that was killed came to us, and nothing else can end it. One that left by
            // itself left nothing: what came to us meanwhile is another session's to end and to count.
            if !matches!(status, Ok(Some(status)) if status.signal().is_none()) {
                let since = self.since;
                let orphans = tokio::task::spawn_blocking(move || children::kill_adopted(since, patience)).await;
                self.account(orphans.unwrap_or_default());
            }
        }
        self.dialogue.io().recorder.flush();
        let report: Option<Report> = std::fs::read(&self.report)
            .ok()
            .and_then(|text| serde_json::from_slice(&text).ok());
        let report = match self.trace.as_deref().map(Trace::read) {
            None => {
                self.killed.count += report.map_or(0, |report| report.strays);
                report
            }
            // The shepherd knows of the containment only: what it ended there was no stray.
            Some(trace) => {
                let ended = trace.and_then(|trace| trace.ended);
                self.lost = trace.is_some_and(|trace| trace.lost);
                self.killed.count += ended.map_or(0, |ended| ended.strays);
                if let Some(Trace { root, .. }) = trace {
                    let outlived = move || {
                        tree::kill_all(
                            || Process::of(root.pid).filter(|now| *now == root).into_iter().collect(),
                            patience,
                        )
                    };
                    let left = tokio::task::spawn_blocking(outlived).await;
                    self.killed.left += left.unwrap_or_default().left;
                }
                ended
            }
        };
        let exit = report.map_or(Exit::Killed, |report| Exit::Code(report.status));
        self.over = Some(exit);
        exit
    }

    fn account(&mut self, killed: Killed) {
        self.killed.count += killed.count;
        self.killed.left += killed.left;
    }

    fn turn_end(&mut self, ending: Ending) -> TurnEnd {
        self.dialogue.io().recorder.flush();
        TurnEnd {
            ending,
            answers: std::mem::take(&mut self.answers),
            warnings: std::mem::take(&mut self.warnings),
        }
    }

    /// The ending of a turn that came to `attended`.
    async fn ending(&mut self, attended: Attended) -> Ending {
        let last_call = self.calls.as_mut().and_then(|calls| calls.last_call(&self.recipe));
        // Nobody watches an agent without its shepherd: it cannot go on.
        let attended = match attended {
            Attended::Ready if Process::of(self.shepherd).is_none() => Attended::Ended,
            attended => attended,
        };
        match attended {
            Attended::Ready => self
                .dialogue
                .seen
                .failure(&self.recipe, last_call)
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
                if self.lost {
                    return lost();
                }
                let crash = self.dialogue.seen.crash(&self.recipe);
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

/// The ending of a session whose containment was killed.
fn lost() -> Ending {
    Ending::Failed {
        failure: Failure::ContainmentLost,
        detail: "what held the agent was killed, and the agent with it".to_owned(),
    }
}

/// Waits until a child of ours has ended.
async fn gone(pid: i32, patience: Duration) -> bool {
    let Some(fd) = Pid::from_raw(pid).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()) else {
        return true;
    };
    // SAFETY: an `OwnedFd` always gives the same, open descriptor.
    let Ok(fd) = (unsafe { AsyncFd::register_with_interest(fd, tokio::io::Interest::READABLE) }) else {
        return false;
    };
    let ended = tokio::time::timeout(patience, fd.readable()).await;
    matches!(ended, Ok(Ok(_)))
}

#[async_trait]
impl Session for PtySession {
    async fn say(&mut self, turn: usize, prompt: &str, limits: &Limits) -> TurnEnd {
        if self.over.is_some() {
            let ending = if self.lost { lost() } else { Ending::NotReached };
            return self.turn_end(ending);
        }
        let bytes = match message::framed(&self.recipe.source.message, prompt, &self.guard) {
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
        let attended = match self.dialogue.enter(&self.recipe, bytes.as_bytes(), &cancel, end).await {
            true => self.attend(&deadlines, limits.answers).await,
            false => Attended::Ended,
        };
        let ending = self.ending(attended).await;
        self.turn_end(ending)
    }

    async fn settle(&mut self) -> Killed {
        if self.over.is_none() && Process::of(self.shepherd).is_none() {
            self.bury().await;
        }
        if self.over.is_none()
            && let Some(root) = self.dialogue.root().filter(|root| root.runs())
        {
            let keep = self.dialogue.agent();
            let patience = Duration::from_secs(10);
            let kill = move || tree::kill_descendants(root.pid, keep.as_slice(), patience);
            let killed = tokio::task::spawn_blocking(kill).await;
            self.account(killed.unwrap_or_default());
        }
        std::mem::take(&mut self.killed)
    }

    async fn close(mut self: Box<Self>) -> (Exit, Killed) {
        let killed = self.settle().await;
        let exit = match self.over {
            Some(exit) => exit,
            None => {
                let (text, patience) = (
                    self.recipe.source.exit.clone(),
                    seconds(self.recipe.source.exit_seconds),
                );
                match self.dialogue.leave(&text, patience).await {
                    true => self.bury().await,
                    false => self.stop().await,
                }
            }
        };
        self.account(killed);
        (exit, self.killed)
    }
}

impl Drop for PtySession {
    /// The terminal closes with the dialogue, and then the shepherd ends everything; only its own end is left to wait for.
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let since = self.since;
            std::thread::spawn(move || {
                if !matches!(child.wait(), Ok(status) if status.signal().is_none()) {
                    children::kill_adopted(since, Duration::from_secs(10));
                }
            });
        }
    }
}
