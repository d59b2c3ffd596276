//! Listening to an agent: waits until it stands at a prompt, is gone, or has used up a limit.
//!
//! `expectrl` conducts the short dialogues, an answer and the exit; it does not do the long wait, because it keeps all
//! that it reads in memory, looks at 128 bytes at a time, and cannot write and read at once.

use std::sync::Arc;
use std::time::Duration;

use expectrl::{AsyncExpect, Eof, Session};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::answers::Question;
use super::deadlines::{Deadlines, ModelClock, Moment};
use super::endings::Seen;
use super::ward::Lineage;
use crate::process::tree::Process;
use crate::pty::{Lines, PtyIo, Tail};
use crate::recipe::TerminalRules;
use crate::trial::Limit;

/// Why a wait is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Waited {
    /// The agent waits for the next turn.
    Ready,
    /// The agent asks; the form of the question is known.
    Question(Question),
    /// The agent reads its terminal, and what it has printed has no known form.
    Unknown(Question),
    /// Nobody holds the terminal any more.
    Ended,
    Limit(Limit),
    /// The agent goes on retrying a failed call.
    Retrying,
    Cancelled,
}

/// The conversation with one process at one terminal.
pub struct Dialogue {
    session: Session<(), PtyIo>,
    lineage: Lineage,
    tail: Tail,
    lines: Lines,
    pub seen: Seen,
    clock: Arc<dyn ModelClock>,
    last_output: Moment,
    /// Since when a command of the model runs, and how many keys have been written to it.
    command: Option<(Instant, usize)>,
}

/// How much of the output's end the prompts are looked for in: room for the names of some hundred files.
const WINDOW: usize = 32 << 10;
/// Silence that stands for a blocked process where the kernel does not tell.
const SILENCE: Duration = Duration::from_millis(300);
/// How long an agent reads its terminal after an unknown text before that is a question.
const PUZZLED: Duration = Duration::from_secs(2);
/// A retry is only believed when nothing follows it at once: a model's reply is printed in one go.
const RETRY_PAUSE: Duration = Duration::from_millis(100);
/// How often it is looked whether the shepherd lives.
const LOOK: Duration = Duration::from_secs(1);
const SHORTEST_NAP: Duration = Duration::from_millis(1);
const LONGEST_NAP: Duration = Duration::from_millis(20);

impl Dialogue {
    pub fn new(io: PtyIo, lineage: Lineage, clock: Arc<dyn ModelClock>) -> std::io::Result<Self> {
        Ok(Self {
            session: Session::new((), io)?,
            lineage,
            tail: Tail::default(),
            lines: Lines::default(),
            seen: Seen::default(),
            last_output: Moment::now(clock.as_ref()),
            clock,
            command: None,
        })
    }

    pub fn io(&mut self) -> &mut PtyIo {
        self.session.get_stream_mut()
    }

    /// The last lines that the agent printed.
    pub fn excerpt(&self) -> String {
        self.tail.excerpt()
    }

    /// The process that the agent and all that it starts descend from; `None` as long as there is none.
    pub fn root(&mut self) -> Option<Process> {
        self.lineage.root()
    }

    /// The agent's process.
    pub fn agent(&mut self) -> Option<Process> {
        self.lineage.agent()
    }

    /// Forgets what was printed so far: it belongs to what is over.
    fn mark(&mut self) {
        self.tail.clear();
        self.lines.clear();
        self.last_output = Moment::now(self.clock.as_ref());
    }

    /// Writes a message while listening, so that neither side waits for the other. False when the agent is gone.
    pub async fn enter(
        &mut self,
        rules: &TerminalRules,
        bytes: &[u8],
        cancel: &CancellationToken,
        end: Instant,
    ) -> bool {
        self.mark();
        let mut left = bytes;
        while !left.is_empty() {
            self.drain(rules);
            match self.io().try_write(left) {
                Ok(Some(count)) => {
                    left = &left[count..];
                    continue;
                }
                Ok(None) if !self.io().ended() => {}
                _ => return false,
            }
            let io = self.session.get_stream();
            tokio::select! {
                biased;
                () = cancel.cancelled() => return true,
                () = tokio::time::sleep_until(end) => return true,
                _ = io.readable() => {}
                _ = io.writable() => {}
            }
        }
        true
    }

    /// Answers a question.
    pub async fn answer(&mut self, text: &str, runs_command: bool) -> bool {
        self.mark();
        self.seen.muted = runs_command;
        self.command = runs_command.then(|| (Instant::now(), 0));
        self.session.send(text).await.is_ok()
    }

    /// Tells the agent to leave and waits until the terminal is closed; false when it does not leave in time.
    pub async fn leave(&mut self, text: &str, patience: Duration) -> bool {
        self.mark();
        self.io().set_budget(64 << 10);
        self.session.set_expect_timeout(None);
        let farewell = async {
            self.session.send(text).await?;
            self.session.expect(Eof).await.map(drop)
        };
        matches!(tokio::time::timeout(patience, farewell).await, Ok(Ok(())))
    }

    /// Listens, without looking, until the terminal is closed; false when it is not closed in time.
    pub async fn until_closed(&mut self, rules: &TerminalRules, patience: Duration) -> bool {
        let end = Instant::now() + patience;
        loop {
            self.drain(rules);
            if self.io().ended() {
                return true;
            }
            let io = self.session.get_stream();
            tokio::select! {
                biased;
                () = tokio::time::sleep_until(end) => return false,
                readable = io.readable() => if readable.is_err() { return true },
            }
        }
    }

    /// Waits for the agent.
    pub async fn wait(&mut self, rules: &TerminalRules, deadlines: &Deadlines, cancel: &CancellationToken) -> Waited {
        let mut nap = SHORTEST_NAP;
        let mut prompt = false;
        let mut looked = false;
        loop {
            if self.drain(rules) || !looked {
                nap = SHORTEST_NAP;
                looked = true;
                prompt = rules.prompts.is_match(self.window());
            }
            // What outlives a killed shepherd may hold the terminal open.
            let left = self.lineage.is_lost();
            if left {
                self.drain(rules);
            }
            if left || self.io().ended() {
                return Waited::Ended;
            }
            let moment = Moment::now(self.clock.as_ref());
            let now = moment.at;
            let mut wake = (now + LOOK).min(deadlines.next(&moment, &self.last_output));
            if prompt {
                match self.stands(now) {
                    Ok(()) => return self.prompt(rules),
                    Err(Some(time)) => wake = wake.min(time),
                    Err(None) => {
                        wake = wake.min(now + nap);
                        nap = (nap * 2).min(LONGEST_NAP);
                    }
                }
            } else if self.tail.bytes().last().is_some_and(|byte| *byte != b'\n') {
                let puzzled = self.last_output.at + PUZZLED;
                if now < puzzled {
                    wake = wake.min(puzzled);
                } else if self.agent().and_then(Process::waits_for_input) == Some(true) {
                    let question = Question::unknown(self.window());
                    self.end_command();
                    return Waited::Unknown(question);
                } else {
                    wake = wake.min(now + PUZZLED / 4);
                }
            }
            if let Some(give_up) = &rules.source.give_up
                && self.seen.waits_to_retry
                && self.seen.retries > give_up.after
            {
                let believed = self.last_output.at + RETRY_PAUSE;
                if now >= believed {
                    return Waited::Retrying;
                }
                wake = wake.min(believed);
            }
            if let Some(due) = self.command_due(rules, now) {
                wake = wake.min(due);
            }
            if let Some(limit) = deadlines.passed(&moment, &self.last_output) {
                return Waited::Limit(limit);
            }
            let io = self.session.get_stream();
            tokio::select! {
                biased;
                () = cancel.cancelled() => return Waited::Cancelled,
                readable = io.readable() => if readable.is_err() { return Waited::Ended },
                () = tokio::time::sleep_until(wake) => {}
            }
        }
    }

    /// Reads what there is, up to a bound; whether there was anything.
    fn drain(&mut self, rules: &TerminalRules) -> bool {
        let mut buffer = [0; 16 << 10];
        let mut any = false;
        for _ in 0..64 {
            let Ok(Some(count)) = self.session.get_stream_mut().try_read(&mut buffer) else {
                break;
            };
            if count == 0 {
                break;
            }
            any = true;
            self.tail.push(&buffer[..count]);
            let seen = &mut self.seen;
            self.lines.push(&buffer[..count], |line| seen.line(rules, line));
        }
        if any {
            self.last_output = Moment::now(self.clock.as_ref());
        }
        any
    }

    fn window(&self) -> &[u8] {
        let bytes = self.tail.bytes();
        &bytes[bytes.len().saturating_sub(WINDOW)..]
    }

    /// Whether the agent reads its terminal; otherwise when to look again, `None` for soon.
    fn stands(&mut self, now: Instant) -> Result<(), Option<Instant>> {
        match self.agent().map(Process::waits_for_input) {
            Some(Some(true)) => Ok(()),
            Some(Some(false)) => Err(None),
            // Not readable here: silence must do.
            Some(None) if now >= self.last_output.at + SILENCE => Ok(()),
            Some(None) => Err(Some(self.last_output.at + SILENCE)),
            None => Err(None),
        }
    }

    fn prompt(&mut self, rules: &TerminalRules) -> Waited {
        self.end_command();
        // A question that also looks like a ready prompt is a question.
        match Question::read(rules, self.window()) {
            Some(question) => Waited::Question(question),
            None => Waited::Ready,
        }
    }

    fn end_command(&mut self) {
        self.command = None;
        self.seen.muted = false;
    }

    /// Writes the next key to a command that has run too long; when that is due again.
    fn command_due(&mut self, rules: &TerminalRules, now: Instant) -> Option<Instant> {
        let (since, count) = self.command?;
        let commands = rules.source.commands.as_ref()?;
        let key = commands.keys.get(count)?;
        let due = since + Duration::from_secs_f64(commands.seconds);
        if now < due {
            return Some(due);
        }
        // It may not fit only when the terminal is full of what nobody reads, and then a key would not help either.
        let _ = self.session.get_stream_mut().try_write(key.as_bytes());
        self.command = Some((now, count + 1));
        Some(now + Duration::from_secs_f64(commands.seconds))
    }
}
