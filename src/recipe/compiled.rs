//! A recipe that is ready for use: its expressions compiled, its templates checked.

use regex::bytes::{Regex, RegexSet};

use super::template::Templates;
use super::{RecipeError, Source};
use crate::plan::Options;

/// A recipe that is ready for use.
#[derive(Debug)]
pub struct Recipe {
    pub source: Source,
    /// What the user wrote, if it is no recipe of the program's own.
    pub own: Option<OwnRecipe>,
    pub(crate) templates: Templates,
    /// Index 0 is `ready`, the rest are `questions`.
    pub(crate) prompts: RegexSet,
    pub(crate) questions: Vec<Regex>,
    pub(crate) rules: RegexSet,
    /// See [`Evidence`].
    pub(crate) lines: RegexSet,
    /// What varies from session to session in the agent's requests.
    pub varies: Vec<regex::Regex>,
}

/// A recipe that the user wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnRecipe {
    /// Its text, byte for byte.
    pub text: String,
    /// The SHA-256 of the text, in hex.
    pub digest: String,
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

impl Recipe {
    pub(super) fn compile(file: &str, source: Source) -> Result<Self, RecipeError> {
        let wrong = |field: String, message: String| RecipeError::Value {
            file: file.to_owned(),
            field,
            message,
        };
        let expression = |field: String, text: &str| {
            Regex::new(text).map_err(|error| wrong(field, error.to_string().replace('\n', " ")))
        };
        expression("prompts.ready".into(), &source.prompts.ready)?;
        let mut questions = Vec::new();
        for (index, text) in source.prompts.questions.iter().enumerate() {
            let field = format!("prompts.questions[{index}]");
            let compiled = expression(field.clone(), text)?;
            if !compiled.capture_names().flatten().any(|name| name == "question") {
                return Err(wrong(field, "has no group `question`".into()));
            }
            questions.push(compiled);
        }
        for (index, rule) in source.answers.iter().enumerate() {
            expression(format!("answers[{index}].question"), &rule.question)?;
            if rule.only_if.is_some() != rule.otherwise.is_some() {
                let message = "`only_if` and `otherwise` belong together".into();
                return Err(wrong(format!("answers[{index}]"), message));
            }
        }
        for (index, failure) in source.failures.iter().enumerate() {
            expression(format!("failures[{index}].line"), &failure.line)?;
            if failure.failed_call && source.calls.is_none() {
                let message = "`failed_call` needs `calls`".into();
                return Err(wrong(format!("failures[{index}]"), message));
            }
        }
        let mut lines: Vec<&str> = source.failures.iter().map(|failure| failure.line.as_str()).collect();
        // An expression that never matches keeps the indices fixed when the recipe leaves one out.
        let reply_end = source.reply_end.as_deref().unwrap_or(r"[^\s\S]");
        let retry = source
            .give_up
            .as_ref()
            .map_or(r"[^\s\S]", |give_up| give_up.line.as_str());
        expression("reply_end".into(), reply_end)?;
        expression("give_up.line".into(), retry)?;
        lines.extend([reply_end, retry]);

        let mut varies = Vec::new();
        for (index, text) in source.varies.iter().enumerate() {
            let field = format!("varies[{index}]");
            expression(field.clone(), text)?;
            varies.push(regex::Regex::new(text).map_err(|error| wrong(field, error.to_string()))?);
        }

        let set = |field: &str, texts: Vec<&str>| {
            RegexSet::new(texts).map_err(|error| wrong(field.to_owned(), error.to_string()))
        };
        let prompts = std::iter::once(&source.prompts.ready).chain(&source.prompts.questions);
        Ok(Self {
            prompts: set("prompts", prompts.map(String::as_str).collect())?,
            rules: set(
                "answers",
                source.answers.iter().map(|rule| rule.question.as_str()).collect(),
            )?,
            lines: set("failures", lines)?,
            templates: Templates::compile(&source).map_err(|(field, message)| wrong(field, message))?,
            questions,
            varies,
            source,
            own: None,
        })
    }

    /// Why these options cannot be had, if they cannot.
    pub fn refuses(&self, options: &Options) -> Option<String> {
        let format = options.edit_format?;
        let known = &self.source.supports.edit_formats;
        (!known.contains(&format)).then(|| format!("{} has no edit format `{format}`", self.source.name))
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
