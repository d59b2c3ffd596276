//! From what was asked to cells that can run: recipe and model catalogue applied, every option checked.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::budget::Budget;
use crate::conversation::Conversation;
use crate::gateway::RouteSpec;
use crate::gateway::backend::Backends;
use crate::gateway::catalogue::{Backend, ModelCatalogue, ModelError, ResolvedModel};
use crate::gateway::model::Tokens;
use crate::gateway::script::{Script, ScriptError};
use crate::gateway::upstream::Settings;
use crate::plan::{Cell, CellRequest, Endpoints, Limits, Options, TrialKey};
use crate::recipe::{Dialect, Recipe, Recipes};
use crate::scaffold::Scaffold;
use crate::task::Task;

use super::replay::{AGENT, Source};
use super::request::Request;
use super::trial::CellRuntime;
use super::{critic, oracle};

/// The request cannot be carried out.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error(transparent)]
    Script(#[from] ScriptError),
    #[error("{0}")]
    Option(String),
    #[error(
        "the price of `{model}` is not known, so a budget in US dollars cannot be kept: give it in tokens (--trial-budget-tokens, --run-budget-tokens), or add the model with its price to scaffolds/models.yaml and build again"
    )]
    NoPrice { model: String },
    #[error(
        "{scaffold} cannot speak to `{model}`: the agent speaks {speaks}, and the model is served in {served}; choose another model or another agent"
    )]
    NoDialect {
        scaffold: String,
        model: String,
        speaks: String,
        served: String,
    },
    #[error(
        "{scaffold} would speak {dialect} to `{model}`, which has no words for the model's {setting}, so that it would be run without: {remedy}"
    )]
    Unsaid {
        scaffold: String,
        model: String,
        dialect: Dialect,
        setting: &'static str,
        remedy: &'static str,
    },
    #[error("model `{model}` answers from reference solutions, and task `{task}` has none")]
    NoReferences { model: String, task: String },
}

/// A cell and the model behind it.
#[derive(Debug, Clone)]
pub struct ResolvedCell {
    pub cell: Cell,
    pub model: ResolvedModel,
    /// The critic that the cell names; its own model where it names none.
    pub critic: Option<ResolvedModel>,
}

impl ResolvedCell {
    /// What the gateway sets in the cell's requests.
    pub(super) fn settings(&self) -> Result<Settings, ModelError> {
        let Options {
            reasoning_effort,
            thinking_tokens,
            ..
        } = &self.cell.options;
        self.model.settings(reasoning_effort.as_deref(), *thinking_tokens)
    }

    /// Every model that may be called for it.
    pub fn models(&self) -> impl Iterator<Item = &ResolvedModel> {
        std::iter::once(&self.model).chain(&self.critic)
    }
}

/// Where the keys of providers come from, by the names of their variables.
pub type Keys<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A key for what calls nobody.
pub fn no_call(_variable: &str) -> Option<String> {
    Some("unused".to_owned())
}

/// The cells of a request, each once: every scaffold with every model in every edit format.
///
/// # Errors
/// A model is unknown or cannot be called, or an option cannot be had.
pub fn cells(request: &Request, recipes: &Recipes, keys: Keys<'_>) -> Result<Vec<ResolvedCell>, ResolveError> {
    let mut cells: Vec<ResolvedCell> = Vec::new();
    for recipe in recipes.iter() {
        for asked in request.cells_of(&recipe.source.name) {
            let resolved = cell_with(&asked, recipe, request, keys)?;
            if cells.iter().all(|known| known.cell != resolved.cell) {
                cells.push(resolved);
            }
        }
    }
    Ok(cells)
}

/// A cell of `recipe`'s scaffold. Of the request only what is the same for all cells is used: limits, endpoint.
///
/// # Errors
/// The model is unknown or cannot be called, or an option cannot be had.
pub fn cell(asked: &CellRequest, recipe: &Recipe, request: &Request) -> Result<ResolvedCell, ResolveError> {
    cell_with(asked, recipe, request, &crate::keys::get)
}

/// The same with another source of keys.
///
/// # Errors
/// As of [`cell`].
pub fn cell_with(
    asked: &CellRequest,
    recipe: &Recipe,
    request: &Request,
    keys: Keys<'_>,
) -> Result<ResolvedCell, ResolveError> {
    let default_format = recipe.source.supports.default_edit_format;
    let dialects = dialects(&asked.options.dialects)?;
    let options = Options {
        edit_format: asked.options.edit_format.or(default_format),
        dialects: dialects.iter().map(|dialect| dialect.name().to_owned()).collect(),
        critic: asked.options.critic.as_deref().map(absolute).transpose()?,
        ..asked.options.clone()
    };
    if let Some(refusal) = recipe.refuses(&options) {
        return Err(ResolveError::Option(refusal));
    }
    let model = absolute(&asked.model)?;
    let cell = Cell {
        scaffold: recipe.source.name.clone(),
        version: recipe.source.version.clone(),
        recipe: recipe.own.as_ref().map(|own| own.digest.clone()),
        scripts: scripts(&model, &options),
        model,
        options,
        limits: limits(request, &recipe.source.limits),
        replay: None,
    };
    let resolved = resolve_cell(cell, &request.api_base, keys)?;
    dialect(recipe, &resolved)?;
    Ok(resolved)
}

/// A script's path is made absolute: the run may be resumed from another folder.
///
/// # Errors
/// The path cannot be had, or is not UTF-8.
pub fn absolute(model: &str) -> Result<String, ResolveError> {
    let Some(path) = model.strip_prefix("script:") else {
        return Ok(model.to_owned());
    };
    let unusable = |why: String| ResolveError::Option(format!("the script {path} cannot be used: {why}"));
    let path = std::path::absolute(path).map_err(|error| unusable(error.to_string()))?;
    let path = path.to_str().ok_or_else(|| unusable("its path is not UTF-8".into()))?;
    Ok(format!("script:{path}"))
}

/// What tells the scripts of a cell from others at the same places; `None` where it has none. One that cannot be read is told of by
/// [`check_models`].
pub fn scripts(model: &str, options: &Options) -> Option<String> {
    let models = std::iter::once(model).chain(options.critic.as_deref());
    let paths: Vec<&str> = models.filter_map(|model| model.strip_prefix("script:")).collect();
    let mut digest = Sha256::new();
    for path in &paths {
        digest.update(Sha256::digest(std::fs::read(path).unwrap_or_default()));
    }
    (!paths.is_empty()).then(|| hex::encode(digest.finalize()))
}

/// A cell that is asked for, with its model.
///
/// # Errors
/// As [`cells`].
pub fn resolve_cell(cell: Cell, endpoints: &Endpoints, keys: Keys<'_>) -> Result<ResolvedCell, ResolveError> {
    let thinking_tokens = cell.options.thinking_tokens;
    let resolved = stored_cell(cell, endpoints, keys)?;
    resolved.model.check_thinking(thinking_tokens)?;
    Ok(resolved)
}

/// A cell of a run's lock, with its model. A budget for thinking that was accepted when the run was started stays so.
///
/// # Errors
/// As [`cells`].
pub fn stored_cell(cell: Cell, endpoints: &Endpoints, keys: Keys<'_>) -> Result<ResolvedCell, ResolveError> {
    let keys = match cell.is_only_replayed() {
        // Nobody is called, so nobody needs a key: the agent is told of the model what it was told before.
        true => &no_call,
        false => keys,
    };
    let catalogue = ModelCatalogue::built_in()?;
    let model = catalogue.resolve_at(&cell.model, endpoints, keys)?;
    let model = model.said_to_speak(&dialects(&cell.options.dialects)?)?;
    let critic = critic::named(&cell, &catalogue, endpoints, keys)?;
    let resolved = ResolvedCell { cell, model, critic };
    resolved.settings()?;
    Ok(resolved)
}

fn limits(request: &Request, recipe: &Limits) -> Limits {
    Limits {
        turn_seconds: request.turn_limit.unwrap_or(recipe.turn_seconds),
        session_seconds: request.session_limit.unwrap_or(recipe.session_seconds),
        quiet_seconds: request.quiet_limit.unwrap_or(recipe.quiet_seconds),
        trial_seconds: request.trial_limit.or(recipe.trial_seconds),
        agent_turn_seconds: request.agent_turn_limit.or(recipe.agent_turn_seconds),
        agent_session_seconds: request.agent_session_limit.or(recipe.agent_session_seconds),
        agent_trial_seconds: request.agent_trial_limit.or(recipe.agent_trial_seconds),
        ..*recipe
    }
}

/// Refuses what a scripted model could not do: an oracle without reference solutions, a script that cannot be read.
///
/// # Errors
/// The first cell that could not answer.
pub fn check_models(cells: &[ResolvedCell], tasks: &[Task]) -> Result<(), ResolveError> {
    for cell in cells.iter().filter(|cell| !cell.cell.is_only_replayed()) {
        match &cell.model.backend {
            Backend::Oracle { .. } => {
                if let Some(task) = tasks.iter().find(|task| task.references.is_none()) {
                    let (model, task) = (cell.cell.model.clone(), task.id.clone());
                    return Err(ResolveError::NoReferences { model, task });
                }
            }
            Backend::Script(path) => drop(Script::load(path)?),
            Backend::Nop | Backend::Upstream { .. } => {}
        }
        if let Some(Backend::Script(path)) = cell.critic.as_ref().map(|critic| &critic.backend) {
            drop(Script::load(path)?);
        }
    }
    Ok(())
}

/// Refuses a budget that cannot be kept: in dollars, for a model whose price is not known.
///
/// # Errors
/// The first cell whose price is not known.
pub fn check_budgets(cells: &[ResolvedCell], budgets: &[Budget]) -> Result<(), ResolveError> {
    if budgets.iter().all(|budget| budget.usd.is_none()) {
        return Ok(());
    }
    let mut models = cells.iter().flat_map(ResolvedCell::models);
    match models.find(|model| model.pricing.cost(&Tokens::default()).is_none()) {
        Some(model) => Err(ResolveError::NoPrice {
            model: model.name.clone(),
        }),
        None => Ok(()),
    }
}

/// A cell with its agent at hand.
///
/// # Errors
/// The model's settings cannot be had.
pub fn runtime(
    resolved: ResolvedCell,
    recipe: &Recipe,
    scaffold: Arc<dyn Scaffold>,
    backends: Arc<Backends>,
    source: Option<Arc<Source>>,
) -> Result<CellRuntime, ResolveError> {
    let dialect = dialect(recipe, &resolved)?;
    let settings = resolved.settings()?;
    // Whether there can be one is checked where the interaction needs it.
    let critic = critic::runtime(&resolved, backends.clone(), source.clone()).ok();
    let ResolvedCell { cell, model, .. } = resolved;
    let agent_model = critic::agent_model(&cell, &model, dialect);
    let voice = oracle::voice(recipe.source.oracle, &cell.options);
    let replay = cell.replay.clone().zip(source);
    let only_replayed = cell.is_only_replayed();
    let backend = move |key: &TrialKey, task: &Task, conversation: &Conversation| {
        let mut script = oracle::script(&model, task, conversation, voice);
        let live = |script| backends.model(&model, settings.clone(), script);
        let answers = match &replay {
            None => live(script).map_err(|error| error.to_string())?,
            Some((replay, source)) => {
                let recorded = source.trial(replay, key);
                let then = if only_replayed {
                    None
                } else {
                    if let (Some(script), Some(until)) = (&mut script, replay.until) {
                        source.bring_to(script, &recorded, until)?;
                    }
                    Some(live(script).map_err(|error| error.to_string())?)
                };
                source.model(replay, &recorded, AGENT, then)?
            }
        };
        Ok(RouteSpec {
            model: answers,
            wire_model: model.wire_model.clone(),
            guard: None,
            system: conversation.system.clone(),
            pricing: model.pricing,
            budget: critic::budget(&model),
            canaries: Arc::default(),
        })
    };
    Ok(CellRuntime {
        manner: recipe.manner(&cell.options),
        cell,
        scaffold,
        has_agent: recipe.source.drive.has_agent(),
        model: agent_model,
        litter: recipe.source.litter.clone(),
        signs: recipe.signs.clone(),
        backend: Box::new(backend),
        critic,
    })
}

/// The dialects of these names, each once and always in the same order: what a user says twice, or the other way round, is no
/// other cell.
///
/// # Errors
/// A name that no dialect has.
fn dialects(names: &[String]) -> Result<Vec<Dialect>, ResolveError> {
    let is_known = |name: &&String| Dialect::ALL.iter().any(|dialect| dialect.name() == *name);
    if let Some(name) = names.iter().find(|name| !is_known(name)) {
        return Err(ResolveError::Option(format!("unknown dialect `{name}`")));
    }
    let named = |dialect: &Dialect| names.iter().any(|name| name == dialect.name());
    Ok(Dialect::ALL.into_iter().filter(named).collect())
}

/// What an agent and its model have in common.
///
/// # Errors
/// Nothing, or nothing in which the model's settings can be said.
pub fn dialect(recipe: &Recipe, resolved: &ResolvedCell) -> Result<Dialect, ResolveError> {
    let (speaks, model, settings) = (&recipe.source.speaks, &resolved.model, resolved.settings()?);
    let dialect = model.common(speaks, &settings).ok_or_else(|| {
        let names = |dialects: &[Dialect]| {
            dialects
                .iter()
                .map(|dialect| dialect.name())
                .collect::<Vec<_>>()
                .join(" and ")
        };
        ResolveError::NoDialect {
            scaffold: recipe.source.name.clone(),
            model: model.name.clone(),
            speaks: names(speaks),
            served: names(model.dialects()),
        }
    })?;
    let Some(setting) = settings.unsaid(dialect) else {
        return Ok(dialect);
    };
    let may_be_off = settings.thinking_tokens.is_some() && recipe.source.supports.thinking_tokens;
    Err(ResolveError::Unsaid {
        scaffold: recipe.source.name.clone(),
        model: model.name.clone(),
        dialect,
        setting,
        remedy: match (speaks.contains(&Dialect::OpenaiChat), may_be_off) {
            (true, false) => "its server must speak chat completions (--dialect openai-chat)",
            (true, true) => {
                "its server must speak chat completions (--dialect openai-chat), or run it without on purpose (--thinking-tokens 0)"
            }
            (false, false) => "choose another model or another agent",
            (false, true) => "choose another agent, or run it without on purpose (--thinking-tokens 0)",
        },
    })
}
