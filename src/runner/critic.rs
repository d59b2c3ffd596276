//! The critic of a cell, and what whoever calls a model is told of it.

use std::sync::Arc;

use super::replay::{CRITIC, Source};
use super::resolve::{Keys, ResolveError, ResolvedCell};
use super::trial::{Backend, CriticRuntime};
use crate::conversation::Conversation;
use crate::gateway::backend::Backends;
use crate::gateway::catalogue::{ModelCatalogue, ResolvedModel};
use crate::gateway::upstream::Settings;
use crate::gateway::{Pricing, RouteBudget, RouteSpec};
use crate::plan::{Cell, Endpoints, TrialKey};
use crate::recipe::Dialect;
use crate::scaffold::AgentModel;
use crate::task::Task;

/// What a critic can be spoken to in, best first.
const SPOKEN: [Dialect; 3] = Dialect::ALL;

/// The critic that a cell names, with its model's own settings; nothing where it names none: then it is the cell's model.
///
/// # Errors
/// It is unknown or cannot be called.
pub(super) fn named(
    cell: &Cell,
    catalogue: &ModelCatalogue,
    endpoints: &Endpoints,
    keys: Keys<'_>,
) -> Result<Option<ResolvedModel>, ResolveError> {
    let Some(name) = &cell.options.critic else {
        return Ok(None);
    };
    Ok(Some(catalogue.resolve_at(name, endpoints, keys)?))
}

/// What is needed to call the critic of a cell.
///
/// # Errors
/// Its settings cannot be had.
pub(super) fn runtime(
    resolved: &ResolvedCell,
    backends: Arc<Backends>,
    source: Option<Arc<Source>>,
) -> Result<CriticRuntime, ResolveError> {
    let cell = resolved.cell.clone();
    let (model, settings) = match &resolved.critic {
        Some(critic) => (critic.clone(), critic.settings(None, None)?),
        None => (resolved.model.clone(), resolved.settings()?),
    };
    let dialect = spoken(&model, &settings)?;
    let agent_model = agent_model(&cell, &model, dialect);
    let replay = cell.replay.clone().zip(source);
    let backend = move |key: &TrialKey, _: &Task, _: &Conversation| {
        let live = || {
            let live = backends.critic(&model, settings.clone());
            live.map_err(|error| error.to_string())
        };
        let answers = match &replay {
            None => live()?,
            Some((replay, source)) => {
                let then = (!cell.is_only_replayed()).then(live).transpose()?;
                source.model(replay, &source.trial(replay, key), CRITIC, then)?
            }
        };
        Ok(RouteSpec {
            model: answers,
            wire_model: model.wire_model.clone(),
            guard: None,
            pricing: model.pricing,
            budget: budget(&model),
            canaries: Arc::default(),
            // A critic has instructions of its own: the policy is said to the agent.
            system: None,
        })
    };
    let backend: Backend = Box::new(backend);
    Ok(CriticRuntime {
        model: agent_model,
        backend,
    })
}

/// Whether a cell's critic can be called.
///
/// # Errors
/// There is nothing in which its settings can be said.
pub fn check(resolved: &ResolvedCell) -> Result<(), ResolveError> {
    match &resolved.critic {
        Some(critic) => spoken(critic, &critic.settings(None, None)?)?,
        None => spoken(&resolved.model, &resolved.settings()?)?,
    };
    Ok(())
}

fn spoken(model: &ResolvedModel, settings: &Settings) -> Result<Dialect, ResolveError> {
    let common = model.common(&SPOKEN, settings);
    let said = common.filter(|dialect| settings.unsaid(*dialect).is_none());
    said.ok_or_else(|| {
        ResolveError::Option(format!(
            "`{}` cannot be the critic: its server speaks nothing in which its settings can be said; name another with --critic",
            model.name
        ))
    })
}

/// What bounds calls of a model, before there are purses.
pub(super) fn budget(model: &ResolvedModel) -> RouteBudget {
    RouteBudget {
        purses: Vec::new(),
        max_input: model.max_input_tokens.into(),
        max_output: model.known_max_output().map(u64::from),
    }
}

/// What whoever calls a model must know of it.
pub(super) fn agent_model(cell: &Cell, model: &ResolvedModel, dialect: Dialect) -> AgentModel {
    let Pricing { input, output, .. } = model.pricing;
    AgentModel {
        dialect,
        name: model.wire_model.clone(),
        max_input_tokens: model.max_input_tokens,
        max_output_tokens: model.max_output_tokens,
        input_price: input.map(|price| price / 1e6),
        output_price: output.map(|price| price / 1e6),
        temperature: model.temperature,
        accepts_reasoning_effort: model.effort.is_some() || cell.options.reasoning_effort.is_some(),
    }
}
