//! One process of an agent, from its start until nothing of it runs.

use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{ChildStderr, ChildStdin, ChildStdout};
use tokio_util::sync::CancellationToken;

use super::events::Heard;
use super::log::Log;
use crate::process::pipes::{self, Piped};
use crate::process::{Containment, Trace};
use crate::recipe::{ExecRules, Rendered};
use crate::scaffold::deadlines::{Deadlines, ModelClock, Moment};
use crate::scaffold::launch::Prepared;
use crate::scaffold::ward::{self, Ward};
use crate::scaffold::{Exit, Killed, OpenError};
use crate::trial::{Ending, Failure, Limit};

/// How waiting for a process came to an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Waited {
    Ended,
    Limit(Limit),
    Cancelled,
}

/// A running process and its pipes.
pub(super) struct Running {
    stdin: Option<ChildStdin>,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    /// It has an end of its own, even while what it left holds its pipes.
    gone: Pin<Box<dyn Future<Output = bool> + Send>>,
    ward: Ward,
    trace: Option<PathBuf>,
    out: Log,
    err: Log,
    /// The end of what it wrote to its standard error.
    tail: Vec<u8>,
    /// All of its input was taken.
    pub delivered: bool,
    /// What it has said.
    pub heard: Heard,
}

/// How much of the standard error is told.
const TAIL: usize = 1000;
/// Longer than any limit.
const FAR: Duration = Duration::from_secs(30 * 24 * 3600);
/// How long the rest of the output may take to be read when nothing of the process runs.
const REST: Duration = Duration::from_secs(10);

/// What a process is told, and for how long it is listened to.
pub(super) struct Hearing<'a> {
    pub rules: &'a ExecRules,
    pub input: &'a [u8],
    pub deadlines: &'a Deadlines,
    pub clock: &'a dyn ModelClock,
    pub cancel: &'a CancellationToken,
}

impl Running {
    /// Starts a rendered command line; `folder` is the driver's own and becomes that process's alone, with its logs.
    pub fn start(
        prepared: &Prepared,
        rendered: &Rendered,
        program: &Path,
        containment: &dyn Containment,
        folder: &Path,
    ) -> Result<Self, OpenError> {
        let unprepared = |source: io::Error| OpenError::Prepare {
            path: folder.to_owned(),
            source,
        };
        std::fs::create_dir_all(folder).map_err(unprepared)?;
        let out = Log::create(&folder.join("agent.log")).map_err(unprepared)?;
        let err = Log::create(&folder.join("stderr.log")).map_err(unprepared)?;
        let start = prepared.start(rendered, program, containment, folder)?;
        let piped = pipes::spawn(start.argv, start.env, &prepared.workspace).map_err(|source| OpenError::Spawn {
            program: program.display().to_string(),
            source,
        })?;
        let Piped {
            stdin,
            stdout,
            stderr,
            pid,
            child,
        } = piped;
        Ok(Self {
            stdin: Some(stdin),
            stdout: Some(stdout),
            stderr: Some(stderr),
            gone: Box::pin(ward::gone(pid, FAR)),
            ward: Ward::new(Box::new(child), pid, start.report, start.trace.clone()),
            trace: start.trace,
            out,
            err,
            tail: Vec::new(),
            delivered: false,
            heard: Heard::default(),
        })
    }

    /// Gives it its input and listens until it has ended or its time is up.
    pub async fn hear(&mut self, hearing: Hearing<'_>) -> Waited {
        let Hearing {
            rules,
            mut input,
            deadlines,
            clock,
            cancel,
        } = hearing;
        let mut last = Moment::now(clock);
        let (mut out, mut err) = (vec![0; 64 << 10], vec![0; 16 << 10]);
        loop {
            if input.is_empty() && self.stdin.take().is_some() {
                self.delivered = true;
            }
            let now = Moment::now(clock);
            if let Some(limit) = deadlines.passed(&now, &last) {
                return Waited::Limit(limit);
            }
            let wake = deadlines.next(&now, &last);
            tokio::select! {
                () = cancel.cancelled() => return Waited::Cancelled,
                _ = &mut self.gone => return Waited::Ended,
                () = tokio::time::sleep_until(wake) => {}
                read = read(&mut self.stdout, &mut out) => {
                    self.out.push(&out[..read]);
                    if self.heard.push(rules, &out[..read]) {
                        last = Moment::now(clock);
                    }
                }
                read = read(&mut self.stderr, &mut err) => self.complain(&err[..read]),
                written = write(&mut self.stdin, input) => input = &input[written..],
            }
        }
    }

    /// Ends what is left of it, and reads the rest of what it said. On return nothing of it runs.
    pub async fn bury(&mut self, waited: Waited, rules: &ExecRules) -> Exit {
        let ended = waited == Waited::Ended;
        self.stdin = None;
        let exit = self.ward.bury(ended).await;
        // Nothing holds the other ends any more; were something to, it would not be waited for.
        let rest = tokio::time::timeout(REST, async {
            let mut buffer = vec![0; 64 << 10];
            while self.stdout.is_some() {
                let count = read(&mut self.stdout, &mut buffer).await;
                self.out.push(&buffer[..count]);
                self.heard.push(rules, &buffer[..count]);
            }
            while self.stderr.is_some() {
                let count = read(&mut self.stderr, &mut buffer).await;
                self.complain(&buffer[..count]);
            }
        });
        // What could not be read is lost, as after the bound of a log.
        let _ = rest.await;
        self.heard.finish(rules);
        self.out.flush();
        self.err.flush();
        match ended {
            true => exit,
            false => self.ward.had_to_be_killed(),
        }
    }

    /// Why the process was lost without a doing of its own, if it was; known once it is buried.
    pub fn lost(&self) -> Option<Ending> {
        // The agent is the containment's child: without a trace there has never been one.
        let never_was = self.trace.as_deref().is_some_and(|trace| Trace::read(trace).is_none());
        if never_was {
            return Some(Ending::Failed {
                failure: Failure::ContainmentLost,
                detail: format!("the agent could not be started: {}", self.last_words()),
            });
        }
        self.ward.lost()
    }

    /// What was killed besides it.
    pub fn take_killed(&mut self) -> Killed {
        self.ward.take_killed()
    }

    /// The end of what it wrote to its standard error.
    pub fn last_words(&self) -> String {
        String::from_utf8_lossy(&self.tail).trim().to_owned()
    }

    fn complain(&mut self, bytes: &[u8]) {
        self.err.push(bytes);
        self.tail.extend_from_slice(bytes);
        let too_much = self.tail.len().saturating_sub(TAIL);
        self.tail.drain(..too_much);
    }
}

/// Reads a piece; at its end the stream is closed and forgotten, and nothing of it is waited for again.
async fn read(stream: &mut Option<impl AsyncRead + Unpin>, buffer: &mut [u8]) -> usize {
    let Some(open) = stream else {
        return std::future::pending().await;
    };
    match open.read(buffer).await {
        Ok(count) if count > 0 => count,
        _ => {
            *stream = None;
            0
        }
    }
}

/// Writes a piece; a reader that has closed its end is not written to again.
async fn write(stream: &mut Option<ChildStdin>, bytes: &[u8]) -> usize {
    let Some(open) = stream else {
        return std::future::pending().await;
    };
    match open.write(bytes).await {
        Ok(count) => count,
        Err(_) => {
            *stream = None;
            0
        }
    }
}
