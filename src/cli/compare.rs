//! `compare`: two sides, pair by pair.

use clap::Args;

use super::printed::Printed;
use super::select::Filter;
use super::statistics::Statistics;
use super::stored::stored_tasks;
use super::{Failed, Result};
use crate::console::Console;
use crate::exit_code::Exit;
use crate::plan::Lock;
use crate::report::{Format, Side, SideChoice, compare, render_comparison, why_apart};
use crate::store::RunFolder;
use crate::task::Task;

/// Compare two sides pair by pair: the same tasks under another scaffold, model, option or interaction
///
/// A side is a run, or those rows of it that KEY=VALUE choose; keys are scaffold, model, interaction, cell, name (in an experiment
/// file), options, and each option by its name in experiment files, such as edit_format or policy. Rows are compared that agree in everything else: what has one value on each side, or is named, is what is compared. A pair is a
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
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    printed: Printed,
    #[command(flatten)]
    statistics: Statistics,
}

const EXAMPLES: &str = "\
Examples:
  mtsec-agents compare jobs/aider jobs/codex                                        two scaffolds, interaction by interaction
  mtsec-agents compare jobs/mine,interaction=single jobs/mine                       every conversation against the single turn
  mtsec-agents compare jobs/mine,edit_format=diff jobs/mine,edit_format=whole --holm
  mtsec-agents compare jobs/table2,policy=none jobs/table2,policy=system            the security policy in the system prompt
  mtsec-agents compare jobs/mine,model=o3 jobs/mine,model=gpt-5 -i CWE-79 --format md

b counts pairs that have the verdict in A only, c those in B only. Markers: * below .05, ** below .01, *** below .001.";

impl Compare {
    pub fn carry_out(self, console: &Console) -> Result {
        let format = self.printed.format();
        if format == Format::Latex {
            let message =
                "a comparison has no LaTeX form: `report --format latex` marks differences from the single turn";
            return Err(Failed::bad_input(anyhow::anyhow!(message)));
        }
        let open = |choice| open_side(choice, |tasks| self.filter.apply(tasks));
        let (a, b) = (open(&self.a)?, open(&self.b)?);
        let comparison = compare(&a, &b, self.statistics.method());
        if comparison.rows.is_empty() {
            return Err(Failed::bad_input(anyhow::anyhow!(why_apart(&a, &b))));
        }
        console.result(&render_comparison(&comparison, format)?)?;
        Ok(Exit::Done)
    }
}

/// The chosen rows of a run, and of these the tasks that `filter` leaves.
pub fn open_side(
    choice: &SideChoice,
    filter: impl FnOnce(&mut Vec<Task>) -> std::result::Result<(), Failed>,
) -> std::result::Result<Side, Failed> {
    let run = RunFolder::open(&choice.run).map_err(Failed::bad_input)?;
    let lock: Lock = run.read_json("lock.json").map_err(Failed::bad_input)?;
    let mut tasks = stored_tasks(&run, &lock)?;
    filter(&mut tasks)?;
    Side::open(choice, run, lock, tasks).map_err(Failed::bad_input)
}
