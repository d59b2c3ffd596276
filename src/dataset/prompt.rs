//! From a task to what the user says: the turns of a conversation, rendered from `templates/prompts/`.

use minijinja::{Environment, context};

use crate::conversation::{Conversation, Delivery, Interaction, Manner};
use crate::task::{SOLUTION_FILE, Task};

const SINGLE: &str = include_str!("../../templates/prompts/single.md.j2");
const PREAMBLE: &str = include_str!("../../templates/prompts/preamble.md.j2");
const TURN: &str = include_str!("../../templates/prompts/turn.md.j2");
const ANSWER: &str = include_str!("../../templates/prompts/answer.md.j2");
const DIFFERENCES: &str = include_str!("../../templates/prompts/differences.md.j2");

/// The task cannot be said under this interaction.
#[derive(Debug, thiserror::Error)]
pub enum PromptError {
    #[error("task `{task}` has no {interaction} conversation (it has: {has})")]
    NoConversation {
        task: String,
        interaction: Interaction,
        has: String,
    },
    #[error("cannot render a prompt of task `{task}`: {source}")]
    Render { task: String, source: minijinja::Error },
}

/// The turns of `task` under `interaction`, each as an agent's model must receive it.
///
/// # Errors
/// The task has no such conversation.
pub fn conversation(task: &Task, interaction: Interaction) -> Result<Conversation, PromptError> {
    conversation_for(task, interaction, Manner::default())
}

/// The same in the manner of a cell: exactly the texts that its trials say.
///
/// # Errors
/// The task has no such conversation.
pub fn conversation_for(task: &Task, interaction: Interaction, manner: Manner) -> Result<Conversation, PromptError> {
    let render_error = |source| PromptError::Render {
        task: task.id.clone(),
        source,
    };
    let seed = &task.description;
    let fields = context! {
        description => &seed.description,
        context => &seed.context,
        arguments => &seed.arguments,
        return => &seed.returns,
        raise => &seed.raises,
    };
    let texts = match interaction {
        Interaction::Single | Interaction::DebuggingTests | Interaction::DebuggingNatural => vec![
            environment()
                .render_str(SINGLE, context! { function => &task.function, description => fields })
                .map_err(render_error)?,
        ],
        _ => task
            .turns(interaction, manner.turns)
            .cloned()
            .ok_or_else(|| PromptError::NoConversation {
                task: task.id.clone(),
                interaction,
                has: task
                    .interactions()
                    .iter()
                    .map(|known| known.name())
                    .collect::<Vec<_>>()
                    .join(", "),
            })?,
    };
    let mut turns: Vec<String> = texts
        .iter()
        .enumerate()
        .map(|(index, text)| {
            let template = match manner.delivery {
                Delivery::Workspace => TURN,
                Delivery::Differences if index > 0 => DIFFERENCES,
                Delivery::Answer | Delivery::Differences => ANSWER,
            };
            environment()
                .render_str(
                    template,
                    context! { text => text.trim_end_matches('\n'), file => SOLUTION_FILE },
                )
                .map_err(render_error)
        })
        .collect::<Result<_, _>>()?;
    let count = turns.len();
    // An agent that takes the first step for all of the work ends early (paper, appendix F). One turn alone needs no such word.
    if let ([first, _, ..], true) = (turns.as_mut_slice(), manner.preamble) {
        *first = environment()
            .render_str(PREAMBLE, context! { turns => count, text => &*first })
            .map_err(render_error)?;
    }
    Ok(Conversation { interaction, turns })
}

/// Prompts are plain text: nothing is escaped, and the last newline of a template is not part of it.
fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_several_turns_tells_how_the_work_will_come_where_that_is_the_manner() {
        let task = serde_json::json!({
            "id": "one", "cwe": "CWE-1", "function": "f", "description": {"description": "d"},
            "tests": {"testcases": "testcases = {}"}, "conversations": {"editing": ["Write it.", "Change it."]},
        });
        let task: Task = serde_json::from_value(task).unwrap();
        let said = |interaction, preamble| {
            let manner = Manner {
                preamble,
                ..Manner::default()
            };
            conversation_for(&task, interaction, manner).unwrap().turns
        };
        let (plain, opened) = (said(Interaction::Editing, false), said(Interaction::Editing, true));
        assert!(
            opened[0].contains("2 steps") && opened[0].contains(&plain[0]),
            "{opened:?}"
        );
        assert_eq!(plain[1], opened[1]);
        assert_eq!(said(Interaction::Single, false), said(Interaction::Single, true));
    }
}
