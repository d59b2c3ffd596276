//! `resume`: finishes what is missing.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use super::budgets::amount;
use super::live::{Job, Start};
use super::stored::stored_request;
use super::{Failed, Result};
use crate::budget::Budget;
use crate::console::Console;
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
        let request = stored_request(&self.run)?;
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
