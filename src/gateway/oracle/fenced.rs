//! Edits as a model writes them that talks to no agent.

use similar::TextDiff;

use super::voice::Edit;
use crate::gateway::edit::EditError;

/// Lines of context around a change.
const CONTEXT: usize = 3;

/// The whole file, or its differences.
pub(super) fn write(edit: &Edit, diff: bool) -> Result<String, EditError> {
    let Edit {
        file, before, after, ..
    } = edit;
    if after.is_empty() {
        return Err(EditError::Empty);
    }
    if diff {
        let diff = TextDiff::from_lines(*before, *after);
        let diff = diff
            .unified_diff()
            .context_radius(CONTEXT)
            .header(file, file)
            .to_string();
        return Ok(format!("```diff\n{diff}```\n"));
    }
    // Code is taken up to the next line that begins with a fence.
    match after.lines().skip(1).position(|line| line.starts_with("```")) {
        None => Ok(format!("```python\n{after}```\n")),
        Some(index) => Err(EditError::Fence { line: index + 2 }),
    }
}
