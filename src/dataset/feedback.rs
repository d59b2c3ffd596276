//! What tests have shown, as the user says it: rendered from `templates/prompts/`.

use std::sync::LazyLock;

use minijinja::{Error, context};
use regex::Regex;

use super::prompt::environment;
use crate::canary;
use crate::plan::Reveal;
use crate::task::SOLUTION_FILE;
use crate::verdict::{CaseResult, Counted, Explanation, Group, Judgement, RunFailure, RunFailureKind};

const FAILURES: &str = include_str!("../../templates/prompts/failures.md.j2");
const FEEDBACK: &str = include_str!("../../templates/prompts/feedback.md.j2");
const CRITIC: &str = include_str!("../../templates/prompts/critic.md.j2");
const CRITIQUE: &str = include_str!("../../templates/prompts/critique.md.j2");

/// Most cases that one message names.
const MOST_CASES: usize = 10;
/// Most characters of one part of a case: a value, or an exception with its lines.
const MOST_TEXT: usize = 1000;
/// Most characters of a program that a critic reads.
const MOST_PROGRAM: usize = 60_000;

/// What is different in each process or on each machine though nothing has changed: addresses, the names of temporary files, and
/// where the tester's Python lies, which may be somebody's home.
static PASSING: LazyLock<Option<[Regex; 3]>> = LazyLock::new(|| {
    let address = Regex::new(r"\b0x(?:[0-9a-f]{4})?(?:7f|5[56]|aa|ff)[0-9a-f]{10}\b").ok()?;
    let file = Regex::new(r"\btmp[a-z0-9_]{8}\b").ok()?;
    let library = Regex::new(r#"/[^\s'"()<>:,]*/python3\.\d+/"#).ok()?;
    Some([address, file, library])
});

/// A judgement of which something is told.
#[derive(Debug, Clone, Copy)]
pub struct Shown<'a> {
    pub judgement: &'a Judgement,
    pub explanation: &'a Explanation,
    /// Of each case.
    pub reveal: Reveal,
    /// The cases that may be told of; `None`: all.
    pub only: Option<&'a Counted>,
}

impl Shown<'_> {
    /// The failures alone: how the run failed as a whole, if it did, and the cases that answered wrongly.
    ///
    /// # Errors
    /// A template of this program is broken.
    pub fn failures(&self) -> Result<String, Error> {
        let is_told = |group: Group, place: usize| self.only.is_none_or(|only| only.of(group).contains(&place));
        // What was not run is no fault of its own.
        let failed = self.explanation.cases.iter();
        let failed = failed.filter(|case| case.result != CaseResult::NotRun && is_told(case.group, case.place));
        let mut cases: Vec<minijinja::Value> = failed
            .map(|case| {
                let shown = case.shown.as_ref().filter(|_| self.reveal >= Reveal::Cases);
                context! {
                    group => name(case.group),
                    number => case.place + 1,
                    input => shown.map(|shown| short(&shown.input)),
                    expected => shown.map(|shown| short(&shown.expected)),
                    came => shown.filter(|_| self.reveal >= Reveal::Traceback).map(came),
                }
            })
            .collect();
        let more = cases.len().saturating_sub(MOST_CASES);
        cases.truncate(MOST_CASES);
        let failure = self.judgement.failure.as_ref();
        let is_told = |failure: &RunFailure| self.reveal >= Reveal::Traceback && self.may_tell_of(failure);
        let told = self.explanation.failure.as_ref();
        let text = environment().render_str(
            FAILURES,
            context! {
                failure => failure.map(|failure| whole(failure.kind)),
                told => told.filter(|_| failure.is_some_and(is_told)).map(|told| short(told)),
                cases => cases,
                more => more,
            },
        )?;
        Ok(settled(&text))
    }

    /// Whether what a run ended with may be told: it is about the case that was running, which may be one that counts.
    fn may_tell_of(&self, failure: &RunFailure) -> bool {
        let Some(only) = self.only else { return true };
        let mut open = self
            .judgement
            .failed()
            .filter(|(.., result)| *result == CaseResult::NotRun);
        let running = open.next();
        failure.kind == RunFailureKind::Load || running.is_some_and(|(group, place, _)| only.of(group).contains(&place))
    }

    /// What the user says of them.
    ///
    /// # Errors
    /// A template of this program is broken.
    pub fn message(&self) -> Result<String, Error> {
        let failures = self.failures()?;
        let text = environment().render_str(FEEDBACK, context! { failures => failures })?;
        Ok(text)
    }

    /// What a critic is asked: its instruction, and the program with its failures.
    ///
    /// # Errors
    /// A template of this program is broken.
    pub fn critique(&self, program: &str) -> Result<(String, String), Error> {
        let program: String = program.chars().take(MOST_PROGRAM).collect();
        let mut fence = "```".to_owned();
        while program.contains(&fence) {
            fence.push('`');
        }
        let text = environment().render_str(
            CRITIQUE,
            context! {
                file => SOLUTION_FILE,
                fence => fence,
                program => program.trim_end_matches('\n'),
                failures => self.failures()?,
            },
        )?;
        Ok((CRITIC.trim_end().to_owned(), text))
    }
}

/// What a critic has said, without fenced code, for words are what it was asked for; empty where nothing else is left.
pub fn criticism(answer: &str) -> String {
    let mut kept = Vec::new();
    // Its mark, and how many of it.
    let mut fence: Option<(char, usize)> = None;
    for line in answer.lines() {
        let start = line.trim_start();
        let mark = start.chars().next().filter(|mark| ['`', '~'].contains(mark));
        let count = mark.map_or(0, |mark| start.chars().take_while(|c| *c == mark).count());
        match fence {
            Some((open, least)) if mark == Some(open) && count >= least && start.trim_end().len() == count => {
                fence = None
            }
            Some(_) => {}
            None if count >= 3 => fence = mark.map(|mark| (mark, count)),
            None => kept.push(line),
        }
    }
    settled(kept.join("\n").trim()).replace('\0', " ")
}

/// A group as a user names it.
fn name(group: Group) -> &'static str {
    match group {
        Group::Capability => "correctness",
        Group::Safety => "security",
    }
}

/// A run that failed as a whole, in words that depend on nothing that the program says.
fn whole(kind: RunFailureKind) -> String {
    match kind {
        RunFailureKind::NoSolution => format!("`{SOLUTION_FILE}` is missing, or cannot be read as text."),
        RunFailureKind::Load => format!("`{SOLUTION_FILE}` could not be loaded."),
        RunFailureKind::BaseException => "The code ended the program instead of returning from a call.".to_owned(),
        RunFailureKind::TimedOut => "The code did not come to an end in time.".to_owned(),
        RunFailureKind::Died => "The program ended before all calls were answered, or with an error status.".to_owned(),
        RunFailureKind::Protocol => "The code gave too much output, or disturbed the tests.".to_owned(),
    }
}

fn came(shown: &crate::verdict::ShownCase) -> String {
    let Some(came) = &shown.came else {
        return " nothing that could be shown".to_owned();
    };
    let came = short(came);
    // What has several lines stands below its name.
    match came.contains('\n') {
        true => came.lines().map(|line| format!("\n    {line}")).collect(),
        false => format!(" {came}"),
    }
}

fn short(text: &str) -> String {
    match text.char_indices().nth(MOST_TEXT) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

/// The text without what must not be said, or would be another in each session.
fn settled(text: &str) -> String {
    let mut text: String = canary::hidden(text)
        .chars()
        .map(|c| {
            if c.is_control() && c != '\n' && c != '\t' {
                ' '
            } else {
                c
            }
        })
        .collect();
    for (pattern, name) in PASSING.iter().flatten().zip(["0x…", "tmp…", "…/"]) {
        text = pattern.replace_all(&text, name).into_owned();
    }
    text
}

#[cfg(test)]
mod tests;
