//! `gc`: removes what the processes of dead runs left.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::Result;
use super::parts::runtime;
use crate::console::Console;
use crate::docker::{self, Engine};
use crate::exit_code::Exit;
use crate::runner::{Leftover, leftovers};
use crate::store::RunFolder;

/// Remove what runs left that were killed: processes, scratch folders, mounts, containers
///
/// What a living run uses is never touched, and neither is anything that is kept of a run. `run` and `resume` do the same
/// when they start.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Gc {
    /// Only say what is there
    #[arg(long)]
    dry_run: bool,
    /// Also remove the folders of runs that were cut short before they began: they hold no trial
    #[arg(long)]
    half_made: bool,
    /// Folder of all runs
    #[arg(short = 'o', long, default_value = "jobs", value_name = "DIR")]
    jobs_dir: PathBuf,
    /// Print what was found as JSON
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  mtsec-agents gc --dry-run
  mtsec-agents gc --half-made --jobs-dir /data/jobs

Scratch folders are looked for in the temporary folder (TMPDIR), and where the runs of --jobs-dir had theirs;
containers with the Docker daemon of this machine (DOCKER_HOST), if one answers.";

impl Gc {
    pub fn carry_out(self, console: &Console) -> Result {
        let folders = std::fs::read_dir(&self.jobs_dir).into_iter().flatten().flatten();
        let runs: Vec<PathBuf> = folders.map(|entry| entry.path()).collect();
        let found = leftovers(runs.iter().map(PathBuf::as_path));
        let half_made = RunFolder::half_made(&self.jobs_dir);
        let (mut shown, mut lines, mut failed) = (Vec::new(), Vec::new(), false);
        for leftover in &found {
            let failure = match self.dry_run {
                true => None,
                false => leftover.remove().err().map(|error| error.to_string()),
            };
            failed |= failure.is_some();
            lines.push(format!(
                "{}{}",
                described(leftover),
                told(self.dry_run, failure.as_deref())
            ));
            shown.push(json!({
                "scratch": leftover.scratch,
                "owner": leftover.owner,
                "processes": leftover.processes.iter().map(|process| process.pid).collect::<Vec<_>>(),
                "mounts": leftover.mounts,
                "failure": failure,
            }));
        }
        let mut containers = Vec::new();
        if let Some(engine) = runtime()?.block_on(engine()) {
            let found = runtime()?.block_on(async {
                match self.dry_run {
                    true => engine.leftovers().await,
                    false => engine.reap().await,
                }
            });
            match found {
                Ok(found) => {
                    for container in found {
                        let what = told(self.dry_run, None);
                        lines.push(format!("container {} of a dead run{what}", container.name));
                        containers.push(json!({ "id": container.id, "name": container.name }));
                    }
                }
                Err(error) => {
                    failed = true;
                    console.warn(&error.to_string());
                }
            }
        }
        let mut folders = Vec::new();
        for path in docker::leftover_folders()? {
            let failure = match self.dry_run {
                true => None,
                false => std::fs::remove_dir_all(&path).err().map(|error| error.to_string()),
            };
            failed |= failure.is_some();
            lines.push(format!(
                "{}: shared with a container of a dead process{}",
                path.display(),
                told(self.dry_run, failure.as_deref())
            ));
            folders.push(json!({ "path": path, "failure": failure }));
        }
        let mut unbegun = Vec::new();
        for path in &half_made {
            let keep = self.dry_run || !self.half_made;
            let failure = match keep {
                true => None,
                false => RunFolder::remove_half_made(path).err().map(|error| error.to_string()),
            };
            failed |= failure.is_some();
            let hint = if self.half_made {
                ""
            } else {
                " (--half-made removes it)"
            };
            lines.push(format!(
                "{}: a run that never began{hint}{}",
                path.display(),
                told(keep, failure.as_deref())
            ));
            unbegun.push(json!({ "path": path, "failure": failure }));
        }
        if self.json {
            let text = json!({
                "dry_run": self.dry_run,
                "leftovers": shown,
                "containers": containers,
                "folders": folders,
                "half_made": unbegun,
            });
            console.result(&format!("{}\n", serde_json::to_string_pretty(&text)?))?;
        } else if lines.is_empty() {
            console.say("nothing is left of dead runs");
        } else {
            console.result(&format!("{}\n", lines.join("\n")))?;
        }
        Ok(if failed { Exit::Internal } else { Exit::Done })
    }
}

fn described(leftover: &Leftover) -> String {
    let of = leftover.owner.as_ref().map_or_else(
        || "of a dead process".to_owned(),
        |owner| format!("of {} (process {})", owner.run.display(), owner.pid),
    );
    let count = |number: usize, what: &str| match number {
        0 => String::new(),
        number => format!(", {number} {what}"),
    };
    format!(
        "{}: {of}{}{}",
        leftover.scratch.display(),
        count(leftover.processes.len(), "processes"),
        count(leftover.mounts.len(), "mounts")
    )
}

fn told(kept: bool, failure: Option<&str>) -> String {
    match failure {
        Some(why) => format!(": cannot be removed: {why}"),
        None if kept => String::new(),
        None => ": removed".to_owned(),
    }
}

/// The Docker daemon of this machine, if one answers at once. Where there is none there are no containers.
async fn engine() -> Option<Engine> {
    let patience = std::time::Duration::from_secs(5);
    tokio::time::timeout(patience, Engine::connect()).await.ok()?.ok()
}

/// What every command does that starts work: leftovers of dead runs are removed, and told of. What cannot be removed is
/// no reason not to start.
pub async fn reap(run: Option<&Path>, console: &Console) {
    if let Some(engine) = engine().await {
        match engine.reap().await {
            Ok(reaped) if reaped.is_empty() => {}
            Ok(reaped) => console.say(&format!("removed {} containers that a dead run left", reaped.len())),
            Err(error) => console.warn(&format!("containers of a dead run cannot be removed: {error}")),
        }
    }
    let files = tokio::task::block_in_place(|| {
        files(run, console);
        remove_folders()
    });
    if let Err(error) = files {
        console.warn(&format!("folders of a dead run cannot be looked for: {error}"));
    }
}

/// Folders that containers shared with dead processes. One that stays is found again.
fn remove_folders() -> std::io::Result<()> {
    for folder in docker::leftover_folders()? {
        let _ = std::fs::remove_dir_all(folder);
    }
    Ok(())
}

fn files(run: Option<&Path>, console: &Console) {
    for leftover in leftovers(run) {
        match leftover.remove() {
            Ok(()) => console.say(&format!("removed what a dead run left: {}", described(&leftover))),
            Err(error) => console.warn(&format!(
                "{} of a dead run cannot be removed: {error}",
                leftover.scratch.display()
            )),
        }
    }
}
