//! The options that say how differences are judged.

use clap::Args;

use crate::report::Method;
use crate::stats::{Level, PairedTest};

/// How differences are judged.
#[derive(Debug, Args)]
#[command(next_help_heading = "Statistics")]
pub struct Statistics {
    /// Two-sided McNemar test: exact, mid-p, chi2 or chi2-corrected
    #[arg(long, value_name = "NAME", default_value = "exact")]
    test: PairedTest,
    /// Correct p-values and markers for the number of tests in the table (Holm)
    #[arg(long)]
    holm: bool,
    /// Confidence of the intervals, in percent
    #[arg(long, value_name = "PERCENT", default_value = "95", value_parser = level)]
    confidence: Level,
}

impl Statistics {
    pub fn method(&self) -> Method {
        Method {
            test: self.test,
            level: self.confidence,
            holm: self.holm,
        }
    }
}

fn level(text: &str) -> Result<Level, String> {
    let percent = text.trim_end_matches('%').parse().ok();
    let level = percent.and_then(|percent: f64| Level::new(percent / 100.0));
    level.ok_or_else(|| format!("`{text}` is no percentage between 0 and 100, such as 95"))
}
