//! From a task to what the user says: the turns of a conversation, rendered from `templates/prompts/`.

use minijinja::{Environment, context};

use crate::conversation::{Conversation, Delivery, Interaction};
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
    conversation_for(task, interaction, Delivery::Workspace)
}

/// The same, with the code asked for in another way.
///
/// # Errors
/// The task has no such conversation.
pub fn conversation_for(
    task: &Task,
    interaction: Interaction,
    delivery: Delivery,
) -> Result<Conversation, PromptError> {
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
        Interaction::Single => vec![
            environment()
                .render_str(SINGLE, context! { function => &task.function, description => fields })
                .map_err(render_error)?,
        ],
        _ => task
            .conversations
            .get(&interaction)
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
    let turns = texts
        .iter()
        .enumerate()
        .map(|(index, text)| {
            let template = match delivery {
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
    Ok(Conversation { interaction, turns })
}

/// The same conversation, its first turn opened by how the work will come: an agent that takes the first step for all of it
/// ends early (paper, appendix F). One turn alone needs no such word.
///
/// # Errors
/// The template does not render.
pub fn with_preamble(mut conversation: Conversation) -> Result<Conversation, minijinja::Error> {
    let turns = conversation.turns.len();
    if let [first, _, ..] = conversation.turns.as_mut_slice() {
        *first = environment().render_str(PREAMBLE, context! { turns => turns, text => &*first })?;
    }
    Ok(conversation)
}

/// Prompts are plain text: nothing is escaped, and the last newline of a template is not part of it.
fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment
}
