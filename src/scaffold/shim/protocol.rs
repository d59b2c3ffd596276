//! What passes between us and a driver: one JSON object a line.

use serde::{Deserialize, Serialize};

/// To the driver.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Tell {
    /// Once, first.
    Start(Box<Start>),
    /// When it is idle; turns are counted from 1.
    Turn { turn: usize, prompt: String },
    /// Stops the turn that runs.
    Cancel,
    /// Ends the session.
    Stop,
}

/// Everything that a driver must know of its session.
#[derive(Debug, Serialize)]
pub(super) struct Start {
    pub workspace: String,
    /// Its own folder, for histories.
    pub folder: String,
    pub api_base: String,
    pub api_key: String,
    pub model: Model,
    pub iterations: u32,
    pub command_seconds: u32,
    pub call_seconds: u32,
    pub tries: u32,
}

/// The model, as the driver has to call it. Efforts are not its matter: the gateway sets what the run was told.
#[derive(Debug, Serialize)]
pub(super) struct Model {
    pub name: String,
    /// Whose API it is called by: `openai` or `anthropic`.
    pub family: &'static str,
    pub temperature: Option<f64>,
    pub max_input_tokens: u32,
    pub max_output_tokens: u32,
}

/// From the driver.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Told {
    /// It takes the first turn.
    Ready,
    /// The agent does something; 0: it comes up.
    Event {
        #[serde(default)]
        turn: usize,
    },
    TurnFinished {
        turn: usize,
        reason: Reason,
        /// A command still ran in the agent's shell, and was interrupted: the shell itself lives on.
        #[serde(default)]
        interrupted: bool,
        #[serde(default)]
        error: String,
        #[serde(default)]
        message: String,
    },
    /// It cannot go on, or did not understand us.
    Error { message: String },
    /// The session has ended as it was told to.
    Closed,
}

/// Why a turn is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Reason {
    /// The agent waits for the user.
    Answered,
    /// The agent takes its work for done.
    Finished,
    Error,
    RateLimited,
    Cancelled,
    /// What the agent runs in has broken.
    Broken,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_what_the_driver_writes_and_reads() {
        let line =
            r#"{"type": "turn_finished", "turn": 1, "reason": "rate_limited", "error": "slow down", "iterations": 3}"#;
        let told: Told = serde_json::from_str(line).unwrap();
        let expected = Told::TurnFinished {
            turn: 1,
            reason: Reason::RateLimited,
            interrupted: false,
            error: "slow down".into(),
            message: String::new(),
        };
        assert_eq!(told, expected);
        assert_eq!(
            serde_json::from_str::<Told>(r#"{"type": "event", "turn": 2}"#).unwrap(),
            Told::Event { turn: 2 }
        );
        let turn = Tell::Turn {
            turn: 3,
            prompt: "a\nb".into(),
        };
        assert_eq!(
            serde_json::to_string(&turn).unwrap(),
            r#"{"type":"turn","turn":3,"prompt":"a\nb"}"#
        );
    }
}
