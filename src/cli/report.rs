//! `report`: prints the tables of runs again.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::compare::open_side;
use super::printed::Printed;
use super::statistics::Statistics;
use super::{Failed, Result};
use crate::console::Console;
use crate::exit_code::Exit;
use crate::report::{Format, Side, SideChoice, paper_table, render_all, render_paper, summarise};
use crate::store::RunFolder;

/// Print the tables of runs again
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Report {
    /// The runs' folders, such as jobs/2026-01-31__12-00-00
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// counts: a row for each cell and interaction; paper: a line for each cell, with standard errors and markers
    #[arg(long, value_enum, default_value = "counts")]
    layout: Layout,
    #[command(flatten)]
    printed: Printed,
    #[command(flatten)]
    statistics: Statistics,
}

const EXAMPLES: &str = "\
Examples:
  mtsec-agents report jobs/mine
  mtsec-agents report jobs/aider jobs/codex --layout paper
  mtsec-agents report jobs/aider jobs/codex --format latex > table1.tex

The options under Statistics are for the paper's layout.";

/// What a line of the table is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Layout {
    Counts,
    Paper,
}

impl Report {
    pub fn carry_out(self, console: &Console) -> Result {
        let format = self.printed.format();
        let text = match (self.layout, format) {
            (Layout::Paper, _) | (_, Format::Latex) => self.paper(format)?,
            (Layout::Counts, _) => self.counts(format)?,
        };
        console.result(&text)?;
        Ok(Exit::Done)
    }

    fn counts(&self, format: Format) -> std::result::Result<String, Failed> {
        let mut summaries = Vec::new();
        for run in &self.runs {
            let run = RunFolder::open(run).map_err(Failed::bad_input)?;
            summaries.push(summarise(&run)?);
        }
        Ok(render_all(&summaries, format)?)
    }

    fn paper(&self, format: Format) -> std::result::Result<String, Failed> {
        let side = |run: &PathBuf| open_side(&whole(run), |_| Ok(()));
        let sides: Vec<Side> = self.runs.iter().map(side).collect::<std::result::Result<_, _>>()?;
        Ok(render_paper(&paper_table(&sides, self.statistics.method()), format)?)
    }
}

/// All rows of a run.
fn whole(run: &Path) -> SideChoice {
    SideChoice {
        run: run.to_owned(),
        wanted: Vec::new(),
    }
}
