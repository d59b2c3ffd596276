//! From a resolved model to the thing that answers a trial's calls.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use reqwest::{Client, Url};

use super::catalogue::{Backend, ResolvedModel, is_loopback};
use super::critic::ScriptedCritic;
use super::dialect::Dialect;
use super::limiter::Limiter;
use super::model::Model;
use super::nop::Nop;
use super::oracle::{Oracle, OracleError, OracleScript};
use super::script::{Script, ScriptError, ScriptedModel};
use super::upstream::{self, Settings, UpstreamConfig, UpstreamError, UpstreamModel};

/// A model cannot be set up for a trial.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    #[error(transparent)]
    Oracle(#[from] OracleError),
    #[error("the task has no reference solution that the oracle could write")]
    NoReference,
    #[error(transparent)]
    Script(#[from] ScriptError),
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
}

/// Everything that trials share on the way to their models: connections, and one limiter per provider.
pub struct Backends {
    config: UpstreamConfig,
    shared: Mutex<Shared>,
}

#[derive(Default)]
struct Shared {
    /// With and without proxies; built when first needed, for it takes time to read the system's certificates.
    clients: HashMap<bool, Client>,
    /// Origin → limiter.
    limiters: HashMap<String, Arc<Limiter>>,
}

impl Backends {
    pub fn new(config: UpstreamConfig) -> Self {
        Self {
            config,
            shared: Mutex::default(),
        }
    }

    /// The model for one trial. `oracle` is read only by the oracles, `settings` only by providers.
    pub fn model(
        &self,
        model: &ResolvedModel,
        settings: Settings,
        oracle: Option<OracleScript>,
    ) -> Result<Arc<dyn Model>, BackendError> {
        Ok(match &model.backend {
            Backend::Oracle { .. } => Arc::new(Oracle::new(oracle.ok_or(BackendError::NoReference)?)?),
            Backend::Nop => Arc::new(Nop),
            Backend::Script(path) => Arc::new(ScriptedModel::new(Script::load(path)?)),
            Backend::Upstream { api_base, key } => {
                let (client, limiter) = self.way_to(api_base)?;
                // Whatever its agent was told, the model is never called without its settings.
                let says_all = |dialect: &Dialect| settings.unsaid(*dialect).is_none();
                let dialects = model.dialects().iter().copied().filter(says_all).collect();
                Arc::new(UpstreamModel::new(
                    client,
                    api_base,
                    dialects,
                    key.clone(),
                    settings,
                    limiter,
                    self.config,
                ))
            }
        })
    }

    /// The model for one trial's critic. The scripted ones that write edits or nothing have a stand-in.
    pub fn critic(&self, model: &ResolvedModel, settings: Settings) -> Result<Arc<dyn Model>, BackendError> {
        match &model.backend {
            Backend::Oracle { .. } | Backend::Nop => Ok(Arc::new(ScriptedCritic)),
            Backend::Script(_) | Backend::Upstream { .. } => self.model(model, settings, None),
        }
    }

    fn way_to(&self, api_base: &Url) -> Result<(Client, Arc<Limiter>), UpstreamError> {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        // A proxy of the environment cannot reach this machine's own servers.
        let direct = is_loopback(api_base);
        let client = match shared.clients.get(&direct) {
            Some(client) => client.clone(),
            None => {
                let client = upstream::client(&self.config, direct)?;
                shared.clients.insert(direct, client.clone());
                client
            }
        };
        let origin = api_base.origin().ascii_serialization();
        let limiter = shared
            .limiters
            .entry(origin)
            .or_insert_with(|| Arc::new(Limiter::new(self.config.at_once)));
        Ok((client, limiter.clone()))
    }
}
