//! Programs that an installation runs.

use std::io::{BufRead, BufReader, Read, Seek};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;

use super::{InstallError, Progress};
use crate::process::children;

/// Runs one step; each line that it prints is a detail, and the last ones explain its failure.
pub(super) fn run(
    step: &'static str,
    command: &mut Command,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), InstallError> {
    let failed = |output: String| InstallError::Step { step, output };
    let errors = tempfile::tempfile().map_err(|error| failed(error.to_string()))?;
    let copy = errors.try_clone().map_err(|error| failed(error.to_string()))?;
    // What the user has set for other Pythons must not lead this one astray.
    command.env_remove("PYTHONPATH").env_remove("PYTHONHOME");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(copy);
    // A step that outlived us would write into what is put in its place. SAFETY: only an async-signal-safe call.
    unsafe {
        command.pre_exec(|| Ok(nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?));
    }
    let mut child = children::spawn(command).map_err(|error| failed(error.to_string()))?;
    let mut last: Vec<String> = Vec::new();
    for line in child
        .stdout
        .take()
        .into_iter()
        .flat_map(|output| BufReader::new(output).lines().map_while(Result::ok))
    {
        progress(Progress::Detail(line.clone()));
        last.push(line);
        let surplus = last.len().saturating_sub(10);
        last.drain(..surplus);
    }
    let status = child.wait().map_err(|error| failed(error.to_string()))?;
    if status.success() {
        return Ok(());
    }
    let mut text = String::new();
    let mut errors = errors;
    let _ = errors
        .rewind()
        .and_then(|()| errors.read_to_string(&mut text).map(drop));
    let lines: Vec<&str> = last.iter().map(String::as_str).chain(text.lines()).collect();
    Err(failed(lines[lines.len().saturating_sub(12)..].join("\n")))
}
