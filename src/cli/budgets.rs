//! The options that bound what a run may use of its models.

use clap::Args;

use crate::budget::Budget;

/// Budgets of each trial and of the run.
#[derive(Debug, Clone, Copy, Args)]
pub struct Budgets {
    /// Most US dollars that the model's calls of one trial may cost; then the trial's last snapshot is judged
    #[arg(long, value_name = "USD", value_parser = amount, help_heading = "Limits")]
    trial_budget_usd: Option<f64>,
    /// Most tokens that one trial may use, input and output together
    #[arg(long, value_name = "TOKENS", value_parser = clap::value_parser!(u64).range(1..), help_heading = "Limits")]
    trial_budget_tokens: Option<u64>,
    /// Most US dollars that the whole run may cost; then it stops, and `resume` with a larger budget goes on
    #[arg(long, value_name = "USD", value_parser = amount, help_heading = "Limits")]
    run_budget_usd: Option<f64>,
    /// Most tokens that the whole run may use
    #[arg(long, value_name = "TOKENS", value_parser = clap::value_parser!(u64).range(1..), help_heading = "Limits")]
    run_budget_tokens: Option<u64>,
}

impl Budgets {
    /// Of each trial.
    pub fn trial(self) -> Budget {
        Budget {
            usd: self.trial_budget_usd,
            tokens: self.trial_budget_tokens,
        }
    }

    /// Of the whole run.
    pub fn run(self) -> Budget {
        Budget {
            usd: self.run_budget_usd,
            tokens: self.run_budget_tokens,
        }
    }
}

/// A sum of money.
pub fn amount(text: &str) -> std::result::Result<f64, String> {
    let number = text
        .parse::<f64>()
        .ok()
        .filter(|number| number.is_finite() && *number > 0.0);
    number.ok_or_else(|| "expected a number of US dollars above 0".to_owned())
}
