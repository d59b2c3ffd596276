//! `schema`: what an editor must know of experiment files.

use clap::Args;

use super::Result;
use crate::console::Console;
use crate::exit_code::Exit;
use crate::experiment;

/// Print the JSON Schema of experiment files, by which editors complete and check them
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub struct Schema {}

const EXAMPLE: &str = "\
Example:
  mtsec-agents schema > schema.json

and as the first line of an experiment file beside it, for every editor with the YAML language server (VS Code with the
YAML extension, Neovim, Emacs, Helix):

  # yaml-language-server: $schema=schema.json";

impl Schema {
    pub fn carry_out(self, console: &Console) -> Result {
        console.result(&experiment::schema_text())?;
        Ok(Exit::Done)
    }
}
