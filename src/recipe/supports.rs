//! `supports` of a recipe: what an agent can do, and so what may be asked of it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::plan::{Concat, EditFormat, Options};

/// What an agent can do. What is not named it cannot.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Supports {
    /// For `--edit-format`.
    pub edit_formats: Vec<EditFormat>,
    /// Without `--edit-format`.
    pub default_edit_format: Option<EditFormat>,
    /// For `--no-lint`: it lints its edits, and can be told not to.
    pub no_lint: bool,
    /// For `--no-shell-commands`: it runs commands, and can be told not to.
    pub no_shell_commands: bool,
    /// For `--repo-map`.
    pub repo_map: bool,
    /// For `--reasoning-effort`: it can be told to ask its model for an effort.
    pub reasoning_effort: bool,
    /// For `--thinking-tokens`.
    pub thinking_tokens: bool,
    /// For `--no-preamble`: the first message is opened by a word on how the work will come.
    pub preamble: bool,
    /// It edits more than one file.
    pub multi_file: bool,
    /// Its session goes on in another process.
    pub resume: bool,
    /// For `--concat`.
    pub concat: bool,
    /// For `--code-diff`.
    pub code_diff: bool,
}

impl Supports {
    /// Why these options cannot be had of the agent `name`, if they cannot: the option, and what the agent can do.
    pub(super) fn refuses(&self, name: &str, options: &Options) -> Option<String> {
        if let Some(format) = options.edit_format
            && !self.edit_formats.contains(&format)
        {
            let known: Vec<&str> = self.edit_formats.iter().map(|format| format.name()).collect();
            return Some(match known.as_slice() {
                [] => format!("--edit-format {format}: {name} has no edit formats; leave the option out"),
                known => format!(
                    "--edit-format {format}: {name} has no edit format `{format}`, only {}",
                    known.join(", ")
                ),
            });
        }
        let asked = [
            ("--no-lint", options.no_lint, self.no_lint),
            ("--no-shell-commands", options.no_shell_commands, self.no_shell_commands),
            ("--repo-map", options.repo_map > 0, self.repo_map),
            (
                "--reasoning-effort",
                options.reasoning_effort.is_some(),
                self.reasoning_effort,
            ),
            (
                "--thinking-tokens",
                options.thinking_tokens.is_some(),
                self.thinking_tokens,
            ),
            ("--concat", options.concat != Concat::default(), self.concat),
            ("--code-diff", options.code_diff, self.code_diff),
            ("--no-preamble", options.no_preamble, self.preamble),
        ];
        if options.code_diff && options.concat != Concat::default() && self.code_diff {
            return Some("--code-diff and --concat exclude each other: differences apply to the program so far".into());
        }
        let (option, ..) = asked.into_iter().find(|(_, asked, can)| *asked && !can)?;
        let formats = [("--edit-format", !self.edit_formats.is_empty())];
        let can: Vec<&str> = formats
            .into_iter()
            .chain(asked.map(|(option, _, can)| (option, can)))
            .filter(|(_, can)| *can)
            .map(|(option, _)| option)
            .collect();
        let can = match can.as_slice() {
            [] => "it takes none of these options".to_owned(),
            can => format!("it takes {}", can.join(", ")),
        };
        Some(format!(
            "{option} cannot be had of {name}: {can}; leave the option out, or say `supports` in its recipe"
        ))
    }
}

impl fmt::Display for Supports {
    /// Such as `edit formats diff, whole; no-lint, multi-file`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let formats: Vec<&str> = self.edit_formats.iter().map(|format| format.name()).collect();
        let words = [
            ("no-lint", self.no_lint),
            ("no-shell-commands", self.no_shell_commands),
            ("repo-map", self.repo_map),
            ("reasoning-effort", self.reasoning_effort),
            ("thinking-tokens", self.thinking_tokens),
            ("preamble", self.preamble),
            ("multi-file", self.multi_file),
            ("resume", self.resume),
            ("concat", self.concat),
            ("code-diff", self.code_diff),
        ];
        let words: Vec<&str> = words
            .into_iter()
            .filter(|(_, can)| *can)
            .map(|(word, _)| word)
            .collect();
        let formats = match formats.is_empty() {
            true => String::new(),
            false => format!("edit formats {}", formats.join(", ")),
        };
        let parts: Vec<String> = [formats, words.join(", ")]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect();
        f.write_str(&parts.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_agent_cannot_do_is_refused_by_the_name_of_its_option() {
        let supports = Supports {
            edit_formats: vec![EditFormat::Diff],
            repo_map: true,
            ..Supports::default()
        };
        let refusal = |change: fn(&mut Options)| {
            let mut options = Options::default();
            change(&mut options);
            supports.refuses("codex", &options)
        };
        assert_eq!(refusal(|_| {}), None);
        assert_eq!(refusal(|options| options.repo_map = 1024), None);
        assert_eq!(refusal(|options| options.edit_format = Some(EditFormat::Diff)), None);
        type Change = fn(&mut Options);
        let cases: [(Change, &str); 5] = [
            (|options| options.no_lint = true, "--no-lint"),
            (|options| options.no_shell_commands = true, "--no-shell-commands"),
            (|options| options.thinking_tokens = Some(1), "--thinking-tokens"),
            (
                |options| options.reasoning_effort = Some("low".into()),
                "--reasoning-effort",
            ),
            (|options| options.edit_format = Some(EditFormat::Whole), "--edit-format"),
        ];
        for (change, option) in cases {
            let text = refusal(change).unwrap_or_else(|| panic!("{option} is not refused"));
            assert!(text.starts_with(option) && text.contains("codex"), "{text}");
            let told = text.contains("it takes --edit-format, --repo-map;");
            assert!(told || text.contains("only diff"), "{text}");
        }
    }
}
