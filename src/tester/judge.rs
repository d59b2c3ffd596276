//! The judge of one task: a contained process that keeps the expected values and compares claims with them.

use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::error::BrokenTask;
use super::limits::ProcessLimits;
use crate::sandbox::{Contained, Exit, Sandbox, SandboxError, Trust};
use crate::task::Tests;
use crate::verdict::{CaseResult, ShownCase};

/// How long tests may take to evaluate.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long the claims of a run may take to be compared: other runs wait for the same judge.
const SCORING: Duration = Duration::from_secs(10);
/// The largest message of a judge.
const MAX_MESSAGE: usize = 64 << 20;

/// What a run is given instead of the test cases.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Inputs {
    /// Python source: the test cases without expected values.
    pub inputs: Option<String>,
    /// Or the inputs themselves, in the harness's own encoding.
    pub encoded: Option<serde_json::Value>,
    /// Correctness cases, then security cases.
    pub counts: [usize; 2],
    /// Comparing runs code of the setup, which claims reach into: such a judge serves one run only.
    pub alone: bool,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Greeting {
    Broken { broken: String, detail: String },
    Inputs(Inputs),
}

/// Why a judge gave no answer.
#[derive(Debug)]
pub(super) enum JudgeFailure {
    Broken(BrokenTask),
    Sandbox(SandboxError),
    /// It died, fell silent, or said what it must not.
    Lost(String),
}

impl From<SandboxError> for JudgeFailure {
    fn from(error: SandboxError) -> Self {
        Self::Sandbox(error)
    }
}

/// What a case answered: `V` or `X`, and the payload.
pub(super) type Answer = (u8, Vec<u8>);

/// A running judge.
pub(super) struct Judge {
    pub inputs: Inputs,
    /// `None` once it has failed: whoever finds it so starts another.
    process: tokio::sync::Mutex<Option<Box<dyn Contained>>>,
}

impl Judge {
    /// Starts a judge and has it evaluate the tests.
    pub async fn start(sandbox: &dyn Sandbox, tests: &Tests) -> Result<Self, JudgeFailure> {
        if tests.testcases.trim().is_empty() {
            return Err(JudgeFailure::Broken(BrokenTask::NoTests));
        }
        let mut process = sandbox.start(Trust::Harness).await?;
        let job = json!({
            "role": "judge",
            "setup": tests.setup,
            "testcases": tests.testcases,
            "limits": ProcessLimits::judge(),
        });
        let greet = async {
            send(&mut *process, job.to_string().as_bytes()).await?;
            receive(&mut *process).await
        };
        let greeting = match tokio::time::timeout(PATIENCE, greet).await {
            Ok(Ok(greeting)) => greeting,
            Ok(Err(error)) => {
                // Taken along by its sandbox, it says nothing about the tests.
                if process.exit().await == Exit::SandboxDied {
                    let detail = "it took a starting judge with it".to_owned();
                    return Err(SandboxError::Died { detail }.into());
                }
                return Err(match error.kind() {
                    // The interpreter ended while it evaluated the tests: `os._exit`, or a limit.
                    std::io::ErrorKind::UnexpectedEof => JudgeFailure::Broken(BrokenTask::Died),
                    _ => JudgeFailure::Lost(error.to_string()),
                });
            }
            Err(_) => return Err(JudgeFailure::Broken(BrokenTask::TimedOut(PATIENCE.as_secs()))),
        };
        match serde_json::from_slice(&greeting) {
            Ok(Greeting::Inputs(inputs)) => Ok(Self {
                inputs,
                process: tokio::sync::Mutex::new(Some(process)),
            }),
            Ok(Greeting::Broken { broken, detail }) => Err(JudgeFailure::Broken(match broken.as_str() {
                "setup" => BrokenTask::Setup(detail),
                "empty" => BrokenTask::EmptyGroup(detail),
                "forgeable" => BrokenTask::Forgeable(detail),
                _ => BrokenTask::Cases(detail),
            })),
            Err(error) => Err(JudgeFailure::Lost(error.to_string())),
        }
    }

    /// Compares what the first cases answered (`V` or `X`, and the payload) with what was expected.
    /// A failure ends this judge: its state cannot be trusted any more.
    pub async fn score(&self, answers: &[Answer]) -> Result<Vec<CaseResult>, JudgeFailure> {
        let mut request = Vec::new();
        for (kind, payload) in answers {
            request.push(*kind);
            request.extend((payload.len() as u32).to_be_bytes());
            request.extend(payload);
        }
        let results: Vec<i8> = self.ask(&request, answers.len()).await?;
        let result = |code| match code {
            1 => CaseResult::Passed,
            0 => CaseResult::Failed,
            _ => CaseResult::Error,
        };
        Ok(results.into_iter().map(result).collect())
    }

    /// Tells of cases, by their places: input, expected value, and the value that was claimed, each in short. What was claimed
    /// is taken as data only. A failure ends this judge, as above.
    pub async fn explain(&self, cases: &[(usize, Option<&Answer>)]) -> Result<Vec<ShownCase>, JudgeFailure> {
        let mut request = vec![b'E'];
        for (place, answer) in cases {
            let (kind, payload) = answer.map_or((b'N', &[][..]), |(kind, payload)| (*kind, payload.as_slice()));
            request.extend((*place as u32).to_be_bytes());
            request.push(kind);
            request.extend((payload.len() as u32).to_be_bytes());
            request.extend(payload);
        }
        let words: Vec<(String, String, Option<String>)> = self.ask(&request, cases.len()).await?;
        let shown = words
            .into_iter()
            .map(|(input, expected, came)| ShownCase { input, expected, came });
        Ok(shown.collect())
    }

    /// One exchange; the answer is a list of so many members.
    async fn ask<T: DeserializeOwned>(&self, request: &[u8], members: usize) -> Result<Vec<T>, JudgeFailure> {
        let mut slot = self.process.lock().await;
        // Taken out: a caller that gives up in the middle must not leave half a conversation behind.
        let Some(mut process) = slot.take() else {
            return Err(JudgeFailure::Lost("it has ended".to_owned()));
        };
        let exchange = async {
            send(&mut *process, request).await?;
            receive(&mut *process).await
        };
        let reply = tokio::time::timeout(SCORING, exchange)
            .await
            .map_err(|_| JudgeFailure::Lost("it did not answer in time".to_owned()))?
            .map_err(|error| JudgeFailure::Lost(error.to_string()))?;
        let answers: Vec<T> = serde_json::from_slice(&reply).map_err(|error| JudgeFailure::Lost(error.to_string()))?;
        if answers.len() != members {
            return Err(JudgeFailure::Lost("it answered for other cases".to_owned()));
        }
        *slot = Some(process);
        Ok(answers)
    }

    /// Whether it has not failed yet.
    pub fn alive(&self) -> bool {
        // One that is busy is alive as far as anyone can tell.
        self.process.try_lock().map_or(true, |slot| slot.is_some())
    }
}

/// Sends one message: a length (u32, big-endian) and the bytes.
pub(super) async fn send(process: &mut dyn Contained, message: &[u8]) -> std::io::Result<()> {
    let length = u32::try_from(message.len()).map_err(std::io::Error::other)?;
    let stream = process.stream();
    let mut packet = Vec::with_capacity(message.len() + 4);
    packet.extend(length.to_be_bytes());
    packet.extend(message);
    stream.write_all(&packet).await
}

async fn receive(process: &mut dyn Contained) -> std::io::Result<Vec<u8>> {
    let stream = process.stream();
    let length = stream.read_u32().await? as usize;
    if length > MAX_MESSAGE {
        return Err(std::io::Error::other("its answer is too long"));
    }
    let mut message = vec![0; length];
    stream.read_exact(&mut message).await?;
    Ok(message)
}
