//! How an agent without a terminal is driven, one process per turn: what its recipe says under `drive.exec`, and that
//! compiled.

use regex::Regex;
use serde::Deserialize;

use crate::trial::Failure;

/// What there is to know of an agent that is started anew for each turn. It reads the prompt from its standard input, tells
/// of what it does in JSON lines on its standard output, and goes on with its session when it is given the session's name.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exec {
    pub events: Events,
    /// What its errors mean; the first that fits counts. An error that none knows is a failure of the provider.
    #[serde(default)]
    pub failures: Vec<FailureText>,
    pub session: SessionFile,
    #[serde(default)]
    pub preflight: Option<Preflight>,
}

/// How the lines of its output are read. Places in them are JSON pointers, such as `/msg/type`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Events {
    /// Where the kind of an event stands.
    pub kind: String,
    /// What the agent says to the user: a turn without it has no answer.
    pub message: Event,
    /// The turn has failed, whatever the agent's exit status says.
    pub error: Event,
}

/// One kind of event.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    pub kind: String,
    /// Where its text stands.
    pub text: String,
}

/// What the text of an error means.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FailureText {
    pub kind: Failure,
    pub text: String,
}

/// The file in which the agent keeps its session: there must be exactly one after each turn, and always the same.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionFile {
    /// A template of the folder below which it lies.
    pub folder: String,
    /// Its name.
    pub name: String,
    /// Where the name of the session stands in its first line, which is JSON.
    pub id: String,
    /// How such a name looks: it becomes an argument of the next turn.
    pub form: String,
}

/// A command that must succeed where the agent will run, before its first turn.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preflight {
    /// Templates of the command line.
    pub argv: Vec<String>,
    /// By what words of its standard error it is known that the advice helps; without it, it always does.
    #[serde(default)]
    pub text: Option<String>,
    /// What a user is told when it fails.
    pub advice: String,
}

/// The same, its expressions compiled.
#[derive(Debug)]
pub struct ExecRules {
    pub source: Exec,
    failures: Vec<(Failure, Regex)>,
    preflight: Option<Regex>,
    pub(crate) name: Regex,
    pub(crate) form: Regex,
}

impl ExecRules {
    /// Compiles the expressions; the error names field and cause.
    pub(super) fn compile(source: Exec) -> Result<Self, (String, String)> {
        let expression =
            |field: String, text: &str| Regex::new(text).map_err(|error| (field, error.to_string().replace('\n', " ")));
        let events = &source.events;
        let pointers = [
            ("events.kind", &events.kind),
            ("events.message.text", &events.message.text),
            ("events.error.text", &events.error.text),
            ("session.id", &source.session.id),
        ];
        for (field, pointer) in pointers {
            if !pointer.starts_with('/') {
                let message = format!("`{pointer}` is no JSON pointer: it begins with `/`");
                return Err((format!("drive.exec.{field}"), message));
            }
        }
        let mut failures = Vec::new();
        for (index, failure) in source.failures.iter().enumerate() {
            let field = format!("drive.exec.failures[{index}].text");
            failures.push((failure.kind, expression(field, &failure.text)?));
        }
        let text = source
            .preflight
            .as_ref()
            .and_then(|preflight| preflight.text.as_deref());
        let preflight = text.map(|text| expression("drive.exec.preflight.text".into(), text));
        Ok(Self {
            failures,
            preflight: preflight.transpose()?,
            name: expression("drive.exec.session.name".into(), &source.session.name)?,
            form: expression("drive.exec.session.form".into(), &source.session.form)?,
            source,
        })
    }

    /// Whether the advice of the recipe's preflight helps where it failed with these words.
    pub fn knows_preflight(&self, text: &str) -> bool {
        self.preflight.as_ref().is_none_or(|pattern| pattern.is_match(text))
    }

    /// What an error of this text means.
    pub fn failure(&self, text: &str) -> Failure {
        let known = self.failures.iter().find(|(_, pattern)| pattern.is_match(text));
        known.map_or(Failure::ProviderError, |(kind, _)| *kind)
    }
}
