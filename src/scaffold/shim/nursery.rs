//! Where a scaffold keeps its zygote: started before the first session, and again when it has ended.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use super::zygote::Zygote;
use crate::recipe::Recipe;
use crate::scaffold::install::Installed;

/// How many starts in a row may be in vain: a machine under load gets another chance, a broken one does not wait for ever.
const MOST: u32 = 3;

/// The place of one zygote.
pub(super) struct Nursery {
    interpreter: PathBuf,
    /// Our own executable, which knows the hidden shepherd command.
    program: PathBuf,
    env: Vec<(String, String)>,
    kept: Mutex<Kept>,
    /// Held while one is started.
    starting: tokio::sync::Mutex<()>,
    /// Cancelled when no session follows.
    over: CancellationToken,
}

#[derive(Default)]
struct Kept {
    zygote: Option<Arc<Zygote>>,
    starts: u64,
    /// Starts since a driver was forked.
    in_vain: u32,
    /// Why the last start failed.
    failed: Option<String>,
}

impl Kept {
    /// The zygote, while it runs. One that has ended stays until it is [ended](end).
    fn live(&self) -> Option<&Arc<Zygote>> {
        self.zygote.as_ref().filter(|zygote| zygote.runs())
    }
}

impl Nursery {
    /// An empty one.
    pub fn new(recipe: &Recipe, installed: &Installed, program: &Path) -> Self {
        // What names a session's places is the session's.
        let given = recipe.source.env.iter().filter(|(_, value)| !value.contains("{{"));
        Self {
            interpreter: installed.interpreter.clone(),
            program: program.to_owned(),
            env: given.map(|(name, value)| (name.clone(), value.clone())).collect(),
            kept: Mutex::default(),
            starting: tokio::sync::Mutex::default(),
            over: CancellationToken::new(),
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there is a zygote, which is started in `scratch` if there is none: that takes ten seconds. Whoever waits
    /// for one start shares its failure; the next session tries again.
    pub async fn ready(&self, scratch: &Path) {
        let seen = self.kept().starts;
        let _starting = self.starting.lock().await;
        let lost = {
            let mut kept = self.kept();
            if kept.live().is_some() || kept.starts != seen || kept.in_vain == MOST || self.over.is_cancelled() {
                return;
            }
            kept.starts += 1;
            kept.in_vain += 1;
            kept.failed = None;
            kept.zygote.take()
        };
        end(lost).await;
        let started = tokio::select! {
            biased;
            () = self.over.cancelled() => return,
            started = self.start(scratch) => started,
        };
        let mut kept = self.kept();
        match started {
            Ok(zygote) => kept.zygote = Some(Arc::new(zygote)),
            Err(error) => kept.failed = Some(error.to_string()),
        }
    }

    /// The zygote; does not wait for one.
    ///
    /// # Errors
    /// Why there is none for this session.
    pub fn zygote(&self) -> Result<Arc<Zygote>, String> {
        let kept = self.kept();
        if let Some(zygote) = kept.live() {
            return Ok(zygote.clone());
        }
        let why = match &kept.failed {
            Some(error) => format!("the preparing process could not be started: {error}"),
            None => "the preparing process has ended".to_owned(),
        };
        Err(match kept.in_vain {
            MOST => format!("{why}; after {MOST} starts in vain none is tried any more"),
            _ => why,
        })
    }

    /// A driver was forked: what fails from here on is another failure.
    pub fn has_served(&self) {
        self.kept().in_vain = 0;
    }

    /// Ends the zygote, even one that is not ready yet; no other one follows.
    pub async fn close(&self) {
        self.over.cancel();
        let _starting = self.starting.lock().await;
        let last = self.kept().zygote.take();
        end(last).await;
    }

    async fn start(&self, scratch: &Path) -> io::Result<Zygote> {
        let (interpreter, program) = (self.interpreter.clone(), self.program.clone());
        let (scratch, env) = (scratch.to_owned(), self.env.clone());
        // Files and a process: other sessions go on meanwhile.
        let start = move || Zygote::start(&interpreter, &program, &scratch, &env);
        let zygote = tokio::task::spawn_blocking(start).await.map_err(io::Error::other)??;
        match zygote.ready().await {
            Ok(()) => Ok(zygote),
            Err(error) => {
                end(zygote).await;
                Err(error)
            }
        }
    }
}

/// Drops a zygote where it may take its time: its end is waited for, and meanwhile other sessions go on.
async fn end(zygote: impl Send + 'static) {
    // A panic of its own has been told already.
    let _ = tokio::task::spawn_blocking(move || drop(zygote)).await;
}
