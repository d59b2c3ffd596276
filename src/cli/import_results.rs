//! `import-results`: published cells, for tables that set ours beside them.

use std::path::PathBuf;

use clap::Args;

use super::{Failed, Result};
use crate::console::Console;
use crate::exit_code::Exit;
use crate::report::{Published, number_of, read_published};

/// Take published cells from CSV, so that `report` can set ours beside them
///
/// Either a line for each model and setting: model (or row), setting, cs, ci and, if printed, cs_se, ci_se, cs_marker, ci_marker, n.
/// Or a column for each setting: model, then SETTING (its C&S), SETTING_cs, SETTING_ci and so on. ST is `single`; other settings
/// keep their names and stand in the column of the same title.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ImportResults {
    #[arg(required = true, value_name = "FILE.csv")]
    files: Vec<PathBuf>,
    /// What the folder is called
    #[arg(long, default_value = "published")]
    name: String,
    /// Where the folder is made
    #[arg(short = 'o', long, value_name = "FOLDER", default_value = "jobs")]
    jobs: PathBuf,
    /// Gives a setting the name of a table's column; may be given more than once
    #[arg(long, value_name = "OLD=NEW", value_parser = renamed)]
    rename: Vec<(String, String)>,
}

const EXAMPLES: &str = "\
Examples:
  mtsec-agents import-results table1.csv
  mtsec-agents report jobs/mine jobs/published --layout paper       ours and theirs in one table
  mtsec-agents report jobs/published --layout brittleness
  mtsec-agents import-results table2.csv --name table2 --rename mt=MT --rename mt_sys='MT, system'";

fn renamed(text: &str) -> std::result::Result<(String, String), String> {
    match text.split_once('=') {
        Some((old, new)) if !old.trim().is_empty() && !new.trim().is_empty() => {
            Ok((old.trim().to_owned(), new.trim().to_owned()))
        }
        _ => Err(format!("`{text}` is not OLD=NEW")),
    }
}

impl ImportResults {
    pub fn carry_out(self, console: &Console) -> Result {
        let name = self.name.trim();
        if name.is_empty() || name.contains('/') || name.starts_with('.') {
            return Err(Failed::bad_input(anyhow::anyhow!(
                "--name `{name}` is no plain name of a folder"
            )));
        }
        let mut lines = Vec::new();
        let mut used = vec![false; self.rename.len()];
        for path in &self.files {
            let file = path.display().to_string();
            let text = std::fs::read_to_string(path)
                .map_err(|error| Failed::bad_input(anyhow::anyhow!("cannot read {file}: {error}")))?;
            let seen = std::cell::RefCell::new(&mut used);
            let rename = |setting: &str| {
                let index = self.rename.iter().position(|(old, _)| old == setting)?;
                seen.borrow_mut()[index] = true;
                Some(self.rename[index].1.clone())
            };
            read_published(&file, &text, &rename, &mut lines).map_err(Failed::bad_input)?;
        }
        if let Some(index) = used.iter().position(|used| !used) {
            let message = format!("--rename: no file has a setting `{}`", self.rename[index].0);
            return Err(Failed::bad_input(anyhow::anyhow!(message)));
        }
        let published = Published {
            name: String::new(),
            sources: self.files.iter().map(|path| path.display().to_string()).collect(),
            lines,
        };
        let folder = self.jobs.join(name);
        if folder.exists() {
            let message = format!("{} exists already: choose another --name", folder.display());
            return Err(Failed::bad_input(anyhow::anyhow!(message)));
        }
        published.write(&folder)?;
        let text = format!(
            "{}: {}, {}\n",
            folder.display(),
            number_of(published.lines.len(), "line"),
            number_of(published.cells().count(), "published cell")
        );
        console.result(&text)?;
        Ok(Exit::Done)
    }
}
