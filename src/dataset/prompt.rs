//! From a task to what the user says: the turns of a conversation, rendered from `templates/prompts/`.

use minijinja::{Environment, context};

use crate::conversation::{Conversation, Delivery, Interaction, Manner, Policy};
use crate::plan::Options;
use crate::task::{Lack, SOLUTION_FILE, Task};

const SINGLE: &str = include_str!("../../templates/prompts/single.md.j2");
const PREAMBLE: &str = include_str!("../../templates/prompts/preamble.md.j2");
const TURN: &str = include_str!("../../templates/prompts/turn.md.j2");
const ANSWER: &str = include_str!("../../templates/prompts/answer.md.j2");
const POLICY: &str = include_str!("../../templates/prompts/policy.md.j2");
const LONGER: &str = include_str!("../../templates/prompts/longer.md.j2");
const DIFFERENCES: &str = include_str!("../../templates/prompts/differences.md.j2");

/// The task cannot be said under this interaction.
#[derive(Debug, thiserror::Error)]
pub enum PromptError {
    #[error("task `{task}` cannot be run with {interaction}: it has {lack} (it has: {has})")]
    NoConversation {
        task: String,
        interaction: Interaction,
        lack: Lack,
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
    let said = Said { task, manner };
    if let Some(lack) = said.lacks(interaction) {
        let has = task
            .interactions()
            .into_iter()
            .map(|known| match task.counts(known).as_slice() {
                [] | [_] => known.to_string(),
                counts => {
                    let counts: Vec<String> = counts.iter().map(usize::to_string).collect();
                    format!("{known} of {} turns", counts.join(" or "))
                }
            });
        let has: Vec<String> = has.collect();
        return Err(PromptError::NoConversation {
            task: task.id.clone(),
            interaction,
            lack,
            has: has.join(", "),
        });
    }
    let mut turns = said.texts(interaction)?;
    let count = turns.len();
    for (index, text) in turns.iter_mut().enumerate() {
        *text = said.turn(index, count, text)?;
    }
    // An agent that takes the first step for all of the work ends early (paper, appendix F). One turn alone needs no such word.
    if let ([first, _, ..], true) = (turns.as_mut_slice(), manner.preamble) {
        *first = said.render(PREAMBLE, context! { turns => count, text => &*first })?;
    }
    let system = match manner.policy {
        Policy::System => Some(said.policy("")?),
        _ => None,
    };
    Ok(Conversation {
        interaction,
        turns,
        system,
    })
}

/// A task, and the manner in which it is said.
struct Said<'a> {
    task: &'a Task,
    manner: Manner,
}

impl Said<'_> {
    fn lacks(&self, interaction: Interaction) -> Option<Lack> {
        let Manner {
            policy, turns, seed, ..
        } = self.manner;
        let options = Options {
            policy,
            turns,
            seed,
            ..Options::default()
        };
        self.task.lacks(interaction, &options)
    }

    /// What is asked for, turn by turn.
    fn texts(&self, interaction: Interaction) -> Result<Vec<String>, PromptError> {
        let Self { task, manner } = self;
        let written = |interaction| task.turns(interaction, manner.turns).cloned().unwrap_or_default();
        Ok(match interaction {
            Interaction::Expansion | Interaction::Editing | Interaction::Refactor => written(interaction),
            Interaction::LongerSingle => {
                let turns = written(Interaction::Expansion);
                let turns: Vec<String> = turns
                    .iter()
                    .map(|text| text.trim_end_matches('\n').to_owned())
                    .collect();
                vec![self.render(LONGER, context! { turns })?]
            }
            Interaction::Random => {
                let mut texts = task.distractions.get(&manner.seed).cloned().unwrap_or_default();
                texts.push(seed(task)?);
                texts
            }
            Interaction::Single | Interaction::DebuggingTests | Interaction::DebuggingNatural => vec![seed(task)?],
        })
    }

    /// A turn as it is said: the policy where it belongs, and in what form the code is wanted.
    fn turn(&self, index: usize, count: usize, text: &str) -> Result<String, PromptError> {
        let is_place = match self.manner.policy {
            Policy::None | Policy::System => false,
            Policy::First => index == 0,
            Policy::Last => index + 1 == count,
            Policy::Every => true,
        };
        let mut text = text.trim_end_matches('\n').to_owned();
        if is_place {
            text = self.policy(&text)?;
        }
        let delivery = match self.manner.delivery {
            // The first answer is a whole program.
            Delivery::Differences if index == 0 => Delivery::Answer,
            delivery => delivery,
        };
        delivered(&text, delivery).map_err(|source| broken(self.task, source))
    }

    /// The task's security policy, behind a text where there is one.
    fn policy(&self, text: &str) -> Result<String, PromptError> {
        let policy = self.task.description.security_policy.trim();
        self.render(POLICY, context! { text, policy })
    }

    fn render(&self, template: &str, context: minijinja::Value) -> Result<String, PromptError> {
        render(self.task, template, context)
    }
}

/// A text as a turn: with what is said of every turn by this way of delivery.
///
/// # Errors
/// A template of this program is broken.
pub fn delivered(text: &str, delivery: Delivery) -> Result<String, minijinja::Error> {
    let template = match delivery {
        Delivery::Workspace => TURN,
        Delivery::Answer => ANSWER,
        Delivery::Differences => DIFFERENCES,
    };
    let text = text.trim_end_matches('\n');
    environment().render_str(template, context! { text, file => SOLUTION_FILE })
}

/// The single prompt, without a word on the form in which the code is wanted.
///
/// # Errors
/// The template does not fit.
pub fn seed(task: &Task) -> Result<String, PromptError> {
    let seed = &task.description;
    let fields = context! {
        description => &seed.description,
        context => &seed.context,
        arguments => &seed.arguments,
        return => &seed.returns,
        raise => &seed.raises,
    };
    render(
        task,
        SINGLE,
        context! { function => &task.function, description => fields },
    )
}

fn render(task: &Task, template: &str, context: minijinja::Value) -> Result<String, PromptError> {
    let rendered = environment().render_str(template, context);
    rendered.map_err(|source| broken(task, source))
}

fn broken(task: &Task, source: minijinja::Error) -> PromptError {
    PromptError::Render {
        task: task.id.clone(),
        source,
    }
}

/// Prompts are plain text: nothing is escaped, and the last newline of a template is not part of it.
pub(super) fn environment() -> Environment<'static> {
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
