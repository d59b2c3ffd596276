//! The options that say where a run is kept, and how its result is printed.

use std::path::PathBuf;

use clap::Args;

use super::Failed;

/// Where a new run goes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Output")]
pub struct Destination {
    /// Name of the run's folder [default: the experiment's name, otherwise the time]
    #[arg(long, value_name = "NAME")]
    job_name: Option<String>,
    /// Folder of all runs
    #[arg(short = 'o', long, default_value = "jobs", value_name = "DIR")]
    pub jobs_dir: PathBuf,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

impl Destination {
    /// The name that the user has chosen.
    ///
    /// # Errors
    /// It is not that of one folder.
    pub fn name(&self) -> Result<Option<String>, Failed> {
        if let Some(name) = &self.job_name
            && (name.is_empty()
                || name.starts_with('.')
                || name.len() > 200
                || name.contains(|c: char| c == '/' || c.is_control()))
        {
            return Err(Failed::bad_input(anyhow::anyhow!(
                "--job-name `{name}` is no folder name: it must not be empty or too long, start with a dot, or hold a slash or control characters"
            )));
        }
        Ok(self.job_name.clone())
    }
}
