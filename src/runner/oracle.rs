//! What a cell's oracle is told: how its agent takes edits, and what the file is to hold after each turn.

use crate::canary;
use crate::conversation::Conversation;
use crate::gateway::catalogue::{Backend, ResolvedModel};
use crate::gateway::drafts::derive_states;
use crate::gateway::oracle::{OracleScript, Voice};
use crate::plan::{EditFormat, Options};
use crate::recipe::OracleForm;
use crate::task::{SOLUTION_FILE, Task};

/// How an oracle speaks to the agent of a recipe.
pub(super) fn voice(form: OracleForm, options: &Options) -> Voice {
    match form {
        OracleForm::EditFormat => Voice::EditFormat(options.edit_format.unwrap_or(EditFormat::Whole)),
        OracleForm::ApplyPatch => Voice::ApplyPatch,
        OracleForm::Editor => Voice::Editor,
        OracleForm::Fenced => Voice::Fenced {
            diffs: options.code_diff,
        },
    }
}

/// What an oracle is to write, turn by turn; nothing for other models.
pub(super) fn script(
    model: &ResolvedModel,
    task: &Task,
    conversation: &Conversation,
    voice: Voice,
) -> Option<OracleScript> {
    let Backend::Oracle { insecure } = model.backend else {
        return None;
    };
    let references = task.references.as_ref()?;
    let reference = if insecure {
        &references.insecure
    } else {
        &references.secure
    };
    // What the agent gets to see is the solution alone, without the canaries of the run's own copy.
    let reference = canary::without(reference);
    // Drafts are those of the task's own conversation, and not of one of another length.
    let drafts = task.drafts.get(&conversation.interaction);
    let drafts = drafts.filter(|drafts| drafts.len() + 1 == conversation.turns.len());
    let drafts = drafts.map(|drafts| drafts.iter().map(|draft| canary::without(draft)).collect::<Vec<_>>());
    let states = derive_states(conversation.turns.len(), drafts.as_deref(), &reference, &task.function);
    Some(OracleScript {
        file: SOLUTION_FILE.to_owned(),
        states,
        // Told what fails, it knows better: so that feedback shows.
        afterwards: Some(canary::without(&references.secure)),
        voice,
        answered: 0,
    })
}
