//! Where a scaffold keeps its zygote: started while the run is being prepared, started again when it has ended.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::zygote::Zygote;
use crate::recipe::Recipe;
use crate::scaffold::install::Installed;

/// How many zygotes a run may use up.
const MOST: u32 = 3;

/// The place of one zygote.
pub(super) struct Nursery {
    interpreter: PathBuf,
    /// Our own executable, which knows the hidden shepherd command.
    program: PathBuf,
    env: Vec<(String, String)>,
    kept: Mutex<Kept>,
    /// Cancelled when no session follows.
    over: CancellationToken,
}

#[derive(Default)]
struct Kept {
    zygote: Option<Arc<Zygote>>,
    started: u32,
    /// Why none will be started any more.
    given_up: Option<String>,
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
            over: CancellationToken::new(),
        }
    }

    /// The zygote, started in `scratch` if there is none yet; that takes ten seconds.
    ///
    /// # Errors
    /// Why there is none for this session: it cannot be started, or has ended; then there will be one for the next.
    pub async fn zygote(self: &Arc<Self>, scratch: &Path) -> Result<Arc<Zygote>, String> {
        if self.renew(scratch).await {
            return Err("the preparing process has ended".to_owned());
        }
        let mut kept = self.kept.lock().await;
        self.raise(&mut kept, scratch).await;
        match (&kept.zygote, &kept.given_up) {
            (Some(zygote), _) => Ok(zygote.clone()),
            (None, why) => Err(why.clone().unwrap_or_default()),
        }
    }

    /// Whether the zygote has ended; another one is on its way then.
    pub async fn renew(self: &Arc<Self>, scratch: &Path) -> bool {
        let ended = self.kept.lock().await.zygote.take_if(|zygote| !zygote.runs());
        let has_ended = ended.is_some();
        if has_ended {
            let (nursery, scratch) = (self.clone(), scratch.to_owned());
            tokio::spawn(async move { nursery.fill(&scratch).await });
        }
        has_ended
    }

    /// Starts a zygote if there is none.
    pub async fn fill(&self, scratch: &Path) {
        let mut kept = self.kept.lock().await;
        self.raise(&mut kept, scratch).await;
    }

    /// Ends the zygote, even one that is not ready yet; no other one follows.
    pub async fn close(&self) {
        self.over.cancel();
        let mut kept = self.kept.lock().await;
        kept.given_up = Some("the run is over".to_owned());
        kept.zygote = None;
    }

    async fn raise(&self, kept: &mut Kept, scratch: &Path) {
        if kept.zygote.is_some() || kept.given_up.is_some() {
            return;
        }
        if kept.started == MOST {
            kept.given_up = Some(format!("{MOST} preparing processes have ended"));
            return;
        }
        kept.started += 1;
        let started = tokio::select! {
            biased;
            () = self.over.cancelled() => Err(io::Error::other("the run is over")),
            started = self.start(scratch) => started,
        };
        match started {
            Ok(zygote) => {
                kept.zygote = Some(Arc::new(zygote));
            }
            Err(error) => kept.given_up = Some(format!("the preparing process could not be started: {error}")),
        }
    }

    async fn start(&self, scratch: &Path) -> io::Result<Zygote> {
        let zygote = Zygote::start(&self.interpreter, &self.program, scratch, &self.env)?;
        zygote.ready().await?;
        Ok(zygote)
    }
}
