//! One conversation with a model, by calls of the trial's own route.

use std::path::Path;

use async_trait::async_trait;
use tokio::time::sleep_until;

use super::caller::{Caller, Said, Unanswered};
use super::program::{Program, Sum, Taken};
use super::wire::Message;
use crate::plan::Limits;
use crate::scaffold::deadlines::{Began, Deadlines, Moment};
use crate::scaffold::{Exit, Killed, OpenError, Session, Stage, TurnEnd};
use crate::trial::{Ending, Failure, Limit};

/// A model and what was said to it.
pub(super) struct ApiSession {
    stage: Stage,
    caller: Caller,
    /// Everything that was said, by both.
    said: Vec<Message>,
    program: Program,
    began: Began,
}

/// How a wait for an answer ended.
enum Waited {
    Answered(Result<Said, Unanswered>),
    Limit(Limit),
    Cancelled,
}

impl ApiSession {
    pub fn new(stage: &Stage) -> Result<Self, OpenError> {
        let caller = Caller::new(&stage.api_base, &stage.api_key, &stage.model).map_err(|error| OpenError::Spawn {
            program: "the client of the model".into(),
            source: error,
        })?;
        let sum = match stage.options.code_diff {
            true => Sum::Differences,
            false if stage.options.concat.covers(stage.interaction) => Sum::All,
            false => Sum::Last,
        };
        Ok(Self {
            caller,
            said: Vec::new(),
            program: Program::new(sum, &stage.files),
            began: Began {
                trial: stage.clocks.trial,
                session: Moment::now(stage.clocks.model.as_ref()),
            },
            stage: stage.clone(),
        })
    }

    /// Waits for the model's answer, as long as the limits allow.
    async fn wait(&self, limits: &Limits) -> Waited {
        let clock = self.stage.clocks.model.as_ref();
        let start = Moment::now(clock);
        let deadlines = Deadlines::of_turn(limits, self.began, start);
        let answer = self.caller.call(None, &self.said);
        tokio::pin!(answer);
        loop {
            let now = Moment::now(clock);
            if let Some(limit) = deadlines.passed(&now, &start) {
                return Waited::Limit(limit);
            }
            tokio::select! {
                biased;
                () = self.stage.cancel.cancelled() => return Waited::Cancelled,
                answer = &mut answer => return Waited::Answered(answer),
                () = sleep_until(deadlines.next(&now, &start)) => {}
            }
        }
    }

    /// What an answer means for its turn.
    async fn take(&mut self, turn: usize, said: Said) -> TurnEnd {
        let failed = |failure, detail: &str| Ending::Failed {
            failure,
            detail: detail.to_owned(),
        };
        // Providers refuse a history with an empty message in it.
        if !said.text.trim().is_empty() {
            self.said.push(Message {
                role: "assistant",
                text: said.text.clone(),
            });
        }
        if said.text.trim().is_empty() {
            return match said.cut {
                true => end(failed(
                    Failure::TokenLimit,
                    "the answer was broken off before its text began",
                )),
                false => end(failed(Failure::EmptyAnswer, "the model's answer is empty")),
            };
        }
        let workspace: &Path = &self.stage.workspace;
        let program = &mut self.program;
        let Taken { failure, bare } = tokio::task::block_in_place(|| program.take(&said.text, workspace));
        let ending = match failure {
            _ if said.cut => failed(
                Failure::TokenLimit,
                "the answer was broken off at the limit of its tokens",
            ),
            Some(detail) => failed(Failure::EditFormat, &detail),
            None => Ending::Answered,
        };
        let mut end = end(ending);
        if bare {
            end.warnings.push(format!(
                "turn {turn}: the answer has no fenced code, so all of it was taken for the code, as the benchmark's kit does"
            ));
        }
        end
    }
}

fn end(ending: Ending) -> TurnEnd {
    TurnEnd {
        ending,
        answers: Vec::new(),
        warnings: Vec::new(),
        finished_early: false,
    }
}

#[async_trait]
impl Session for ApiSession {
    async fn say(&mut self, turn: usize, prompt: &str, limits: &Limits) -> TurnEnd {
        match self.said.last_mut() {
            // To the last message no answer came: two of a user in a row are refused by some providers.
            Some(last) if last.role == "user" => last.text.push_str(&format!("\n\n{prompt}")),
            _ => self.said.push(Message {
                role: "user",
                text: prompt.to_owned(),
            }),
        }
        match self.wait(limits).await {
            Waited::Answered(Ok(said)) => self.take(turn, said).await,
            Waited::Answered(Err(Unanswered { failure, detail })) => end(Ending::Failed { failure, detail }),
            Waited::Limit(limit) => end(Ending::TimedOut { limit }),
            Waited::Cancelled => end(Ending::Cancelled),
        }
    }

    async fn settle(&mut self) -> Killed {
        Killed::default()
    }

    async fn close(self: Box<Self>) -> (Exit, Killed) {
        (Exit::Code(0), Killed::default())
    }
}
