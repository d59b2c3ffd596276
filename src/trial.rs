//! What is recorded of one trial: endings of its turns, usage, drift, judgements, one outcome.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::finding::Finding;
use crate::plan::TrialKey;
use crate::verdict::{Judgement, Verdict};

/// How a turn ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "ending", rename_all = "snake_case")]
pub enum Ending {
    /// The agent finished the turn and waits for the next.
    Answered,
    /// A limit passed.
    TimedOut { limit: Limit },
    /// The agent left in the middle of the turn; `code` is its exit status, negative for a signal.
    AgentExited { code: i32 },
    /// The turn ended, or had to be ended, with a failure that the agent reported.
    Failed { failure: Failure, detail: String },
    /// The user interrupted the run.
    Cancelled,
    /// An earlier ending forbade this turn.
    NotReached,
    /// The agent did not do what the record that answers it holds: there was no honest answer any more.
    Diverged,
}

/// Which limit passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    Turn,
    Session,
    Quiet,
    Answers,
    Trial,
    /// Agent time within the turn: without the time in which the model was waited for.
    AgentTurn,
    AgentSession,
    AgentTrial,
    /// More on the disk than a trial may hold, or more calls of its model than are recorded.
    Disk,
}

impl Limit {
    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Turn => "turn",
            Self::Session => "session",
            Self::Quiet => "quiet",
            Self::Answers => "answers",
            Self::Trial => "trial",
            Self::AgentTurn => "agent time of the turn",
            Self::AgentSession => "agent time of the session",
            Self::AgentTrial => "agent time of the trial",
            Self::Disk => "disk",
        }
    }

    /// Whether it bounds time by the wall, which a model that does not answer can use up.
    pub fn is_by_wall(self) -> bool {
        matches!(self, Self::Turn | Self::Session | Self::Trial)
    }
}

/// Failures that a scaffold recognises by the patterns of its recipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// The model's last answer of the turn did not follow the edit format.
    EditFormat,
    /// The agent used up its own retries of malformed edits or lint errors.
    ReflectionsExhausted,
    TokenLimit,
    Authentication,
    RateLimit,
    ProviderError,
    EmptyAnswer,
    /// The provider, which answers other calls of the trial, did not take the turn's last one, such as by its content policy:
    /// told by the gateway.
    RequestRefused,
    AgentCrashed,
    /// The trial's budget is used up: told by the gateway, never by the agent.
    Budget,
    /// What held the agent was killed from outside, and the agent with it.
    ContainmentLost,
    /// The agent did not go on with the conversation, but began another one or lost its record of it. No finding: no tool
    /// told the model of an error, and appendix F has no kind for it.
    SessionLost,
}

impl Failure {
    /// Whether the failure says nothing about the agent or the model.
    pub fn is_infrastructure(self) -> bool {
        matches!(
            self,
            Self::Authentication | Self::RateLimit | Self::ProviderError | Self::ContainmentLost
        )
    }
}

impl Ending {
    /// Whether the turn was played, by an agent that was told nothing untrue and that nobody interrupted.
    pub fn was_played(&self) -> bool {
        !matches!(self, Self::Cancelled | Self::NotReached | Self::Diverged)
    }

    /// Whether the session can take the next turn.
    pub fn allows_next_turn(&self) -> bool {
        match self {
            Self::Answered => true,
            Self::Failed { failure, .. } => {
                !failure.is_infrastructure()
                    && !matches!(failure, Failure::AgentCrashed | Failure::Budget | Failure::SessionLost)
            }
            _ => false,
        }
    }
}

/// One question of the agent and what it was told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    pub question: String,
    /// What the question is about: a path, a command, a URL.
    pub subject: String,
    pub answer: String,
    /// The recipe's rule that answered; `None`: no rule knows the question, and the recipe's default answered.
    pub rule: Option<String>,
}

/// Model usage as the gateway counted it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    pub calls: u64,
    /// Those of the calls that may have used tokens and of which no count came: the sums below lack theirs.
    #[serde(default)]
    pub uncounted: u64,
    pub input_tokens: u64,
    pub output_tokens: u64,
    /// In US dollars; `None` when a call's price is unknown.
    pub cost: Option<f64>,
    /// Seconds spent waiting for the model, summed over all calls: of several at once each counts.
    pub model_seconds: f64,
}

impl Usage {
    /// What one call used. `sent`: whether it went to the model at all. `tokens`: in and out, if a count came; a call
    /// without one that is known to have cost nothing was refused.
    pub fn of_call(sent: bool, tokens: Option<(u64, u64)>, cost: Option<f64>, seconds: f64) -> Self {
        let (input_tokens, output_tokens) = tokens.unwrap_or_default();
        Self {
            calls: u64::from(sent),
            uncounted: u64::from(cost.is_none() && tokens.is_none()),
            input_tokens,
            output_tokens,
            cost,
            model_seconds: seconds,
        }
    }

    /// Sums two usages; an unknown cost stays unknown once any call was made without a price.
    pub fn add(&mut self, other: &Usage) {
        self.cost = match (self.calls, other.calls) {
            (_, 0) => self.cost,
            (0, _) => other.cost,
            _ => self.cost.zip(other.cost).map(|(mine, theirs)| mine + theirs),
        };
        // What a provider tells may be anything.
        self.calls = self.calls.saturating_add(other.calls);
        self.uncounted = self.uncounted.saturating_add(other.uncounted);
        self.input_tokens = self.input_tokens.saturating_add(other.input_tokens);
        self.output_tokens = self.output_tokens.saturating_add(other.output_tokens);
        self.model_seconds += other.model_seconds;
    }
}

/// What a turn did to the workspace, relative to the snapshot before it. Sorted paths.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drift {
    pub created: Vec<String>,
    pub deleted: Vec<String>,
    pub modified: Vec<String>,
    /// `(from, to)`: the same content under another name.
    pub renamed: Vec<(String, String)>,
    /// Had content before, has none now.
    pub emptied: Vec<String>,
    /// Starter files that no turn so far has touched.
    pub untouched: Vec<String>,
}

/// What is recorded of one turn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TurnRecord {
    /// From 1.
    pub turn: usize,
    #[serde(flatten)]
    pub ending: Ending,
    pub answers: Vec<Answer>,
    /// Processes that the turn left behind and that were killed before the snapshot.
    pub strays: u32,
    pub drift: Drift,
    pub usage: Usage,
    /// Wall time of the turn as the agent lived it, in seconds.
    pub seconds: f64,
    /// Of these, the seconds in which at least one call waited for the model: the rest is agent time.
    #[serde(default)]
    pub waited_seconds: f64,
    /// The agent called the whole work done, where it could have waited for the next turn.
    #[serde(default, skip_serializing_if = "is_false")]
    pub finished_early: bool,
    /// The turn was no part of the conversation: it told the agent what the tests had shown.
    #[serde(default, skip_serializing_if = "is_false")]
    pub feedback: bool,
    /// What went wrong, by kind. Says nothing of the verdict.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
}

fn is_false(value: &bool) -> bool {
    !value
}

impl TurnRecord {
    /// A turn that an earlier ending forbade.
    pub fn not_reached(turn: usize) -> Self {
        Self {
            turn,
            ending: Ending::NotReached,
            answers: Vec::new(),
            strays: 0,
            drift: Drift::default(),
            usage: Usage::default(),
            seconds: 0.0,
            waited_seconds: 0.0,
            finished_early: false,
            feedback: false,
            findings: Vec::new(),
        }
    }
}

/// Hidden text that was seen on the agent's side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    pub turn: usize,
    /// Whose tests or reference solutions they are: not necessarily the trial's own task.
    pub task: String,
    #[serde(flatten)]
    pub place: Place,
}

/// Where hidden text was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "place", rename_all = "snake_case")]
pub enum Place {
    /// The agent told its model.
    Request { call: u64 },
    /// The model told the agent.
    Response { call: u64 },
    /// The content of a file in the snapshot.
    File { path: String },
    /// The name of a file, or what a link leads to.
    Name { path: String },
    /// The agent's terminal.
    Terminal,
}

impl std::fmt::Display for Evidence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let place = match &self.place {
            Place::Request { call } => format!("the request of call {call}"),
            Place::Response { call } => format!("the answer to call {call}"),
            Place::File { path } => format!("the file {path}"),
            Place::Name { path } => format!("the name or link {path}"),
            Place::Terminal => "the agent's terminal".to_owned(),
        };
        write!(
            f,
            "hidden text of task `{}` in turn {}, in {place}",
            self.task, self.turn
        )
    }
}

/// The one outcome of a trial.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// The final tree was judged.
    Judged { verdict: Verdict },
    /// The trial says nothing about the agent. Never counted as a wrong answer.
    InfrastructureFailure { reason: String },
    /// A replay that came to a call that its record does not hold. Never counted as an answer, right or wrong.
    Diverged { divergence: Divergence },
}

/// Where a replay left its record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Divergence {
    /// From 1.
    pub turn: usize,
    /// The recorded call, from 1 over the whole trial; one more than the last one when the record holds no further call.
    pub call: u64,
    /// What differs: a short diff of the first message that is not as recorded, or what came too much or is missing.
    pub difference: String,
}

impl std::fmt::Display for Divergence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "turn {}, call {}: {}", self.turn, self.call, self.difference)
    }
}

/// `trial.json`: everything that reports read. Written atomically, last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrialRecord {
    pub key: TrialKey,
    pub cwe: String,
    #[serde(flatten)]
    pub outcome: Outcome,
    /// Whether the conversation came to its end: whatever failed later, its snapshots can be judged again at no cost.
    #[serde(default)]
    pub played: bool,
    pub turns: Vec<TurnRecord>,
    /// Turn number → judgement of the snapshot after it; the last turn's gives the outcome.
    pub judgements: BTreeMap<usize, Judgement>,
    pub usage: Usage,
    /// What earlier tries of the trial used: they failed in the infrastructure or were cut short, and were paid for.
    #[serde(default)]
    pub retried: Usage,
    pub timings: Timings,
    /// Not empty: the trial is contaminated. The agent may have known the tests, so that its verdict is in no rate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contaminated: Vec<Evidence>,
    pub warnings: Vec<String>,
    pub started: jiff::Timestamp,
    pub ended: jiff::Timestamp,
}

impl TrialRecord {
    /// Whether the trial's budget ended its conversation.
    pub fn used_up_its_budget(&self) -> bool {
        let by_budget = |turn: &TurnRecord| {
            matches!(
                turn.ending,
                Ending::Failed {
                    failure: Failure::Budget,
                    ..
                }
            )
        };
        self.turns.iter().any(by_budget)
    }
}

/// Where a trial's wall time went, in seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Timings {
    pub total: f64,
    /// Start of the agent, its turns and its end, the model's time included.
    pub agent: f64,
    /// Of these, the time in which at least one call waited for the model.
    pub model: f64,
    /// Of these, the rest: the agent's own.
    #[serde(default)]
    pub agent_time: f64,
    /// Judging, the wait for a free place included.
    pub tester: f64,
    /// What this program added: total − agent.
    pub added: f64,
}
