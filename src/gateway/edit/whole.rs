//! Whole files between fences.

use super::{EditError, Fence, python_lines};
use crate::plan::EditFormat;

pub(super) fn write(file: &str, after: &str, fence: &Fence) -> Result<String, EditError> {
    if let Some((index, line)) = python_lines(after).enumerate().find(|(_, line)| fence.starts(line)) {
        let text = line.trim_end().to_owned();
        return Err(EditError::Delimiter {
            format: EditFormat::Whole,
            line: index + 1,
            text,
        });
    }
    let Fence { open, close } = fence;
    Ok(format!("{file}\n{open}\n{after}{close}\n"))
}
