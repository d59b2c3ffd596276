//! Answers the agent's questions from the recipe's table.

use std::path::{Component, Path, PathBuf};

use crate::recipe::{Condition, TerminalRules};
use crate::trial::{Answer, Failure};

/// A question as it stands at the end of the output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    pub text: String,
    /// The lines between the last blank line and the question.
    pub subject: Vec<String>,
}

/// What a question is told, and what follows from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    pub answer: Answer,
    /// A command of the model's choice runs now.
    pub runs_command: bool,
    pub failure: Option<Failure>,
}

impl Question {
    /// Reads the question at the end of `tail`; `None` when there is none.
    pub fn read(rules: &TerminalRules, tail: &[u8]) -> Option<Self> {
        let captures = rules.questions.iter().find_map(|question| question.captures(tail))?;
        let question = captures.name("question")?;
        let text = String::from_utf8_lossy(question.as_bytes()).trim().to_owned();
        Some(Self {
            text,
            subject: subject(&tail[..question.start()]),
        })
    }

    /// A question of no known form: the unfinished last line.
    pub fn unknown(tail: &[u8]) -> Self {
        let start = tail.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let text = String::from_utf8_lossy(&tail[start..])
            .trim()
            .chars()
            .take(500)
            .collect();
        Self {
            text,
            subject: subject(&tail[..start]),
        }
    }
}

/// The last lines of a text up to an empty one. Without an empty line the beginning is unknown, which shows as a line of
/// its own, `…`: then the subject is more than one line, whatever it is. A line of spaces is not empty: a path full of
/// spaces, wrapped, could otherwise show its harmless end only.
fn subject(text: &[u8]) -> Vec<String> {
    const MOST: usize = 100;
    let text = String::from_utf8_lossy(text);
    let mut lines: Vec<String> = Vec::new();
    let mut whole = false;
    for line in text.lines().rev().take(MOST) {
        if line.trim_end_matches('\r').is_empty() {
            whole = true;
            break;
        }
        lines.push(line.trim_end().chars().take(5000).collect());
    }
    if !whole {
        lines.push("…".into());
    }
    lines.reverse();
    lines
}

/// Looks the question up. `shell_commands`: whether they are enabled.
pub fn reply(rules: &TerminalRules, question: &Question, workspace: &Path, shell_commands: bool) -> Reply {
    let subject = question.subject.join("\n");
    let Some(rule) = rules
        .rule(&question.text)
        .and_then(|rule| rules.source.answers.get(rule.0))
    else {
        let answer = rules.source.default_answer.clone();
        let answer = Answer {
            question: question.text.clone(),
            subject,
            answer,
            rule: None,
        };
        return Reply {
            answer,
            runs_command: false,
            failure: None,
        };
    };
    let holds = match rule.only_if {
        None => true,
        Some(Condition::ShellCommands) => shell_commands,
        Some(Condition::InsideWorkspace) => {
            // A path that is not exactly one line is not what it seems to be.
            matches!(question.subject.as_slice(), [path] if is_inside(workspace, path))
        }
    };
    let answer = if holds {
        &rule.answer
    } else {
        rule.otherwise.as_ref().unwrap_or(&rule.answer)
    };
    let answer = Answer {
        question: question.text.clone(),
        subject,
        answer: answer.clone(),
        rule: Some(rule.rule.clone()),
    };
    Reply {
        answer,
        runs_command: rule.runs_command && holds,
        failure: rule.failure,
    }
}

/// Whether a path, taken from the workspace, leads into the workspace once all links are followed.
fn is_inside(workspace: &Path, path: &str) -> bool {
    let Ok(root) = workspace.canonicalize() else {
        return false;
    };
    resolve(&root.join(path)).is_some_and(|real| real.starts_with(&root) && real != root)
}

/// The real path, of which the last parts need not exist. `None` for what cannot be told, such as a dangling link, which
/// may come to lead anywhere.
fn resolve(path: &Path) -> Option<PathBuf> {
    let mut real = PathBuf::new();
    let mut missing = false;
    for part in path.components() {
        match part {
            Component::CurDir => {}
            // After a part that does not exist the answer would depend on what that part becomes.
            Component::ParentDir if missing => return None,
            Component::ParentDir => {
                real.pop();
            }
            Component::Prefix(_) | Component::RootDir => real.push(part),
            Component::Normal(_) => {
                real.push(part);
                match real.symlink_metadata() {
                    Ok(_) => real = real.canonicalize().ok()?,
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => missing = true,
                    Err(_) => return None,
                }
            }
        }
    }
    Some(real)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(tail: &str) -> Question {
        Question::read(&TerminalRules::of_aider(), tail.as_bytes()).unwrap()
    }

    #[test]
    fn questions_are_read_with_their_subject() {
        let tail = "Tokens: 1 sent\r\n\r\nsub/new.py \r\nCreate new file? (Y)es/(N)o [Yes]: ";
        let read = question(tail);
        assert_eq!(
            (read.text.as_str(), read.subject),
            ("Create new file?", vec!["sub/new.py".to_owned()])
        );
        let tail = "\r\n\r\necho 1\r\necho 2\r\nRun shell commands? (Y)es/(N)o/(S)kip all/(D)on't ask again [Yes]: ";
        assert_eq!(question(tail).subject, ["echo 1", "echo 2"]);
        let rules = TerminalRules::of_aider();
        let glued = question("no newlineAdd command output to the chat? (Y)es/(N)o [Yes]: ");
        let told = reply(&rules, &glued, Path::new("/"), true).answer;
        assert_eq!(
            (told.answer.as_str(), told.rule.as_deref()),
            ("y", Some("command output"))
        );
        let crash = question("x\r\nOpen a GitHub Issue pre-filled with the above error in your browser? (Y/n) ");
        assert_eq!(
            reply(&TerminalRules::of_aider(), &crash, Path::new("/"), true).failure,
            Some(Failure::AgentCrashed)
        );
    }

    #[test]
    fn only_paths_that_lead_into_the_workspace_are_inside() {
        let base = tempfile::tempdir().unwrap();
        let workspace = base.path().join("ws");
        std::fs::create_dir_all(workspace.join("sub")).unwrap();
        std::os::unix::fs::symlink(base.path(), workspace.join("out")).unwrap();
        std::os::unix::fs::symlink(base.path().join("absent"), workspace.join("dangling")).unwrap();
        std::os::unix::fs::symlink("sub", workspace.join("in")).unwrap();
        let absolute = workspace.join("x.py").display().to_string();
        for path in [
            "a.py",
            "sub/b.py",
            "new/deep/c.py",
            "in/d.py",
            "sub/../e.py",
            "./f.py",
            absolute.as_str(),
        ] {
            assert!(is_inside(&workspace, path), "{path}");
        }
        for path in [
            "../a.py",
            "/etc/passwd",
            "out/a.py",
            "dangling",
            "new/../../a.py",
            "",
            ".",
            "sub/../..",
        ] {
            assert!(!is_inside(&workspace, path), "{path}");
        }
    }

    #[test]
    fn a_path_that_is_not_seen_whole_is_refused() {
        let workspace = tempfile::tempdir().unwrap();
        let rules = TerminalRules::of_aider();
        let told = |before: &str| {
            let tail = format!("{before}x.py\r\nCreate new file? (Y)es/(N)o [Yes]: ");
            reply(&rules, &question(&tail), workspace.path(), true).answer.answer
        };
        assert_eq!(told("said\r\n\r\n"), "y");
        assert_eq!(told("\r\n"), "y");
        for before in ["\r\n../evil\r\n", "\r\n../evil\r\n    \r\n", "     ", "../evil\r\n"] {
            assert_eq!(told(before), "n", "{before:?}");
        }
    }
}
