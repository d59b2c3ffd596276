//! `report`: prints a run's table again.

use std::path::PathBuf;

use clap::Args;

use super::{Failed, Result};
use crate::console::Console;
use crate::exit_code::Exit;
use crate::report::{Format, render, summarise};
use crate::store::RunFolder;

/// Print the table of a run again
#[derive(Debug, Args)]
pub struct Report {
    /// The run's folder, such as jobs/2026-01-31__12-00-00
    run: PathBuf,
    /// table, md, csv or json
    #[arg(long, default_value = "table")]
    format: Format,
    /// The same as --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,
}

impl Report {
    pub fn carry_out(self, console: &Console) -> Result {
        let run = RunFolder::open(&self.run).map_err(Failed::bad_input)?;
        let format = if self.json { Format::Json } else { self.format };
        console.result(&render(&summarise(&run)?, format)?)?;
        Ok(Exit::Done)
    }
}
