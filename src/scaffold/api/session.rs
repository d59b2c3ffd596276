//! One conversation with a model, by calls of the trial's own route.

use std::path::Path;

use async_trait::async_trait;
use reqwest::{Client, StatusCode};
use serde_json::Value;
use tokio::time::sleep_until;

use super::program::{Program, Sum, Taken};
use super::wire::{self, Message, Said};
use crate::plan::Limits;
use crate::scaffold::deadlines::{Began, Deadlines, Moment};
use crate::scaffold::{Exit, Killed, OpenError, Session, Stage, TurnEnd};
use crate::trial::{Ending, Failure, Limit};

/// Longest answer that is read, in bytes.
const MOST: usize = 64 << 20;

/// A model and what was said to it.
pub(super) struct ApiSession {
    stage: Stage,
    client: Client,
    /// Everything that was said, by both.
    said: Vec<Message>,
    program: Program,
    began: Began,
}

/// Why there is no answer.
struct Unanswered {
    failure: Failure,
    detail: String,
}

/// How a wait for an answer ended.
enum Waited {
    Answered(Result<Said, Unanswered>),
    Limit(Limit),
    Cancelled,
}

impl ApiSession {
    pub fn new(stage: &Stage) -> Result<Self, OpenError> {
        // An error means that a provider is installed already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        // The gateway is on this machine, where no proxy leads.
        let client = Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| OpenError::Spawn {
                program: "the client of the model".into(),
                source: std::io::Error::other(error),
            })?;
        let sum = match stage.options.code_diff {
            true => Sum::Differences,
            false if stage.options.concat.covers(stage.interaction) => Sum::All,
            false => Sum::Last,
        };
        Ok(Self {
            client,
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
        let answer = self.call();
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

    async fn call(&self) -> Result<Said, Unanswered> {
        let lost = |error: reqwest::Error| Unanswered {
            failure: Failure::ProviderError,
            detail: error.without_url().to_string(),
        };
        let Stage {
            api_base,
            api_key,
            model,
            ..
        } = &self.stage;
        let url = format!("{}/{}", api_base.trim_end_matches('/'), wire::path(model.dialect));
        let request = wire::request(model.dialect, &model.name, model.max_output_tokens, &self.said);
        let request = self.client.post(url).bearer_auth(api_key).json(&request);
        let mut response = request.send().await.map_err(lost)?;
        let status = response.status();
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(lost)? {
            body.extend_from_slice(&piece);
            if body.len() > MOST {
                return Err(unreadable(&format!("the answer has more than {MOST} bytes")));
            }
        }
        if !status.is_success() {
            let detail = format!("status {}: {}", status.as_u16(), wire::complaint(&body));
            return Err(Unanswered {
                failure: failure_of(status),
                detail,
            });
        }
        let body: Value = serde_json::from_slice(&body).map_err(|error| unreadable(&error.to_string()))?;
        wire::answer(model.dialect, &body).ok_or_else(|| unreadable("the answer has no message"))
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

fn unreadable(why: &str) -> Unanswered {
    Unanswered {
        failure: Failure::EmptyAnswer,
        detail: format!("the answer cannot be read: {why}"),
    }
}

fn failure_of(status: StatusCode) -> Failure {
    match status.as_u16() {
        401 | 403 => Failure::Authentication,
        429 => Failure::RateLimit,
        _ => Failure::ProviderError,
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
