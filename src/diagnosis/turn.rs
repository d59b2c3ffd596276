//! One turn, looked at from all sides.

use super::command::{fetched_by_call, fetched_by_script};
use super::files::{Structure, is_unchanged};
use super::signs::{Signs, Traffic, Where};
use super::speech::{gives_code, prose, question, refusal};
use crate::finding::{Finding, FindingKind, Findings};
use crate::transcript::{Exchange, Part};
use crate::trial::{Drift, Ending, Failure, Limit, TurnRecord};

/// Longest text of a message, a result or a last word in which signs are looked for, in bytes.
const MOST_SEARCHED: usize = 64 << 10;

/// What is known of a turn besides its traffic.
#[derive(Debug, Clone, Copy)]
pub struct TurnFacts<'a> {
    pub record: &'a TurnRecord,
    /// Whether turns follow that the agent was to wait for.
    pub more_to_come: bool,
    pub structure: &'a Structure,
    /// Files without content after the turn, white space not counted.
    pub empty: &'a [String],
}

/// Looks at the traffic of one turn as it is read.
#[derive(Debug)]
pub struct Watch<'a> {
    signs: &'a Signs,
    found: Findings,
    last: Option<LastWord>,
}

/// The model's last answer of the turn, or what its provider said instead.
#[derive(Debug)]
struct LastWord {
    call: u64,
    /// `None`: it called a tool, and was not done.
    prose: Option<String>,
    /// It declined in the dialect's own way.
    declined: Option<String>,
    /// Whether it gives code, perhaps as an edit that could not be used.
    has_code: bool,
    /// Whether the provider declined for it, by its content policy.
    by_policy: bool,
}

impl<'a> Watch<'a> {
    pub fn new(signs: &'a Signs) -> Self {
        Self {
            signs,
            found: Findings::default(),
            last: None,
        }
    }

    /// Takes the calls of the turn in their order.
    pub fn exchange(&mut self, exchange: &Exchange) {
        let call = exchange.call;
        for part in &exchange.new {
            self.told(call, part);
        }
        for part in &exchange.answer {
            if let Part::Call { tool, arguments, .. } = part
                && let Some(url) = fetched_by_call(tool, arguments, self.signs)
            {
                self.found
                    .add(FindingKind::UrlScrapingAttempted, &format!("call {call}: {url}"));
            }
        }
        if exchange.was_answered() {
            self.last = Some(self.last_word(exchange));
        } else if let Some(refusal) = exchange.failure.as_ref().filter(|failure| failure.is_by_policy()) {
            self.last = Some(LastWord {
                call,
                prose: None,
                declined: Some(refusal.message.clone()),
                has_code: false,
                by_policy: true,
            });
        }
    }

    /// What the model was told.
    fn told(&mut self, call: u64, part: &Part) {
        let (place, by, text) = match part {
            Part::Result { tool, text, .. } => (Where::Result, Some(tool), text),
            Part::Text { speaker, text } if speaker == "user" => (Where::Message, None, text),
            _ => return,
        };
        // Agents put empty lines between messages of the user.
        let text = beginning(text.trim_start());
        let kinds = [
            (FindingKind::ToolError, &self.signs.tool_errors),
            (FindingKind::EditFailedToApply, &self.signs.failed_edits),
        ];
        for (kind, signs) in kinds {
            let of_it = |sign: &&Traffic| sign.place == place && (sign.tool.is_none() || sign.tool.as_ref() == by);
            let mut signs = signs.iter().filter(of_it);
            if let Some(found) = signs.find_map(|sign| sign.text.find(text)) {
                // To the end of its line; where it ends with one, the next says what is wrong.
                let rest = text[found.end()..].lines().next().unwrap_or_default();
                self.found.add(kind, &format!("call {call}: {}{rest}", found.as_str()));
            }
        }
        if let Part::Result {
            is_error: true, tool, ..
        } = part
        {
            let line = text.lines().next().unwrap_or_default().trim_end();
            self.found
                .add(FindingKind::ToolError, &format!("call {call}: {tool}: {line}"));
        }
    }

    fn last_word(&self, exchange: &Exchange) -> LastWord {
        let mut texts = vec![exchange.answer_text()];
        let (mut goes_on, mut declined) = (false, None);
        for part in &exchange.answer {
            match part {
                Part::Call { tool, arguments, .. } => match self.signs.closing_tools.get(tool) {
                    Some(member) => texts.extend(member_of(arguments, member)),
                    None => goes_on = true,
                },
                Part::Refusal { text } => declined = Some(text.clone()),
                _ => {}
            }
        }
        let end = exchange
            .finish
            .as_ref()
            .filter(|end| self.signs.refusing_ends.contains(*end));
        let said = texts.join("\n\n");
        LastWord {
            call: exchange.call,
            has_code: gives_code(&said),
            prose: (!goes_on).then(|| prose(beginning(&said))),
            declined: declined.or_else(|| end.map(|end| format!("the answer ended with {end}"))),
            by_policy: false,
        }
    }

    /// All that was found, the turn being over.
    pub fn finish(mut self, facts: &TurnFacts<'_>) -> Vec<Finding> {
        let TurnFacts {
            record,
            more_to_come,
            structure,
            empty,
        } = *facts;
        let found = &mut self.found;
        if more_to_come && record.finished_early {
            found.add(
                FindingKind::EarlyTermination,
                "the agent called the work done before the last turn",
            );
        }
        match &record.ending {
            Ending::AgentExited { code: 0 } if more_to_come => {
                found.add(
                    FindingKind::EarlyTermination,
                    "the agent left with status 0 before the last turn",
                );
            }
            Ending::TimedOut { limit } if is_of_time(*limit) => {
                found.add(FindingKind::Timeout, &format!("limit: {}", limit.name()));
            }
            Ending::Failed {
                failure: Failure::ReflectionsExhausted,
                detail,
            } => found.add(FindingKind::ReflectionsExhausted, detail),
            _ => {}
        }
        for answer in &record.answers {
            let url = match &answer.question {
                question if self.signs.url_questions.is_match(question) => Some(answer.subject.clone()),
                question if self.signs.command_questions.is_match(question) => {
                    fetched_by_script(&answer.subject, self.signs)
                }
                _ => None,
            };
            if let Some(url) = url {
                found.add(
                    FindingKind::UrlScrapingAttempted,
                    &format!("{}: {url}", answer.question),
                );
            }
        }
        structure.operations(&record.drift, self.signs, found);
        for path in empty.iter().filter(|path| structure.is_expected(path, self.signs)) {
            found.add(FindingKind::ExpectedFileLeftEmpty, path);
        }
        let listened = self.gave_nothing(&record.drift) && self.listen(&record.ending);
        if let Ending::Failed {
            failure: Failure::EditFormat,
            detail,
        } = &record.ending
            && !listened
        {
            self.found.add(FindingKind::EditFailedToApply, detail);
        }
        self.found.into_vec()
    }

    /// Whether there is nothing but words. Of an agent that takes any answer for the code the workspace cannot tell it.
    fn gave_nothing(&self, drift: &Drift) -> bool {
        match &self.last {
            Some(last) if self.signs.bare_answers => !last.has_code,
            _ => is_unchanged(drift, self.signs),
        }
    }

    /// The last word of a turn that gave nothing: a refusal, or else a question. Whether it was one.
    fn listen(&mut self, ending: &Ending) -> bool {
        let Some(last) = &self.last else { return false };
        let spoke = match ending {
            Ending::Answered => true,
            Ending::Failed {
                failure: Failure::RequestRefused,
                ..
            } => last.by_policy,
            // An answer without any code is not of the edit format either.
            Ending::Failed { failure, .. } => {
                matches!(failure, Failure::EditFormat | Failure::EmptyAnswer) && !last.has_code
            }
            _ => false,
        };
        if !spoke {
            return false;
        }
        let LastWord {
            call,
            prose,
            declined,
            has_code,
            ..
        } = last;
        let prose = prose.as_deref().unwrap_or_default();
        // Who declines and goes on to give code has declined a part, or another way.
        let refused = || refusal(prose, self.signs).filter(|_| !has_code);
        if let Some(words) = declined.as_deref().or_else(refused) {
            self.found.add(FindingKind::Refusal, &format!("call {call}: {words}"));
            true
        } else if let Some(words) = question(prose, self.signs) {
            self.found
                .add(FindingKind::AskedForClarification, &format!("call {call}: {words}"));
            true
        } else {
            false
        }
    }
}

fn beginning(text: &str) -> &str {
    let end = (0..=MOST_SEARCHED.min(text.len()))
        .rev()
        .find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or(0)]
}

/// Limits of the disk and of questions are none of time.
fn is_of_time(limit: Limit) -> bool {
    !matches!(limit, Limit::Disk | Limit::Answers)
}

fn member_of(arguments: &str, member: &str) -> Option<String> {
    let value: serde_json::Value = serde_json::from_str(arguments).ok()?;
    value.get(member)?.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests;
