//! How a driver comes up: cold inside the containment, or warm from the zygote.

use std::ffi::OsString;
use std::fmt::Display;
use std::fs::File;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{ChildStderr, ChildStdin, ChildStdout};

use super::nursery::Nursery;
use super::protocol::{Model, Start, Tell};
use super::wire::{Wire, keep_log};
use super::zygote::{Request, Zygote};
use crate::process::{Containment, Entry, pipes};
use crate::recipe::{Places, Recipe, Rendered, ShimDriver, ShimRules};
use crate::scaffold::install::Installed;
use crate::scaffold::launch::Prepared;
use crate::scaffold::ward::{Lineage, Ward};
use crate::scaffold::{OpenError, Stage};

/// The driver of OpenHands.
pub(super) const OPENHANDS: [(&str, &str); 3] = [
    ("driver.py", include_str!("../../../scaffolds/openhands/driver.py")),
    ("channel.py", include_str!("../../../scaffolds/openhands/channel.py")),
    (
        "action_server.py",
        include_str!("../../../scaffolds/openhands/action_server.py"),
    ),
];
/// What stands in the containment for a driver that comes from outside: says what it is told, and ends when its input does.
const STAND_IN: &str = "cat";
/// How long the stand-in may take to be there.
const PATIENCE: Duration = Duration::from_secs(60);

/// A driver that was started, and everything by which it is held.
pub(super) struct Started {
    pub wire: Wire,
    pub ward: Ward,
    pub lineage: Lineage,
    /// Keeps the stand-in of a warm driver alive.
    pub stand_in: Option<ChildStdin>,
    /// The folder of the session's records.
    pub logs: PathBuf,
    /// The driver's own log.
    pub log: PathBuf,
    /// The first thing that it is told.
    pub greeting: Tell,
    pub warnings: Vec<String>,
}

/// Everything that a driver is started from.
pub(super) struct Starter {
    pub recipe: Arc<Recipe>,
    pub rules: Arc<ShimRules>,
    pub installed: Installed,
    /// Our own executable, which knows the hidden shepherd command.
    pub program: PathBuf,
    pub containment: Arc<dyn Containment>,
    /// Kept as long as the scaffold: every session is forked from it.
    pub nursery: Arc<Nursery>,
}

/// A driver that talks, and what holds it.
struct Up {
    wire: Wire,
    ward: Ward,
    lineage: Lineage,
    stand_in: Option<ChildStdin>,
}

struct Streams {
    stdin: ChildStdin,
    stdout: ChildStdout,
    stderr: ChildStderr,
    /// Files in which shepherd and containment tell of their process.
    told: Vec<PathBuf>,
}

impl Starter {
    /// How a driver that was forked outside gets into the containment; `None`: it cannot, or there is none to be forked.
    pub fn entry(&self) -> Option<Entry> {
        match self.rules.source.driver {
            Some(ShimDriver::Openhands) => self.containment.entry(),
            None => None,
        }
    }

    /// Starts a driver: warm where that is possible, else cold, which takes longer, and nothing else.
    pub async fn start(self: &Arc<Self>, stage: &Stage) -> Result<Started, OpenError> {
        let room = stage.clone();
        let prepare = move |starter: &Self| {
            let containment = starter.containment.as_ref();
            Prepared::new(&starter.recipe, &starter.installed, containment, &room)
        };
        let prepared = Arc::new(self.beside(prepare).await?);
        let mut warnings = Vec::new();
        let mut up = None;
        if let Some(entry) = self.entry() {
            let warm = match self.nursery.zygote() {
                Ok(zygote) => self.warm(&prepared, entry, &zygote, stage).await?,
                Err(why) => Err(io::Error::other(why)),
            };
            match warm {
                Ok(entered) => {
                    self.nursery.has_served();
                    up = Some(entered);
                }
                Err(why) => warnings.push(format!(
                    "the agent was started without the preparing process, which takes longer: {why}"
                )),
            }
        }
        let up = match up {
            Some(up) => up,
            None => {
                let prepared = prepared.clone();
                self.beside(move |starter| starter.cold(&prepared)).await?
            }
        };
        let Up {
            wire,
            ward,
            lineage,
            stand_in,
        } = up;
        Ok(Started {
            wire,
            ward,
            lineage,
            stand_in,
            greeting: self.greeting(&prepared, stage),
            log: log(&prepared),
            logs: prepared.logs.clone(),
            warnings,
        })
    }

    /// Work on files and processes, in which other sessions go on.
    async fn beside<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> Result<T, OpenError> + Send + 'static,
    ) -> Result<T, OpenError> {
        let starter = self.clone();
        let done = tokio::task::spawn_blocking(move || work(&starter)).await;
        done.unwrap_or_else(|error| Err(self.failed(io::Error::other(error))))
    }

    /// The driver as the agent itself.
    fn cold(&self, prepared: &Prepared) -> Result<Up, OpenError> {
        let rendered = prepared.render(&self.recipe, Places::new())?;
        if self.rules.source.driver.is_some() {
            let folder = prepared.logs.join("agent");
            for (name, text) in OPENHANDS {
                std::fs::write(folder.join(name), text).map_err(|source| self.failed(source))?;
            }
        }
        let (piped, ward, lineage, _) = self.contain(prepared, &rendered)?;
        tokio::spawn(keep_log(piped.stderr, self.open(&log(prepared))?));
        Ok(Up {
            wire: Wire::new(piped.stdin, piped.stdout),
            ward,
            lineage,
            stand_in: None,
        })
    }

    /// The driver as one who enters. The inner error: it could not, and nothing of this try runs any more.
    async fn warm(
        self: &Arc<Self>,
        prepared: &Arc<Prepared>,
        entry: Entry,
        zygote: &Zygote,
        stage: &Stage,
    ) -> Result<io::Result<Up>, OpenError> {
        let own = prepared.clone();
        let stand_in = move |starter: &Self| {
            let mut rendered = own.render(&starter.recipe, Places::new())?;
            rendered.argv = vec![STAND_IN.to_owned()];
            starter.contain(&own, &rendered)
        };
        let (mut piped, mut ward, mut lineage, env) = self.beside(stand_in).await?;
        let file = self.open(&log(prepared))?;
        // What the launcher says of its own troubles.
        tokio::spawn(keep_log(piped.stderr, self.open(&log(prepared))?));
        let entered = async {
            let agent = inside(&mut lineage, &mut piped.stdin, &mut piped.stdout).await?;
            let (ours, theirs) = UnixStream::pair()?;
            let Entry { filter, processes } = entry;
            let request = Request {
                agent,
                env: env.into_iter().collect(),
                folder: prepared.workspace.display().to_string(),
                filter: hex::encode(filter),
                processes,
            };
            zygote.fork(&request, &theirs, &file).await?;
            ours.set_nonblocking(true)?;
            Ok(tokio::net::UnixStream::from_std(ours)?.into_split())
        };
        let entered: Option<io::Result<_>> = tokio::select! {
            biased;
            () = stage.cancel.cancelled() => None,
            entered = entered => Some(entered),
        };
        let Some(entered) = entered else {
            drop(piped.stdin);
            ward.bury(false).await;
            return Err(OpenError::Cancelled);
        };
        match entered {
            Ok((output, input)) => Ok(Ok(Up {
                wire: Wire::new(input, output),
                ward,
                lineage,
                stand_in: Some(piped.stdin),
            })),
            Err(error) => {
                drop(piped.stdin);
                ward.bury(false).await;
                // Else they would be taken for those of the next start.
                for told in piped.told {
                    let _ = std::fs::remove_file(told);
                }
                Ok(Err(error))
            }
        }
    }

    /// Starts a command line in the containment; with its environment.
    #[expect(clippy::type_complexity, reason = "taken apart where it is received")]
    fn contain(
        &self,
        prepared: &Prepared,
        rendered: &Rendered,
    ) -> Result<(Streams, Ward, Lineage, Vec<(String, String)>), OpenError> {
        let start = prepared.start(rendered, &self.program, self.containment.as_ref(), &prepared.logs)?;
        let text = |value: &OsString| value.to_string_lossy().into_owned();
        let env = start
            .env
            .iter()
            .map(|(name, value)| (text(name), text(value)))
            .collect();
        let piped = pipes::spawn(start.argv, start.env, &prepared.workspace).map_err(|source| self.failed(source))?;
        Ok((
            Streams {
                stdin: piped.stdin,
                stdout: piped.stdout,
                stderr: piped.stderr,
                told: [start.report.clone()].into_iter().chain(start.trace.clone()).collect(),
            },
            Ward::new(Box::new(piped.child), piped.pid, start.report, start.trace.clone()),
            Lineage::new(piped.pid, start.trace),
            env,
        ))
    }

    fn greeting(&self, prepared: &Prepared, stage: &Stage) -> Tell {
        let (model, rules) = (&stage.model, &self.rules.source);
        Tell::Start(Box::new(Start {
            workspace: prepared.workspace.display().to_string(),
            folder: prepared.logs.join("agent/state").display().to_string(),
            api_base: self.containment.api_base(&stage.api_base),
            api_key: stage.api_key.clone(),
            model: Model {
                name: model.name.clone(),
                family: model.dialect.family(),
                temperature: model.temperature,
                max_input_tokens: model.max_input_tokens,
                max_output_tokens: model.max_output_tokens,
            },
            iterations: rules.iterations,
            command_seconds: rules.command_seconds,
            call_seconds: rules.call_seconds,
            tries: rules.tries,
        }))
    }

    fn open(&self, log: &Path) -> Result<File, OpenError> {
        let opened = File::options().create(true).append(true).open(log);
        opened.map_err(|source| self.failed(source))
    }

    fn failed(&self, source: io::Error) -> OpenError {
        OpenError::Spawn {
            program: self.recipe.source.name.clone(),
            source,
        }
    }
}

/// Waits until the stand-in, whose namespaces the driver enters, has answered. Between its fork and its start it is no agent
/// yet: it still has the init's rights.
async fn inside(lineage: &mut Lineage, input: &mut ChildStdin, output: &mut ChildStdout) -> io::Result<i32> {
    let answered = async {
        input.write_all(b"?").await?;
        output.read_exact(&mut [0]).await
    };
    let answered = tokio::time::timeout(PATIENCE, answered).await;
    let failed = |why: &dyn Display| io::Error::other(format!("the containment did not come up: {why}"));
    answered
        .map_err(|late| failed(&late))?
        .map_err(|error| failed(&error))?;
    let agent = lineage.agent().ok_or_else(|| failed(&"nothing runs in it"))?;
    Ok(agent.pid)
}

/// What a driver, and what holds it, complain of.
fn log(prepared: &Prepared) -> PathBuf {
    prepared.logs.join("driver.log")
}
