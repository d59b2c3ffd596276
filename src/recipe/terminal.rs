//! How an agent is driven through a terminal: what its recipe says under `drive.pty`, and that compiled.

use regex::bytes::{Regex, RegexSet};
use serde::Deserialize;

use crate::trial::Failure;

/// What there is to know of an agent at a terminal.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pty {
    #[serde(default)]
    pub terminal: Terminal,
    pub prompts: Prompts,
    #[serde(default)]
    pub answers: Vec<AnswerRule>,
    /// What a question is told that no rule knows.
    pub default_answer: String,
    pub message: Message,
    /// Ends an answer.
    pub enter: String,
    /// Makes the waiting agent leave.
    pub exit: String,
    /// The line that ends a reply of the model.
    #[serde(default)]
    pub reply_end: Option<String>,
    #[serde(default)]
    pub failures: Vec<FailureLine>,
    #[serde(default)]
    pub calls: Option<Calls>,
    #[serde(default)]
    pub give_up: Option<GiveUp>,
    #[serde(default)]
    pub commands: Option<Commands>,
}

/// Size of the agent's terminal, in characters.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terminal {
    pub rows: u16,
    pub columns: u16,
}

impl Default for Terminal {
    fn default() -> Self {
        Self {
            rows: 50,
            columns: 4000,
        }
    }
}

/// How the end of what the agent has printed looks when it waits.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prompts {
    /// It waits for the next turn.
    pub ready: String,
    /// It asks; the group `question` is the question.
    #[serde(default)]
    pub questions: Vec<String>,
}

/// How one kind of question is answered.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnswerRule {
    pub rule: String,
    pub question: String,
    pub answer: String,
    #[serde(default)]
    pub only_if: Option<Condition>,
    /// The answer when `only_if` does not hold.
    #[serde(default)]
    pub otherwise: Option<String>,
    /// After `answer`, a command of the model's choice runs until the next prompt.
    #[serde(default)]
    pub runs_command: bool,
    /// The turn has failed when this is asked.
    #[serde(default)]
    pub failure: Option<Failure>,
}

/// When the first answer of a rule holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// The subject is one line, a path whose real path is in the workspace.
    InsideWorkspace,
    /// Shell commands are enabled.
    ShellCommands,
}

/// How a message of several lines is entered. `TAG` stands for a text that does not occur in the message.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Message {
    pub open: String,
    pub close: String,
    /// First characters that would make the message a command.
    #[serde(default)]
    pub commands: String,
    /// A character of which the agent swallows one before each end of a line; it is entered once more there.
    #[serde(default)]
    pub swallowed: Option<char>,
}

/// A line that tells of a failure.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FailureLine {
    pub kind: Failure,
    pub line: String,
    /// It counts only when the log of calls says that the last call failed.
    #[serde(default)]
    pub failed_call: bool,
    /// It stands before the end of the reply that it speaks of.
    #[serde(default)]
    pub before_reply_end: bool,
}

/// The agent's own log of its calls of the model: JSON lines.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calls {
    /// A template of its path.
    pub log: String,
    /// The field that names the event.
    pub event: String,
    pub started: String,
    pub finished: String,
    /// The agent itself failed during the call: it has crashed, whether it goes on or not.
    #[serde(default)]
    pub crashed: Option<String>,
    /// The failure when a call failed and no line says why.
    pub failure: Failure,
}

/// When the agent's own retries are cut short.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GiveUp {
    pub line: String,
    /// How many of these lines are allowed for one reply.
    pub after: u32,
}

/// Commands that the agent runs for the model.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Commands {
    /// Longest run, in seconds.
    pub seconds: f64,
    /// What is written to the terminal each time that this has passed.
    pub keys: Vec<String>,
}

/// The same, its expressions compiled.
#[derive(Debug)]
pub struct TerminalRules {
    pub source: Pty,
    /// Index 0 is `ready`, the rest are `questions`.
    pub(crate) prompts: RegexSet,
    pub(crate) questions: Vec<Regex>,
    pub(crate) rules: RegexSet,
    /// See [`Evidence`].
    pub(crate) lines: RegexSet,
}

/// What a line of the agent's output tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evidence {
    /// Index into `failures`.
    Failure(usize),
    ReplyEnd,
    Retry,
}

/// The rule of a question: index into `answers`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule(pub usize);

impl TerminalRules {
    /// Compiles the expressions; the error names field and cause.
    pub(super) fn compile(source: Pty) -> Result<Self, (String, String)> {
        expression("drive.pty.prompts.ready".into(), &source.prompts.ready)?;
        let mut questions = Vec::new();
        for (index, text) in source.prompts.questions.iter().enumerate() {
            let field = format!("drive.pty.prompts.questions[{index}]");
            let compiled = expression(field.clone(), text)?;
            if !compiled.capture_names().flatten().any(|name| name == "question") {
                return Err((field, "has no group `question`".into()));
            }
            questions.push(compiled);
        }
        for (index, rule) in source.answers.iter().enumerate() {
            expression(format!("drive.pty.answers[{index}].question"), &rule.question)?;
            if rule.only_if.is_some() != rule.otherwise.is_some() {
                let message = "`only_if` and `otherwise` belong together".into();
                return Err((format!("drive.pty.answers[{index}]"), message));
            }
        }
        for (index, failure) in source.failures.iter().enumerate() {
            expression(format!("drive.pty.failures[{index}].line"), &failure.line)?;
            if failure.failed_call && source.calls.is_none() {
                let message = "`failed_call` needs `calls`".into();
                return Err((format!("drive.pty.failures[{index}]"), message));
            }
        }
        let mut lines: Vec<&str> = source.failures.iter().map(|failure| failure.line.as_str()).collect();
        // An expression that never matches keeps the indices fixed when the recipe leaves one out.
        let reply_end = source.reply_end.as_deref().unwrap_or(r"[^\s\S]");
        let retry = source
            .give_up
            .as_ref()
            .map_or(r"[^\s\S]", |give_up| give_up.line.as_str());
        expression("drive.pty.reply_end".into(), reply_end)?;
        expression("drive.pty.give_up.line".into(), retry)?;
        lines.extend([reply_end, retry]);

        let set = |field: &str, texts: Vec<&str>| {
            RegexSet::new(texts).map_err(|error| (format!("drive.pty.{field}"), error.to_string()))
        };
        let prompts = std::iter::once(&source.prompts.ready).chain(&source.prompts.questions);
        Ok(Self {
            prompts: set("prompts", prompts.map(String::as_str).collect())?,
            rules: set(
                "answers",
                source.answers.iter().map(|rule| rule.question.as_str()).collect(),
            )?,
            lines: set("failures", lines)?,
            questions,
            source,
        })
    }

    /// The first rule that knows the question.
    pub fn rule(&self, question: &str) -> Option<Rule> {
        self.rules.matches(question.as_bytes()).iter().next().map(Rule)
    }

    /// What a line, without its end, tells.
    pub fn evidence(&self, line: &[u8]) -> impl Iterator<Item = Evidence> + use<> {
        let failures = self.source.failures.len();
        self.lines
            .matches(line)
            .into_iter()
            .map(move |index| match index - failures.min(index) {
                _ if index < failures => Evidence::Failure(index),
                0 => Evidence::ReplyEnd,
                _ => Evidence::Retry,
            })
    }
}

/// Compiles one expression; the error names field and cause.
pub(super) fn expression(field: String, text: &str) -> Result<Regex, (String, String)> {
    Regex::new(text).map_err(|error| (field, error.to_string().replace('\n', " ")))
}

#[cfg(test)]
impl TerminalRules {
    /// Those of Aider.
    pub(crate) fn of_aider() -> std::sync::Arc<Self> {
        let recipe = super::Recipe::builtin("aider").unwrap_or_else(|error| panic!("{error}"));
        let super::Driven::Pty(rules) = recipe.driven else {
            panic!("Aider lives at a terminal")
        };
        rules
    }
}
