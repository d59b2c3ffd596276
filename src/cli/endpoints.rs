//! `--api-base`: endpoints as they are typed.

use super::Failed;
use crate::gateway::catalogue::ModelCatalogue;
use crate::plan::{Endpoint, Endpoints};

/// The endpoints that were typed; `models` are those that may be called.
///
/// # Errors
/// They say two things of one model, or a name is nobody's.
pub fn of<'a>(typed: &[Endpoint], models: impl Iterator<Item = &'a str>) -> Result<Endpoints, Failed> {
    let endpoints = Endpoints::of(typed).map_err(|message| Failed::bad_input(anyhow::anyhow!(message)))?;
    let catalogue = ModelCatalogue::built_in().map_err(Failed::bad_input)?;
    match catalogue.nobodys(&endpoints, &models.collect::<Vec<_>>()) {
        None => Ok(endpoints),
        Some(name) => Err(Failed::bad_input(anyhow::anyhow!(
            "--api-base {name}=…: {}",
            catalogue.told_nobodys(name)
        ))),
    }
}
