//! `resume`: finishes what is missing.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use super::live::{Job, Start};
use super::run::amount;
use super::{Failed, Result};
use crate::budget::Budget;
use crate::console::Console;
use crate::runner::Request;
use crate::store::RunFolder;

/// Finish a run that was interrupted: after Ctrl-C, a crash or kill -9
///
/// Trials that have their outcome are not repeated.
#[derive(Debug, Args)]
pub struct Resume {
    /// The run's folder, such as jobs/2026-01-31__12-00-00
    run: PathBuf,
    /// Also run trials again that ended in an infrastructure failure
    #[arg(long)]
    retry_infrastructure: bool,
    /// Trials at once [default: as the run was started]
    #[arg(short = 'n', long, value_name = "N")]
    concurrent: Option<usize>,
    /// Most US dollars that the whole run may cost, what it has cost so far included [default: as the run was started]
    #[arg(long, value_name = "USD", value_parser = amount)]
    run_budget_usd: Option<f64>,
    /// Most tokens that the whole run may use, those used so far included [default: as the run was started]
    #[arg(long, value_name = "TOKENS", value_parser = clap::value_parser!(u64).range(1..))]
    run_budget_tokens: Option<u64>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

impl Resume {
    pub fn carry_out(self, console: &Arc<Console>) -> Result {
        let folder = RunFolder::open_exclusive(&self.run).map_err(Failed::bad_input)?;
        let path = self.run.join("run.yaml");
        let text = std::fs::read_to_string(&path)
            .map_err(|error| Failed::bad_input(anyhow::anyhow!("cannot read {}: {error}", path.display())))?;
        let request: Request = crate::yaml::read(&path.display().to_string(), &text).map_err(Failed::bad_input)?;
        let concurrent = self.concurrent.or(request.concurrent);
        let start = Start::Again {
            folder: Box::new(folder),
            retry_infrastructure: self.retry_infrastructure,
            run_budget: Budget {
                usd: self.run_budget_usd,
                tokens: self.run_budget_tokens,
            },
        };
        Job {
            request,
            start,
            concurrent,
            json: self.json,
            console: console.clone(),
        }
        .carry_out()
    }
}
