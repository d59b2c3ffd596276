//! Enters a prompt so that it arrives byte for byte.

use rand::RngExt;

use crate::recipe::Message;

/// A prompt cannot reach the model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the prompt is empty")]
    Empty,
    #[error("the prompt contains a NUL character, which no terminal program reads")]
    Nul,
    #[error("the prompt contains the guard text that is taken out of requests")]
    Guard,
    #[error("the prompt is a command of the agent's own, which its model never sees")]
    Command,
}

/// Whether a prompt can be entered.
pub fn carries(prompt: &str) -> Result<(), Refusal> {
    match prompt {
        "" => Err(Refusal::Empty),
        _ if prompt.contains('\0') => Err(Refusal::Nul),
        _ => Ok(()),
    }
}

/// The bytes that enter a prompt. A last line without an end gains one: messages are made of lines.
pub fn framed(form: &Message, prompt: &str, guard: &str) -> Result<String, Refusal> {
    carries(prompt)?;
    if !guard.is_empty() && prompt.contains(guard) {
        return Err(Refusal::Guard);
    }
    let mut rng = rand::rng();
    let tag = loop {
        let tag: String = (0..12).map(|_| char::from(b'A' + rng.random_range(0..26u8))).collect();
        if !prompt.contains(&tag) {
            break tag;
        }
    };
    let guard = if prompt.starts_with(|first| form.commands.contains(first)) {
        guard
    } else {
        ""
    };
    let end = if prompt.ends_with('\n') { "" } else { "\n" };
    let mut text = format!("{guard}{prompt}{end}");
    if let Some(swallowed) = form.swallowed {
        text = text.replace(&format!("{swallowed}\n"), &format!("{swallowed}{swallowed}\n"));
    }
    Ok(format!(
        "{}{text}{}",
        form.open.replace("TAG", &tag),
        form.close.replace("TAG", &tag)
    ))
}
