//! Edits as calls of OpenHands' tools.
//!
//! The editor takes absolute paths only, will not create a file that exists, and replaces a text that occurs once; in an
//! empty file the empty text does. It reads every line end as a line feed. What it cannot say is written by a command.

use serde_json::json;

use super::shell;
use super::voice::{Edit, Way};
use crate::gateway::edit;
use crate::gateway::model::ToolCall;

pub(super) fn way(edit: &Edit, texts: &[&str]) -> Way {
    let folder = texts.iter().filter_map(|text| folder_told(text)).next_back();
    let path = match folder {
        Some(folder) => format!("{}/{}", folder.trim_end_matches('/'), edit.file),
        // The shell starts where the work is.
        None => edit.file.to_owned(),
    };
    let by_shell = shell::write(&path, edit.after).into_iter().map(|command| ToolCall {
        name: "execute_bash".to_owned(),
        arguments: json!({"command": command}),
    });
    let by_shell: Vec<ToolCall> = by_shell.collect();
    let plain = |text: &str| !text.contains(['\r', '\0']);
    if folder.is_none() || !plain(edit.before) || !plain(edit.after) {
        return Way::calls(edit, by_shell, Vec::new());
    }
    let calls = edit::replacements(edit.before, edit.after)
        .into_iter()
        .map(|(old, new)| ToolCall {
            name: "str_replace_editor".to_owned(),
            arguments: json!({"command": "str_replace", "path": path, "old_str": old, "new_str": new}),
        });
    Way::calls(edit, calls.collect(), by_shell)
}

/// The working directory that OpenHands tells its model of.
fn folder_told(text: &str) -> Option<&str> {
    const MARK: &str = "The current working directory is ";
    let rest = &text[text.rfind(MARK)? + MARK.len()..];
    let line = rest.lines().next().unwrap_or_default().trim();
    line.starts_with('/').then_some(line)
}
