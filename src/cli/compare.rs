//! `compare`: two sides, pair by pair.

use clap::Args;

use super::check::stored_tasks;
use super::select::Filter;
use super::{Failed, Result};
use crate::console::Console;
use crate::exit_code::Exit;
use crate::plan::Lock;
use crate::report::{Format, Method, Side, SideChoice, compare, render_comparison};
use crate::stats::{Level, PairedTest};
use crate::store::RunFolder;

/// Compare two sides pair by pair: the same tasks under another scaffold, model, option or interaction
///
/// A side is a run, or those rows of it that KEY=VALUE choose; keys are scaffold, model, options, interaction and cell. Rows are
/// compared that agree in everything else: what has one value on each side, or is named, is what is compared. A pair is a
/// task (and attempt) with a verdict on both sides; what is left out is counted.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Compare {
    /// RUN[,KEY=VALUE]…: the side that is compared against
    #[arg(value_name = "A")]
    a: SideChoice,
    /// RUN[,KEY=VALUE]…: the other
    #[arg(value_name = "B")]
    b: SideChoice,
    /// Two-sided McNemar test: exact, mid-p, chi2 or chi2-corrected
    #[arg(long, value_name = "NAME", default_value = "exact")]
    test: PairedTest,
    /// Correct p-values and markers for the number of tests in the table (Holm)
    #[arg(long)]
    holm: bool,
    /// Confidence of the intervals, in percent
    #[arg(long, value_name = "PERCENT", default_value = "95", value_parser = level)]
    confidence: Level,
    #[command(flatten)]
    filter: Filter,
    /// table, md, csv or json
    #[arg(long, default_value = "table")]
    format: Format,
    /// The same as --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  mtsec-agents compare jobs/aider jobs/codex                                        two scaffolds, interaction by interaction
  mtsec-agents compare jobs/mine,interaction=single jobs/mine                       every conversation against the single turn
  mtsec-agents compare jobs/mine,options=diff jobs/mine,options=whole --holm        two edit formats
  mtsec-agents compare jobs/mine,model=o3 jobs/mine,model=gpt-5 -i CWE-79 --format md

b counts pairs that have the verdict in A only, c those in B only. Markers: * below .05, ** below .01, *** below .001.";

impl Compare {
    pub fn carry_out(self, console: &Console) -> Result {
        let (a, b) = (self.open(&self.a)?, self.open(&self.b)?);
        let method = Method {
            test: self.test,
            level: self.confidence,
            holm: self.holm,
        };
        let comparison = compare(&a, &b, method)?;
        if comparison.rows.is_empty() {
            return Err(Failed::bad_input(anyhow::anyhow!(
                "no row of A belongs to one of B: they must agree in all but what is compared; name that with KEY=VALUE\nA, {}:\n{}B, {}:\n{}",
                a.name,
                a.describe(),
                b.name,
                b.describe().trim_end()
            )));
        }
        let format = if self.json { Format::Json } else { self.format };
        console.result(&render_comparison(&comparison, format)?)?;
        Ok(Exit::Done)
    }

    fn open(&self, choice: &SideChoice) -> std::result::Result<Side, Failed> {
        let run = RunFolder::open(&choice.run).map_err(Failed::bad_input)?;
        let lock: Lock = run.read_json("lock.json").map_err(Failed::bad_input)?;
        let mut tasks = stored_tasks(&run, &lock)?;
        self.filter.apply(&mut tasks)?;
        Side::open(choice, run, lock, tasks).map_err(Failed::bad_input)
    }
}

fn level(text: &str) -> std::result::Result<Level, String> {
    let percent = text.trim_end_matches('%').parse().ok();
    let level = percent.and_then(|percent: f64| Level::new(percent / 100.0));
    level.ok_or_else(|| format!("`{text}` is no percentage between 0 and 100, such as 95"))
}
