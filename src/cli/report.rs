//! `report`: prints the tables of runs again.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::compare::open_side;
use super::lock::EXPERIMENT;
use super::printed::Printed;
use super::statistics::Statistics;
use super::{Failed, Result};
use crate::console::Console;
use crate::exit_code::Exit;
use crate::experiment::{Experiment, Table};
use crate::report::{
    By, Format, Method, Published, Side, SideChoice, breakdown, brittleness_ranking, correlations, difficulty,
    experiment_table, paper_table, refusals, render_all, render_brief, render_grids, render_table, summarise,
};
use crate::store::RunFolder;

/// Print the tables of runs again
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Report {
    /// The folders of runs, such as jobs/2026-01-31__12-00-00, and of published cells (`import-results`)
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// What is printed; the default is table where the first run's experiment file says how, otherwise counts
    #[arg(long, value_enum)]
    layout: Option<Layout>,
    /// The shares by weakness, by language, or by the length of the single turn's prompt: cwe, language or length
    #[arg(long, value_name = "WHAT", conflicts_with = "layout")]
    by: Option<By>,
    /// An experiment file whose `table` is used, instead of that of the run
    #[arg(long, value_name = "FILE", conflicts_with = "by")]
    table: Option<PathBuf>,
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
  mtsec-agents report jobs/mine --layout counts                       of a run of an experiment
  mtsec-agents report jobs/mine --by cwe
  mtsec-agents report jobs/mine --layout refusals --json
  mtsec-agents report jobs/mine jobs/published --layout paper         ours and published numbers in one table

The options under Statistics are for all layouts but counts.";

/// What a line of the table is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Layout {
    /// A row for each cell and interaction, with what it used
    Counts,
    /// A line for each cell, with standard errors and markers
    Paper,
    /// Lines and columns as the experiment file says
    Table,
    /// The lines ranked by what conversations cost them
    Brittleness,
    /// Tasks that no line solves, and tasks that every line solves
    Difficulty,
    /// How often the model declined, and where
    Refusals,
    /// Does the length of a prompt tell whether its task is solved?
    Correlation,
}

/// A run, or what others have published.
struct Sources {
    sides: Vec<Side>,
    published: Vec<Published>,
}

impl Report {
    pub fn carry_out(self, console: &Console) -> Result {
        let format = self.printed.format();
        let text = match self.by {
            Some(by) => {
                let sides = self.only_runs()?;
                render_grids(&[breakdown(&sides, by, self.statistics.method())], format)?
            }
            None => self.laid_out(format)?,
        };
        console.result(&text)?;
        Ok(Exit::Done)
    }

    fn laid_out(&self, format: Format) -> std::result::Result<String, Failed> {
        let method = self.statistics.method();
        // A file that is not asked for need not be one that this version can read.
        let table = match self.layout {
            None | Some(Layout::Table) => self.experiment()?,
            Some(_) => None,
        };
        let layout = self.layout.unwrap_or(match (&table, format) {
            (Some(_), _) => Layout::Table,
            (None, Format::Latex) => Layout::Paper,
            _ => Layout::Counts,
        });
        let by_paper = || {
            let sources = self.sources()?;
            Ok::<_, Failed>(paper_table(&sources.sides, &sources.published, method))
        };
        Ok(match layout {
            Layout::Counts => self.counts(format)?,
            Layout::Paper => render_table(&by_paper()?, format)?,
            Layout::Table => {
                let table = table.ok_or_else(no_table)?;
                let sources = self.sources()?;
                let sides: Vec<Side> = sources.sides.into_iter().map(Side::as_asked).collect();
                let table = experiment_table(&table, &sides, &sources.published, method);
                render_table(&table.map_err(Failed::bad_input)?, format)?
            }
            Layout::Brittleness => render_grids(&[brittleness_ranking(&by_paper()?)], format)?,
            Layout::Difficulty => render_grids(&[difficulty(&self.only_runs()?, method)], format)?,
            Layout::Refusals => render_grids(&refusals(&self.only_runs()?, method), format)?,
            Layout::Correlation => render_grids(&[correlations(&self.only_runs()?)], format)?,
        })
    }

    fn counts(&self, format: Format) -> std::result::Result<String, Failed> {
        if format == Format::Latex {
            let message = "the counts have no LaTeX form: choose another --layout, such as paper";
            return Err(Failed::bad_input(anyhow::anyhow!(message)));
        }
        let mut summaries = Vec::new();
        for path in &self.runs {
            refuse_published(path)?;
            let run = RunFolder::open(path).map_err(Failed::bad_input)?;
            summaries.push(summarise(&run)?);
        }
        Ok(render_all(&summaries, format)?)
    }

    fn sources(&self) -> std::result::Result<Sources, Failed> {
        let mut sources = Sources {
            sides: Vec::new(),
            published: Vec::new(),
        };
        for path in &self.runs {
            match Published::read(path).map_err(Failed::bad_input)? {
                Some(published) => sources.published.push(published),
                None => sources.sides.push(open_side(&whole(path), |_| Ok(()))?),
            }
        }
        Ok(sources)
    }

    /// Of what is told trial by trial.
    fn only_runs(&self) -> std::result::Result<Vec<Side>, Failed> {
        self.runs.iter().try_for_each(|path| refuse_published(path))?;
        Ok(self.sources()?.sides)
    }

    /// The table that is asked for, or the first that a run has.
    fn experiment(&self) -> std::result::Result<Option<Table>, Failed> {
        if let Some(path) = &self.table {
            let table = table_of(path)?;
            let missing = || Failed::bad_input(anyhow::anyhow!("{} has no `table`", path.display()));
            return table.ok_or_else(missing).map(Some);
        }
        for run in &self.runs {
            if let Some(table) = own_table(run)? {
                return Ok(Some(table));
            }
        }
        Ok(None)
    }
}

/// The table of a run of an experiment, for people; `None` where its file says nothing of one.
pub fn of_experiment(run: &Path) -> std::result::Result<Option<String>, Failed> {
    let Some(table) = own_table(run)? else { return Ok(None) };
    let side = open_side(&whole(run), |_| Ok(()))?.as_asked();
    let table = experiment_table(&table, &[side], &[], Method::default()).map_err(Failed::bad_input)?;
    Ok(Some(render_brief(&table)))
}

/// What the experiment file of a run says of its table.
fn own_table(run: &Path) -> std::result::Result<Option<Table>, Failed> {
    let path = run.join(EXPERIMENT);
    match path.is_file() {
        true => table_of(&path),
        false => Ok(None),
    }
}

fn no_table() -> Failed {
    Failed::bad_input(anyhow::anyhow!(
        "no run has an experiment.yaml with a `table`: name an experiment file with --table"
    ))
}

fn refuse_published(path: &Path) -> std::result::Result<(), Failed> {
    match Published::read(path).map_err(Failed::bad_input)? {
        None => Ok(()),
        Some(_) => Err(Failed::bad_input(anyhow::anyhow!(
            "{} holds published cells, of which there are no trials: --layout paper, table and brittleness show them",
            path.display()
        ))),
    }
}

/// The table of an experiment file, where it says anything of it.
fn table_of(path: &Path) -> std::result::Result<Option<Table>, Failed> {
    let table = Experiment::read(path).map_err(Failed::bad_input)?.table;
    Ok((table != Table::default()).then_some(table))
}

/// All rows of a run.
fn whole(run: &Path) -> SideChoice {
    SideChoice {
        run: run.to_owned(),
        wanted: Vec::new(),
    }
}
