//! `completions`: a script for the user's shell.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Cli, Result};
use crate::console::Console;
use crate::exit_code::Exit;

/// Print a completion script, such as `mtsec-agents completions bash > /etc/bash_completion.d/mtsec-agents`
#[derive(Debug, Args)]
pub struct Completions {
    shell: Shell,
}

impl Completions {
    pub fn carry_out(self, console: &Console) -> Result {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "mtsec-agents", &mut script);
        console.result(&String::from_utf8_lossy(&script))?;
        Ok(Exit::Done)
    }
}
