//! By what words failures are known: data of all agents and of a recipe, compiled together.

use std::collections::{BTreeMap, BTreeSet};

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use regex::{Regex, RegexSet};
use serde::Deserialize;

use crate::yaml;

/// The signs that come with the program.
const SHARED: (&str, &str) = ("scaffolds/signs.yaml", include_str!("../../scaffolds/signs.yaml"));

/// Signs as they are written. What each member means is told in `scaffolds/signs.yaml`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SignsSource {
    /// What tells the model that a tool call itself went wrong.
    pub tool_errors: Vec<TrafficSign>,
    /// What tells the model that an edit could not be applied.
    pub failed_edits: Vec<TrafficSign>,
    pub clarifications: Vec<String>,
    pub courtesies: Vec<String>,
    pub refusals: Vec<String>,
    pub refusing_ends: Vec<String>,
    pub fetchers: Vec<String>,
    pub valued_options: Vec<String>,
    pub fetching_code: Vec<String>,
    pub browsing_tools: Vec<String>,
    pub command_arguments: Vec<String>,
    pub code_arguments: Vec<String>,
    /// The agent's own questions whose subject is a command that the model wants to be run.
    pub command_questions: Vec<String>,
    /// The agent's own questions whether to load an address.
    pub url_questions: Vec<String>,
    /// Tools whose call is the model's last word in a turn, and the argument that holds it.
    pub closing_tools: BTreeMap<String, String>,
    pub caches: Vec<String>,
    pub may_be_empty: Vec<String>,
}

/// `scaffolds/signs.yaml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    all: SignsSource,
    /// By the name of the recipe.
    agents: BTreeMap<String, SignsSource>,
}

impl SignsSource {
    /// Both.
    fn with(mut self, other: Self) -> Self {
        self.tool_errors.extend(other.tool_errors);
        self.failed_edits.extend(other.failed_edits);
        self.clarifications.extend(other.clarifications);
        self.courtesies.extend(other.courtesies);
        self.refusals.extend(other.refusals);
        self.refusing_ends.extend(other.refusing_ends);
        self.fetchers.extend(other.fetchers);
        self.valued_options.extend(other.valued_options);
        self.fetching_code.extend(other.fetching_code);
        self.browsing_tools.extend(other.browsing_tools);
        self.command_arguments.extend(other.command_arguments);
        self.code_arguments.extend(other.code_arguments);
        self.command_questions.extend(other.command_questions);
        self.url_questions.extend(other.url_questions);
        self.closing_tools.extend(other.closing_tools);
        self.caches.extend(other.caches);
        self.may_be_empty.extend(other.may_be_empty);
        self
    }
}

/// Words in what the model is told.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrafficSign {
    #[serde(rename = "in")]
    pub place: Where,
    /// The tool whose result it is; absent: any.
    #[serde(default)]
    pub tool: Option<String>,
    pub text: String,
}

/// The same, ready for use.
#[derive(Debug)]
pub(super) struct Traffic {
    pub place: Where,
    pub tool: Option<String>,
    pub text: Regex,
}

/// Where words are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Where {
    /// The result of a tool call.
    Result,
    /// What the agent says as the user.
    Message,
}

/// Signs, ready for use.
#[derive(Debug)]
pub struct Signs {
    pub(super) tool_errors: Vec<Traffic>,
    pub(super) failed_edits: Vec<Traffic>,
    pub(super) clarifications: Vec<Regex>,
    pub(super) courtesies: Vec<Regex>,
    pub(super) refusals: Vec<Regex>,
    pub(super) refusing_ends: BTreeSet<String>,
    pub(super) fetchers: BTreeSet<String>,
    pub(super) valued_options: BTreeSet<String>,
    pub(super) fetching_code: Vec<Regex>,
    pub(super) browsing_tools: RegexSet,
    pub(super) command_arguments: BTreeSet<String>,
    pub(super) code_arguments: BTreeSet<String>,
    pub(super) command_questions: RegexSet,
    pub(super) url_questions: RegexSet,
    pub(super) closing_tools: BTreeMap<String, String>,
    pub(super) caches: GlobSet,
    pub(super) may_be_empty: GlobSet,
    /// Whether an answer without a fence is taken for the code as a whole, so that words alone change the workspace.
    pub(super) bare_answers: bool,
}

impl Signs {
    /// The same, of an agent that takes an answer without a fence for the code as a whole, or of one that does not.
    pub fn taking_bare_answers(self, bare_answers: bool) -> Self {
        Self { bare_answers, ..self }
    }

    /// The signs of an agent: those of every agent, those that come with the program for this one, and its recipe's own.
    ///
    /// # Errors
    /// The member, such as `refusals[0]`, and what is wrong with it.
    pub fn compile(agent: &str, own: SignsSource) -> Result<Self, (String, String)> {
        let (file, text) = SHARED;
        let mut file: File = yaml::read(file, text).map_err(|error| (String::new(), error.to_string()))?;
        let shared = file.all.with(file.agents.remove(agent).unwrap_or_default());
        let both = |shared: Vec<String>, own: Vec<String>| -> Vec<String> { shared.into_iter().chain(own).collect() };
        let expressions = |name: &str, shared: Vec<String>, own: Vec<String>| {
            let compiled = |(field, text): (String, &String)| {
                Regex::new(text).map_err(|error| (field, error.to_string().replace('\n', " ")))
            };
            let fields = |texts: &[String]| -> Vec<String> {
                (0..texts.len()).map(|index| format!("{name}[{index}]")).collect()
            };
            let all = fields(&shared)
                .into_iter()
                .zip(&shared)
                .chain(fields(&own).into_iter().zip(&own));
            all.map(compiled).collect::<Result<Vec<Regex>, _>>()
        };
        let set = |name: &str, shared: Vec<String>, own: Vec<String>| {
            let compiled = expressions(name, shared, own)?;
            let set = RegexSet::new(compiled.iter().map(Regex::as_str));
            set.map_err(|error| (name.to_owned(), error.to_string()))
        };
        let traffic = |name: &str, shared: Vec<TrafficSign>, own: Vec<TrafficSign>| {
            let of = |signs: &[TrafficSign]| signs.iter().map(|sign| sign.text.clone()).collect::<Vec<_>>();
            let compiled = expressions(name, of(&shared), of(&own))?;
            let by_none = |sign: &&TrafficSign| sign.place == Where::Message && sign.tool.is_some();
            if let Some(sign) = shared.iter().chain(&own).find(by_none) {
                let message = format!("a message comes of no tool, so this is never found: {}", sign.text);
                return Err((name.to_owned(), message));
            }
            let signs = shared.into_iter().chain(own).zip(compiled);
            let signs = signs.map(|(TrafficSign { place, tool, .. }, text)| Traffic { place, tool, text });
            Ok::<_, (String, String)>(signs.collect())
        };
        let globs = |name: &str, shared: Vec<String>, own: Vec<String>| {
            let mut set = GlobSetBuilder::new();
            for text in both(shared, own) {
                let glob = GlobBuilder::new(&text).literal_separator(true).build();
                set.add(glob.map_err(|error| (name.to_owned(), error.to_string()))?);
            }
            set.build().map_err(|error| (name.to_owned(), error.to_string()))
        };
        let names = |shared, own| both(shared, own).into_iter().collect::<BTreeSet<_>>();
        let fetching_code = expressions("fetching_code", shared.fetching_code, own.fetching_code)?;
        let named = |code: &Regex| code.capture_names().flatten().any(|name| name == "url");
        if let Some(index) = fetching_code.iter().position(|code| !named(code)) {
            let message = format!("expression {index} has no group `url`");
            return Err(("fetching_code".to_owned(), message));
        }
        Ok(Self {
            tool_errors: traffic("tool_errors", shared.tool_errors, own.tool_errors)?,
            failed_edits: traffic("failed_edits", shared.failed_edits, own.failed_edits)?,
            clarifications: expressions("clarifications", shared.clarifications, own.clarifications)?,
            courtesies: expressions("courtesies", shared.courtesies, own.courtesies)?,
            refusals: expressions("refusals", shared.refusals, own.refusals)?,
            refusing_ends: names(shared.refusing_ends, own.refusing_ends),
            fetchers: names(shared.fetchers, own.fetchers),
            valued_options: names(shared.valued_options, own.valued_options),
            fetching_code,
            browsing_tools: set("browsing_tools", shared.browsing_tools, own.browsing_tools)?,
            command_arguments: names(shared.command_arguments, own.command_arguments),
            code_arguments: names(shared.code_arguments, own.code_arguments),
            command_questions: set("command_questions", shared.command_questions, own.command_questions)?,
            url_questions: set("url_questions", shared.url_questions, own.url_questions)?,
            closing_tools: shared.closing_tools.into_iter().chain(own.closing_tools).collect(),
            caches: globs("caches", shared.caches, own.caches)?,
            may_be_empty: globs("may_be_empty", shared.may_be_empty, own.may_be_empty)?,
            bare_answers: false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_expression_is_named() {
        let own = SignsSource {
            refusals: vec!["fine".to_owned(), "(".to_owned()],
            ..SignsSource::default()
        };
        assert_eq!(Signs::compile("any", own).unwrap_err().0, "refusals[1]");
        let own = SignsSource {
            fetching_code: vec!["get".to_owned()],
            ..SignsSource::default()
        };
        assert!(Signs::compile("any", own).unwrap_err().1.contains("`url`"));
        let own: SignsSource = yaml::read("own", "{tool_errors: [{in: message, tool: shell, text: no}]}").unwrap();
        assert_eq!(Signs::compile("any", own).unwrap_err().0, "tool_errors");
    }
}
