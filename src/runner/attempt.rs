//! One try of one trial, by the stages of `DESIGN.md`: workspace, route, agent, turns with their snapshots, verdict.

mod contamination;
mod critic;
mod feedback;
mod findings;
mod judge;
mod record;
mod turns;
mod weigh;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::block_in_place;

use contamination::Contamination;
use critic::Critic;
use turns::Live;

use super::clock::TrialClock;
use super::conduct::{RunError, Stand};
use super::disk::DiskWatch;
use super::logs::keep_logs;
use super::scratch::Places;
use super::trial::CellRuntime;
use crate::blob::BlobStore;
use crate::conversation::{Conversation, Interaction};
use crate::dataset::prompt;
use crate::event::Event;
use crate::gateway::Purse;
use crate::plan::TrialKey;
use crate::scaffold::{Clocks, Killed, OpenError, Stage};
use crate::store::{PLAYED, StoreError, TrialFolder};
use crate::task::Task;
use crate::trial::{Divergence, Outcome, TrialRecord, TurnRecord, Usage};
use crate::verdict::Judgement;
use crate::workspace::{self, Manifest, Snapshotter};

/// How long it may take until the calls of an agent that was ended are counted and recorded.
const SETTLE: Duration = Duration::from_secs(2);

/// One try of one trial.
pub(super) struct Attempt<'a> {
    stand: &'a Stand,
    key: &'a TrialKey,
    folder: &'a TrialFolder,
    task: Arc<Task>,
    runtime: Arc<CellRuntime>,
    blobs: BlobStore,
    turns: Vec<TurnRecord>,
    /// Of the snapshots that were judged so far: those of which the agent was told.
    judgements: BTreeMap<usize, Judgement>,
    warnings: Vec<String>,
    contamination: Contamination,
    usage: Usage,
    agent_seconds: f64,
    waited_seconds: f64,
    tester_seconds: f64,
    /// As [`Tried::refused`].
    refused: bool,
    began: Instant,
    started: jiff::Timestamp,
}

/// A try that was not cancelled.
pub(super) struct Tried {
    pub record: TrialRecord,
    /// Whether the conversation came to its end, so that another try would pay for the same model calls again: the
    /// snapshots are there to be judged.
    pub played: bool,
    /// Whether its model's provider refused it for what another try would not change: the key, or the request.
    pub refused: bool,
}

/// Why a try ended without a verdict.
enum Stop {
    Cancelled,
    Infrastructure(String),
    Diverged(Divergence),
    Store(StoreError),
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl<'a> Attempt<'a> {
    pub fn new(stand: &'a Stand, key: &'a TrialKey, folder: &'a TrialFolder) -> Result<Self, RunError> {
        let conductor = &stand.conductor;
        let task = conductor
            .tasks
            .get(&key.task)
            .ok_or_else(|| RunError::Damaged(format!("task `{}`", key.task)))?;
        let runtime = conductor
            .cells
            .get(&key.cell)
            .ok_or_else(|| RunError::Damaged(format!("cell {}", key.cell)))?;
        Ok(Self {
            stand,
            key,
            folder,
            task: task.clone(),
            runtime: runtime.clone(),
            blobs: conductor.run.blobs(),
            turns: Vec::new(),
            judgements: BTreeMap::new(),
            warnings: Vec::new(),
            contamination: Contamination::default(),
            usage: Usage::default(),
            agent_seconds: 0.0,
            waited_seconds: 0.0,
            tester_seconds: 0.0,
            refused: false,
            began: Instant::now(),
            started: jiff::Timestamp::now(),
        })
    }

    /// `None`: cancelled.
    pub async fn carry_out(mut self) -> Result<Option<Tried>, RunError> {
        let snapshots = self.play().await;
        let played = snapshots.is_ok();
        let judged = match snapshots {
            Ok(snapshots) => self.judge(&snapshots).await,
            Err(stop) => Err(stop),
        };
        let (outcome, judgements) = match judged {
            Ok(judgements) => match judgements.last_key_value() {
                Some((_, last)) => (Outcome::Judged { verdict: last.verdict }, judgements),
                None => (infrastructure("no snapshot was judged"), judgements),
            },
            Err(Stop::Diverged(divergence)) => (Outcome::Diverged { divergence }, BTreeMap::new()),
            Err(Stop::Infrastructure(reason)) => (infrastructure(&reason), BTreeMap::new()),
            Err(Stop::Cancelled) => return Ok(None),
            Err(Stop::Store(error)) => return Err(error.into()),
        };
        let record = self.record(outcome, played, judgements);
        let refused = self.refused;
        Ok(Some(Tried {
            record,
            played,
            refused,
        }))
    }

    /// Stages 2 to 8: workspace, route, agent, turns. The snapshots after the starter tree and after each reached turn.
    async fn play(&mut self) -> Result<Vec<Manifest>, Stop> {
        let conversation = prompt::conversation_for(&self.task, self.key.interaction, self.runtime.manner)
            .map_err(|error| Stop::Infrastructure(error.to_string()))?;
        let places = self
            .stand
            .scratch
            .places(self.key)
            .map_err(|error| cannot("make the workspace", &error))?;
        let played = self.play_in(&places, &conversation).await;
        if let Ok(snapshots) = &played {
            self.note_imports(snapshots).await;
            // Whatever happens while its places are removed and it is judged, the conversation need not be played, and
            // paid for, again.
            let record = self.record(infrastructure("not judged yet"), true, BTreeMap::new());
            self.folder.write_json(PLAYED, &record)?;
        }
        if let Err(error) = block_in_place(|| places.remove()) {
            self.warn(format!("the workspace could not be removed: {error}"))?;
        }
        played
    }

    async fn play_in(&mut self, places: &Places, conversation: &Conversation) -> Result<Vec<Manifest>, Stop> {
        let clock = Arc::new(TrialClock::default());
        let clocks = Clocks::start(clock.clone());
        block_in_place(|| workspace::lay_out(&self.task, &places.workspace))
            .map_err(|error| cannot("lay out the workspace", &error))?;
        let mut snapshotter = Snapshotter::new(
            &places.workspace,
            self.blobs.clone(),
            self.runtime.litter.clone(),
            workspace::starter_files(&self.task),
        );
        let snapshots = vec![self.snapshot(&mut snapshotter, 0)?];
        let guard = format!("mtsec-guard-{}", hex::encode(rand::random::<[u8; 8]>()));
        let mut spec = (self.runtime.backend)(self.key, &self.task, conversation).map_err(Stop::Infrastructure)?;
        spec.guard = Some(guard.clone());
        let purses = self.stand.purses();
        spec.budget.purses.clone_from(&purses);
        spec.canaries = self.stand.canaries.clone();
        let route = self.stand.conductor.gateway.open(spec);
        let critic = self.critic(conversation, purses)?;
        clock.follow(route.clock());
        let limits = self.runtime.cell.limits;
        let disk = DiskWatch::start(places.root().to_owned(), limits, &self.stand.conductor.cancel);
        let stage = Stage {
            trial: self.key.to_string(),
            interaction: self.key.interaction,
            workspace: places.workspace.clone(),
            files: workspace::starter_files(&self.task),
            home: places.home.clone(),
            tmp: places.tmp.clone(),
            logs: places.logs.clone(),
            api_base: route.base_url().to_owned(),
            gateway: self.stand.scratch.socket(),
            api_key: route.key().to_owned(),
            guard,
            model: self.runtime.model.clone(),
            options: self.runtime.cell.options.clone(),
            clocks,
            cancel: disk.cancel.clone(),
        };
        let opening = Instant::now();
        let opened = self.runtime.scaffold.open(&stage, &self.runtime.cell.limits).await;
        self.agent_seconds += opening.elapsed().as_secs_f64();
        let mut session = match opened {
            Ok(session) => session,
            Err(OpenError::Cancelled) => {
                return Err(match disk.exceeded() {
                    Some(held) => Stop::Infrastructure(format!("the agent held {held} before it was ready")),
                    None => Stop::Cancelled,
                });
            }
            Err(error) => {
                self.keep_logs(places)?;
                return Err(Stop::Infrastructure(error.to_string()));
            }
        };
        let mut live = Live {
            session: session.as_mut(),
            route: &route,
            critic: critic.as_ref(),
            places,
            disk: &disk,
            clock,
            snapshotter,
            snapshots,
        };
        let said = self.converse(&mut live, conversation).await;
        let snapshots = live.snapshots;
        let closing = Instant::now();
        let (_, killed) = session.close().await;
        self.agent_seconds += closing.elapsed().as_secs_f64();
        if let Some(last) = self.turns.last_mut() {
            last.strays += killed.count;
        }
        route.close(SETTLE).await;
        self.usage = route.usage();
        self.contamination.evidence.extend(route.evidence());
        if let Some(critic) = &critic {
            let route = critic.close(SETTLE).await;
            self.usage.add(&route.usage());
            self.contamination.evidence.extend(route.evidence());
        }
        self.waited_seconds = route.clock().waited().as_secs_f64();
        self.keep_logs(places)?;
        // Calls may outlive their turns: from here on their records are whole.
        self.read_traffic(conversation.turns.len(), &snapshots)?;
        self.tell_contamination()?;
        said?;
        nothing_runs(killed)?;
        Ok(snapshots)
    }

    /// Who puts failures in words, where the interaction has somebody.
    fn critic(&self, conversation: &Conversation, purses: Vec<Arc<Purse>>) -> Result<Option<Critic>, Stop> {
        if self.key.interaction != Interaction::DebuggingNatural {
            return Ok(None);
        }
        let runtime = self.runtime.critic.as_ref();
        let runtime = runtime.ok_or_else(|| Stop::Infrastructure("the cell has no critic".to_owned()))?;
        let mut spec = (runtime.backend)(self.key, &self.task, conversation).map_err(Stop::Infrastructure)?;
        spec.budget.purses = purses;
        spec.canaries = self.stand.canaries.clone();
        let route = self.stand.conductor.gateway.open(spec);
        Critic::new(route, &runtime.model).map(Some)
    }

    fn keep_logs(&mut self, places: &Places) -> Result<(), StoreError> {
        match block_in_place(|| keep_logs(&places.logs, self.folder))? {
            0 => Ok(()),
            left_out => self.warn(format!(
                "{left_out} files of the agent's own logs are not kept: too large, too many, too deep or unreadable"
            )),
        }
    }

    fn snapshot(&mut self, snapshotter: &mut Snapshotter, turn: usize) -> Result<Manifest, Stop> {
        // Reading a large workspace must not keep other agents waiting for their answers.
        let manifest = block_in_place(|| snapshotter.take()).map_err(|error| cannot("store a snapshot", &error))?;
        self.folder
            .write_json(&format!("turns/{turn}/snapshot.json"), &manifest)?;
        if let Some(why) = &manifest.incomplete {
            self.warn(format!("the snapshot after turn {turn} is not complete: {why}"))?;
        }
        if manifest.unkept() > 0 {
            let (unkept, why) = (manifest.unkept(), "too large or unreadable");
            self.warn(format!(
                "{unkept} files of the snapshot after turn {turn} are not kept: {why}"
            ))?;
        }
        self.search(&manifest, turn)?;
        Ok(manifest)
    }

    fn warn(&mut self, text: String) -> Result<(), StoreError> {
        self.stand.note(&Event::Warning {
            key: self.key.clone(),
            text: text.clone(),
        })?;
        self.warnings.push(text);
        Ok(())
    }
}

/// What cannot be killed is held by the kernel, which says nothing about the agent.
fn nothing_runs(killed: Killed) -> Result<(), Stop> {
    match killed.left {
        0 => Ok(()),
        left => Err(Stop::Infrastructure(format!(
            "{left} processes of the agent could not be ended"
        ))),
    }
}

fn infrastructure(reason: &str) -> Outcome {
    Outcome::InfrastructureFailure {
        reason: reason.to_owned(),
    }
}

fn cannot(what: &str, error: &io::Error) -> Stop {
    Stop::Infrastructure(format!("cannot {what}: {error}"))
}
