//! How the oracle speaks: each agent wants a model's edits in a form of its own.

use super::{Said, editor, fenced, patch};
use crate::gateway::edit::{self, EditError, Fence};
use crate::gateway::model::ToolCall;
use crate::plan::EditFormat;

/// The form of the oracle's edits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Voice {
    /// Text in one of Aider's edit formats.
    EditFormat(EditFormat),
    /// Calls of Codex's `shell` tool: `apply_patch`, or a command where a patch cannot say it.
    ApplyPatch,
    /// Calls of OpenHands' `str_replace_editor`, or of `execute_bash` where the editor cannot say it.
    Editor,
    /// Fenced code, as a model without an agent writes it; `diffs`: after the first turn, what has changed only.
    Fenced { diffs: bool },
}

/// What is to be brought about in one turn.
#[derive(Debug, Clone, Copy)]
pub(super) struct Edit<'a> {
    pub file: &'a str,
    pub before: &'a str,
    pub after: &'a str,
    /// From 1.
    pub turn: usize,
}

/// A way to bring it about.
pub(super) struct Way {
    pub said: Said,
    /// Another one, should the calls fail.
    pub fallback: Vec<ToolCall>,
}

impl Way {
    pub fn text(text: String) -> Self {
        Self {
            said: Said {
                text,
                calls: Vec::new(),
            },
            fallback: Vec::new(),
        }
    }

    pub fn calls(edit: &Edit, calls: Vec<ToolCall>, fallback: Vec<ToolCall>) -> Self {
        Self {
            said: Said {
                text: opening(edit.file),
                calls,
            },
            fallback,
        }
    }
}

/// What the oracle says before an edit.
fn opening(file: &str) -> String {
    format!("I bring `{file}` to where this step asks it to be.")
}

impl Voice {
    /// A state as this voice can leave it: text alone cannot say which line ends there are, calls of tools can.
    pub fn normalize(self, state: &str) -> String {
        match self {
            Self::EditFormat(format) => edit::normalize(state, format),
            Self::Fenced { .. } => edit::normalize(state, EditFormat::Whole),
            Self::ApplyPatch | Self::Editor => state.to_owned(),
        }
    }

    /// How an edit is said to an agent whose request holds these texts.
    pub(super) fn way(self, edit: &Edit, texts: &[&str]) -> Result<Way, EditError> {
        Ok(match self {
            Self::EditFormat(format) => {
                let told = texts.iter().filter_map(|text| fence_told(text)).next_back();
                let fence = told.unwrap_or_else(|| Fence::for_content(edit.before));
                let text = edit::write(format, edit.file, edit.before, edit.after, &fence)?;
                Way::text(format!("{}\n\n{text}", opening(edit.file)))
            }
            Self::Fenced { diffs } => {
                let text = fenced::write(edit, diffs && edit.turn > 1)?;
                Way::text(format!("{}\n\n{text}", opening(edit.file)))
            }
            Self::ApplyPatch => patch::way(edit),
            Self::Editor => editor::way(edit, texts),
        })
    }
}

/// The fence that Aider's instructions name, in any of its formats.
fn fence_told(text: &str) -> Option<Fence> {
    let after = |mark: &str| text.rfind(mark).map(|at| &text[at + mark.len()..]);
    let rest = after("path/to/filename.js\n").or_else(|| after("The opening fence and code language, eg: "))?;
    // The longest opening that fits: four backticks start like three.
    let fences = Fence::all().into_iter().filter(|fence| rest.starts_with(&fence.open));
    fences.max_by_key(|fence| fence.open.len())
}
