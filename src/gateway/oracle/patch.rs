//! Edits as calls of Codex's `shell` tool.
//!
//! A patch stands in the command line as it is, not in a here-document, whose end a line of the content could be. It adds
//! the whole file: Codex 0.39 writes over the one that is there, so that nothing has to be found in it, and a patch that is
//! applied twice (Codex asks again after a broken stream, when its calls have run already) does no harm.

use serde_json::json;

use super::shell;
use super::voice::{Edit, Way};
use crate::gateway::model::ToolCall;

/// Most bytes of a patch: it is one argument of a process, of which the kernel takes 128 KiB.
const MOST: usize = 100 << 10;

pub(super) fn way(edit: &Edit) -> Way {
    let commands = shell::write(edit.file, edit.after);
    let by_shell = commands.iter().map(|command| shell(&["bash", "-lc", command]));
    let by_shell: Vec<ToolCall> = by_shell.collect();
    match patch(edit.file, edit.after) {
        Some(patch) => Way::calls(edit, vec![shell(&["apply_patch", &patch])], by_shell),
        None => Way::calls(edit, by_shell, Vec::new()),
    }
}

fn shell(command: &[&str]) -> ToolCall {
    ToolCall {
        name: "shell".to_owned(),
        arguments: json!({"command": command}),
    }
}

/// The patch; `None` where it cannot say the content: its lines end in a line feed, the last one too.
fn patch(file: &str, content: &str) -> Option<String> {
    let ended = content.is_empty() || content.ends_with('\n');
    if !ended || content.contains("\r\n") || content.contains('\0') {
        return None;
    }
    let lines: String = content.split_inclusive('\n').map(|line| format!("+{line}")).collect();
    let patch = format!("*** Begin Patch\n*** Add File: {file}\n{lines}*** End Patch\n");
    (patch.len() <= MOST).then_some(patch)
}
