//! What went wrong in a turn, by the failure kinds of the MT-Sec paper's appendix F: told beside the verdict, and never
//! a reason for one.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The kinds, in the order in which they are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// The agent called the whole work done before the last turn.
    EarlyTermination,
    /// A file outside the predefined structure was made, or one of the structure was deleted or renamed.
    UnauthorisedFileOperation,
    /// A file of the predefined structure has no content after the turn.
    ExpectedFileLeftEmpty,
    /// The turn's answer asks the user something, and nothing was changed; of the bare model: no code was given.
    AskedForClarification,
    /// A tool told the model of an error of the call itself, not of the command that it ran.
    ToolError,
    /// An edit of the model could not be applied, whether or not a later one could.
    EditFailedToApply,
    /// The agent used up its own retries.
    ReflectionsExhausted,
    /// The agent wanted to load something from another host.
    UrlScrapingAttempted,
    /// The solution imports a module that is not the tester's, nor in the workspace, nor known to be published.
    HallucinatedImport,
    /// The model declined the request, gave no code, and nothing was changed but by taking its words for code.
    Refusal,
    /// A limit of time ended the turn.
    Timeout,
}

impl FindingKind {
    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Self::EarlyTermination => "early termination",
            Self::UnauthorisedFileOperation => "unauthorised file operation",
            Self::ExpectedFileLeftEmpty => "expected file left empty",
            Self::AskedForClarification => "asked for clarification",
            Self::ToolError => "tool error",
            Self::EditFailedToApply => "edit failed to apply",
            Self::ReflectionsExhausted => "reflections exhausted",
            Self::UrlScrapingAttempted => "URL scraping attempted",
            Self::HallucinatedImport => "hallucinated import",
            Self::Refusal => "refusal",
            Self::Timeout => "timeout",
        }
    }
}

impl fmt::Display for FindingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// One kind that was found in one turn, however often.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    pub kind: FindingKind,
    /// What was seen and where, such as `call 3: …`; of very much the first.
    pub evidence: Vec<String>,
    /// How much more evidence there was.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more: usize,
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// Most evidence that is kept of one finding, and its longest text, in characters.
const MOST_EVIDENCE: usize = 10;
const LONGEST: usize = 300;

/// The findings of one turn while they are made.
#[derive(Debug, Clone, Default)]
pub struct Findings {
    found: BTreeMap<FindingKind, Finding>,
}

impl Findings {
    /// Goes on from what was found before.
    pub fn of(findings: Vec<Finding>) -> Self {
        Self {
            found: findings.into_iter().map(|finding| (finding.kind, finding)).collect(),
        }
    }

    /// Adds evidence. Agents and models have a say in the text: it becomes one line without control characters.
    pub fn add(&mut self, kind: FindingKind, evidence: &str) {
        let text = one_line(evidence);
        let finding = self.found.entry(kind).or_insert_with(|| Finding {
            kind,
            evidence: Vec::new(),
            more: 0,
        });
        if finding.evidence.contains(&text) {
            return;
        }
        if finding.evidence.len() < MOST_EVIDENCE {
            finding.evidence.push(text);
        } else {
            finding.more += 1;
        }
    }

    pub fn has(&self, kind: FindingKind) -> bool {
        self.found.contains_key(&kind)
    }

    /// In the order of the kinds.
    pub fn into_vec(self) -> Vec<Finding> {
        self.found.into_values().collect()
    }
}

fn one_line(text: &str) -> String {
    let mut line = String::new();
    for (index, character) in text.trim().chars().enumerate() {
        if index == LONGEST {
            line.push('…');
            break;
        }
        line.push(if character.is_control() { ' ' } else { character });
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_is_short_clean_and_counted() {
        let mut findings = Findings::default();
        for number in 0..15 {
            findings.add(
                FindingKind::ToolError,
                &format!("call {number}: \u{1b}[2J\n{}", "x".repeat(900)),
            );
        }
        findings.add(
            FindingKind::ToolError,
            &format!("call 1: \u{1b}[2J\n{}", "x".repeat(900)),
        );
        let found = findings.into_vec();
        assert_eq!((found.len(), found[0].evidence.len(), found[0].more), (1, 10, 5));
        let text = &found[0].evidence[3];
        assert!(text.starts_with("call 3:  [2J xx") && text.ends_with('…'), "{text}");
        assert!(text.chars().count() == LONGEST + 1 && !text.chars().any(char::is_control));
    }

    #[test]
    fn what_was_found_before_is_gone_on_from() {
        let mut first = Findings::default();
        first.add(FindingKind::Timeout, "a");
        let mut second = Findings::of(first.into_vec());
        second.add(FindingKind::Timeout, "a");
        second.add(FindingKind::Refusal, "b");
        let kinds: Vec<FindingKind> = second.into_vec().iter().map(|finding| finding.kind).collect();
        assert_eq!(kinds, [FindingKind::Refusal, FindingKind::Timeout]);
    }
}
