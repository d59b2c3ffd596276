//! One run of a program under test.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::time::{Instant, timeout, timeout_at};

use super::frames::{Broken, Frame, Frames, NONCE};
use super::judge::{self, Answer, Judge};
use super::limits::{ProcessLimits, TestLimits};
use super::tree::Tree;
use crate::sandbox::{Contained, Exit, Sandbox, SandboxError, Trust};
use crate::task::{SOLUTION_FILE, Task};
use crate::verdict::{CaseResult, RunFailure, RunFailureKind};

/// After its stream has ended, a program's status should follow at once.
const FAREWELL: Duration = Duration::from_secs(2);

/// What a run claimed, and how it ended.
#[derive(Debug, Default)]
pub(super) struct Claims {
    /// In the order of the cases.
    pub answers: Vec<Answer>,
    /// What the judge says of all of them, when it was asked while the program ended.
    pub results: Option<Vec<CaseResult>>,
    /// Answers given before → what is told of the exception that came then. Decides nothing.
    pub told: BTreeMap<usize, String>,
    pub failure: Option<RunFailure>,
    pub missing_module: Option<String>,
    /// Files of the tree that the run did not get.
    pub left_out: usize,
}

impl Claims {
    /// A program that need not be run.
    pub fn failed(kind: RunFailureKind, detail: impl Into<String>) -> Self {
        Self {
            failure: Some(failure(kind, detail)),
            ..Self::default()
        }
    }
}

fn failure(kind: RunFailureKind, detail: impl Into<String>) -> RunFailure {
    RunFailure {
        kind,
        detail: detail.into(),
    }
}

/// Runs the tree's program on the inputs. Only infrastructure makes it an error.
pub(super) async fn run(
    sandbox: &dyn Sandbox,
    task: &Task,
    judge: &Judge,
    tree: &Tree,
    limits: &TestLimits,
) -> Result<Claims, SandboxError> {
    let solution = match tree.solution() {
        Ok(solution) => solution,
        Err(why) => return Ok(Claims::failed(RunFailureKind::NoSolution, why)),
    };
    let (others, left_out) = tree.others(limits.file_size);
    let inputs = &judge.inputs;
    let nonce: [u8; NONCE] = rand::random();
    let job = json!({
        "role": "runner",
        "entry": SOLUTION_FILE,
        "setup": task.tests.setup,
        "code": solution,
        "files": others,
        "inputs": inputs.inputs,
        "encoded": inputs.encoded,
        "function": task.function,
        "nonce": hex::encode(nonce),
        "limits": ProcessLimits::from(limits),
    });
    let mut process = sandbox.start(Trust::Hostile).await?;
    let deadline = Instant::now() + limits.wall;
    let mut claims = Claims {
        left_out,
        ..Claims::default()
    };
    let expected = inputs.counts.iter().sum();
    let conversation = async {
        // A child that ends while it reads its job shows in what follows.
        let _ = judge::send(&mut *process, job.to_string().as_bytes()).await;
        converse(&mut *process, Frames::new(nonce, limits.output), expected, &mut claims).await
    };
    let ended = match timeout_at(deadline, conversation).await {
        Ok(ended) => ended,
        Err(_) => {
            process.kill();
            let seconds = limits.wall.as_secs_f64();
            let done = claims.answers.len();
            claims.failure = Some(failure(
                RunFailureKind::TimedOut,
                format!("{seconds} s passed after {done} of {expected} cases"),
            ));
            return Ok(claims);
        }
    };
    claims.failure = match ended {
        Conversation::Finished => {
            // The status counts as well: threads and exit handlers may still fail. Meanwhile the judge can compare.
            let farewell = timeout_at(deadline, farewell(&mut *process));
            let (ended, results) = tokio::join!(farewell, judge.score(&claims.answers));
            claims.results = results.ok();
            match ended {
                Ok(Ok(Exit::Status(0))) => None,
                Ok(Ok(Exit::SandboxDied)) => return Err(died()),
                Ok(Ok(exit)) => Some(failure(
                    RunFailureKind::Died,
                    format!("it left with {exit} after its last case"),
                )),
                Ok(Err(failure)) => Some(failure),
                Err(_) => Some(failure(RunFailureKind::TimedOut, "it did not end after its last case")),
            }
        }
        Conversation::Failed(failure) => Some(failure),
        Conversation::Ended => {
            let done = claims.answers.len();
            let how = match timeout(FAREWELL, process.exit()).await {
                Ok(Exit::SandboxDied) => return Err(died()),
                Ok(exit) => exit.to_string(),
                Err(_) => "a closed channel".to_owned(),
            };
            Some(failure(
                RunFailureKind::Died,
                format!("it left with {how} after {done} of {expected} cases"),
            ))
        }
    };
    process.kill();
    Ok(claims)
}

fn died() -> SandboxError {
    SandboxError::Died {
        detail: "it took a running program with it".to_owned(),
    }
}

/// How the frames of a run ended.
enum Conversation {
    /// Every case answered, and the end said.
    Finished,
    Failed(RunFailure),
    /// The stream ended too early.
    Ended,
}

async fn converse(
    process: &mut dyn Contained,
    mut frames: Frames,
    expected: usize,
    claims: &mut Claims,
) -> Conversation {
    let mut ready = false;
    let protocol = |detail: &str| Conversation::Failed(failure(RunFailureKind::Protocol, detail));
    loop {
        match frames.next(process.stream()).await {
            Ok(Frame::Ready(count)) => {
                if ready {
                    return protocol("it was ready twice");
                }
                if count as usize != expected {
                    return protocol("it has other inputs than were sent");
                }
                ready = true;
            }
            Ok(Frame::Answer { kind, payload }) => {
                if !ready || claims.answers.len() == expected {
                    return protocol("an answer without a case");
                }
                claims.answers.push((kind, payload));
            }
            Ok(Frame::Told(text)) => {
                claims.told.insert(claims.answers.len(), text);
            }
            Ok(Frame::MissingModule(name)) => {
                claims.missing_module.get_or_insert(name);
            }
            Ok(Frame::BaseException(name)) => {
                return Conversation::Failed(failure(RunFailureKind::BaseException, name));
            }
            Ok(Frame::NotLoaded(detail)) => {
                return Conversation::Failed(failure(RunFailureKind::Load, detail));
            }
            Ok(Frame::End) => {
                if !ready || claims.answers.len() != expected {
                    return protocol("it ended before every case had answered");
                }
                return Conversation::Finished;
            }
            Err(Broken::Ended) => return Conversation::Ended,
            Err(Broken::Protocol(detail)) => return protocol(&detail),
        }
    }
}

/// After the end nothing may follow but the end of the stream and the exit status.
async fn farewell(process: &mut dyn Contained) -> Result<Exit, RunFailure> {
    match process.stream().read(&mut [0]).await {
        Ok(0) | Err(_) => Ok(process.exit().await),
        Ok(_) => Err(failure(RunFailureKind::Protocol, "it answered after its end")),
    }
}
