//! Tells from what an agent printed how a turn ended.
//!
//! What can be forged: the model's text and the code it writes are printed among the agent's own lines. Lines before the
//! end of a reply do not count, nor does anything that a command of the model prints; failures of the infrastructure
//! count only when the agent's own log says that the last call did not return. What is left: a reply that the agent
//! rejects is quoted, and may pretend to have been one that hit a limit, or to be followed by a good one; and a command
//! that the model has run can write to the agent's own log, which is inside with it: containment does not part the two.
//! None of this touches the verdict, which comes from tests of the final tree alone; and none of it makes an
//! infrastructure failure, which takes a failure that the gateway has seen and that no call of one's own brings about.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::PathBuf;

use rustix::fs::{Mode, OFlags};

use crate::recipe::{Evidence, TerminalRules};
use crate::trial::{Ending, Failure};

/// What has been seen of failures in the current turn.
#[derive(Debug, Default)]
pub struct Seen {
    /// Per `failures` of the recipe: the line, if it was seen.
    lines: Vec<Option<String>>,
    /// Retries since the last reply.
    pub retries: u32,
    /// The last line said that a call will be retried.
    pub waits_to_retry: bool,
    /// A command of the model runs: what is printed is not the agent's.
    pub muted: bool,
    /// A question told of it.
    pub failure: Option<Failure>,
}

impl Seen {
    pub fn line(&mut self, rules: &TerminalRules, line: &[u8]) {
        if self.muted || line.is_empty() {
            return;
        }
        self.lines.resize(rules.source.failures.len(), None);
        self.waits_to_retry = false;
        for evidence in rules.evidence(line) {
            match evidence {
                Evidence::Retry => {
                    self.retries += 1;
                    self.waits_to_retry = true;
                }
                Evidence::ReplyEnd => {
                    self.retries = 0;
                    for (seen, failure) in self.lines.iter_mut().zip(&rules.source.failures) {
                        if !failure.before_reply_end {
                            *seen = None;
                        }
                    }
                }
                Evidence::Failure(index) => {
                    if let Some(seen) = self.lines.get_mut(index) {
                        *seen = Some(String::from_utf8_lossy(line).chars().take(500).collect());
                    }
                }
            }
        }
    }

    /// The crash that the agent reported before it left. Only then: an agent that stands at its prompt has not crashed,
    /// whatever text it quotes.
    pub fn crash(&self, rules: &TerminalRules) -> Option<Ending> {
        let seen = self.lines.iter().zip(&rules.source.failures);
        let line = seen
            .filter(|(_, failure)| failure.kind == Failure::AgentCrashed)
            .find_map(|(line, _)| line.clone());
        let told = self.failure.map(|_| "the agent reported a crash".to_owned());
        let detail = told.or(line)?;
        Some(Ending::Failed {
            failure: Failure::AgentCrashed,
            detail,
        })
    }

    /// The failure that the turn ended with. `last_call`: what the log of calls says, `None` without one.
    pub fn failure(&self, rules: &TerminalRules, last_call: Option<Call>) -> Option<Ending> {
        if let Some(failure) = self.failure {
            return Some(Ending::Failed {
                failure,
                detail: "the agent reported a crash".into(),
            });
        }
        if last_call == Some(Call::Crashed) {
            let detail = "the agent failed during a call of the model".into();
            return Some(Ending::Failed {
                failure: Failure::AgentCrashed,
                detail,
            });
        }
        for (seen, failure) in self.lines.iter().zip(&rules.source.failures) {
            if let Some(detail) = seen
                && failure.kind != Failure::AgentCrashed
                && (!failure.failed_call || last_call != Some(Call::Finished))
            {
                return Some(Ending::Failed {
                    failure: failure.kind,
                    detail: detail.clone(),
                });
            }
        }
        let calls = rules.source.calls.as_ref()?;
        (last_call == Some(Call::Failed)).then(|| Ending::Failed {
            failure: calls.failure,
            detail: "a call of the model did not return".into(),
        })
    }
}

/// How the last call of the model went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    Finished,
    Failed,
    /// The agent failed, not the model.
    Crashed,
}

/// Follows the agent's own log of its calls.
#[derive(Debug)]
pub struct CallLog {
    path: PathBuf,
    read: u64,
}

impl CallLog {
    /// Most bytes that are read of one turn.
    const MOST: u64 = 16 << 20;

    pub fn new(path: PathBuf) -> Self {
        Self { path, read: 0 }
    }

    /// Reads what is new; how the last call of it went: `None` when there was no call.
    pub fn last_call(&mut self, rules: &TerminalRules) -> Option<Call> {
        let calls = rules.source.calls.as_ref()?;
        // The agent, and what it runs, can put anything in the place of its log.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let mut file = File::from(rustix::fs::open(&self.path, flags, Mode::empty()).ok()?);
        if !file.metadata().ok()?.is_file() {
            return None;
        }
        file.seek(SeekFrom::Start(self.read)).ok()?;
        let mut last = None;
        let mut reader = BufReader::new(file.take(Self::MOST));
        let mut line = Vec::new();
        while let Ok(count) = reader.read_until(b'\n', &mut line) {
            if count == 0 || !line.ends_with(b"\n") {
                break;
            }
            self.read += count as u64;
            let event: Option<serde_json::Value> = serde_json::from_slice(&line).ok();
            match event
                .as_ref()
                .and_then(|event| event.get(&calls.event))
                .and_then(|event| event.as_str())
            {
                Some(name) if name == calls.started => last = Some(Call::Failed),
                Some(name) if name == calls.finished => last = Some(Call::Finished),
                Some(name) if Some(name) == calls.crashed.as_deref() => last = Some(Call::Crashed),
                _ => {}
            }
            line.clear();
        }
        last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ending(lines: &[&str], failed: bool) -> Option<Failure> {
        let rules = TerminalRules::of_aider();
        let mut seen = Seen::default();
        for line in lines {
            seen.line(&rules, line.as_bytes());
        }
        match seen.failure(&rules, Some(if failed { Call::Failed } else { Call::Finished })) {
            Some(Ending::Failed { failure, .. }) => Some(failure),
            _ => None,
        }
    }

    #[test]
    fn only_the_last_reply_counts() {
        let bad = "The LLM did not conform to the edit format.";
        let end = "Tokens: 2.4k sent, 25 received. Cost: $0.0050 message, $0.0050 session.";
        assert_eq!(ending(&[end, bad], false), Some(Failure::EditFormat));
        assert_eq!(ending(&[end, bad, end], false), None);
        assert_eq!(
            ending(&[end, bad, "Only 3 reflections allowed, stopping."], false),
            Some(Failure::ReflectionsExhausted)
        );
        let empty = "Empty response received from LLM. Check your provider account?";
        assert_eq!(ending(&[empty, end], false), Some(Failure::EmptyAnswer));
        assert_eq!(
            ending(&["Model openai/o3 has hit a token limit!"], true),
            Some(Failure::TokenLimit)
        );
    }

    #[test]
    fn a_quoted_crash_is_none_while_the_agent_lives() {
        let rules = TerminalRules::of_aider();
        let mut seen = Seen::default();
        seen.line(&rules, b"# Uncaught KeyError in models.py line 5");
        assert_eq!(seen.failure(&rules, Some(Call::Finished)), None);
        let Some(Ending::Failed { failure, detail }) = seen.crash(&rules) else {
            panic!()
        };
        assert_eq!(failure, Failure::AgentCrashed);
        assert!(detail.contains("KeyError"));
        assert_eq!(Seen::default().crash(&rules), None);
    }

    #[test]
    fn infrastructure_failures_need_a_failed_call() {
        let line = "litellm.RateLimitError: RateLimitError: OpenAIException - slow down";
        assert_eq!(ending(&[line], true), Some(Failure::RateLimit));
        assert_eq!(ending(&[line], false), None);
        assert_eq!(
            ending(&["litellm.AuthenticationError: no"], true),
            Some(Failure::Authentication)
        );
        assert_eq!(
            ending(&["litellm.InternalServerError: no"], true),
            Some(Failure::ProviderError)
        );
        assert_eq!(
            ending(&["    litellm.RateLimitError: quoted"], true),
            Some(Failure::ProviderError)
        );
    }
}
