//! The tester: what a tree is worth, judged in a sandbox.
//!
//! Two contained processes share the work. The *judge* (one per task, kept for further trees unless a class of the setup
//! brings its own equality) evaluates the task's setup and test cases and keeps the expected values. The *runner* (a fresh one per run) executes the program under
//! test and gets inputs only; it claims, case by case, what the function returned or raised, as typed data. The judge
//! compares. So the program can claim what it likes, but it knows nothing worth claiming, and cannot decide what is
//! equal. Count, order, nonce, size, end and exit status are checked here, outside of both.
//!
//! What a failed case is about is told by the judge, after the verdict: its own input and expected value, and what was
//! claimed, written from the claim's data without running anything. The text of an exception is the runner's, cut and made
//! printable: a claim in words, that decides nothing.
//!
//! The semantics are those of the benchmark's own kit: one process, cases strictly in order with state carried over;
//! the program runs as `__main__` after the setup in a namespace that also holds `unittest`, `pickle` and `os`; test
//! cases are evaluated as a function body after the program; `f(**inputs)`, and `f(*inputs.values())` after a TypeError
//! that says "got an unexpected keyword argument"; an exception class as expected value means that it or a subclass
//! must be raised; Python's `==`; any other exception is an error; a `BaseException`, a failing load, a hanging thread
//! or a status other than 0 fails the whole run.
//!
//! A solution alone finds an empty working directory. One with other files finds the whole tree there, `__file__` being
//! the solution in it, so that it reads and imports them as it did where it was written.
//!
//! Stricter than the kit, on purpose:
//! - a returned object whose class brings its own `__eq__` equals nothing, unless the task's setup defines the class:
//!   in the kit an object that is equal to everything passes every case;
//! - results are claims over a private channel, not a file that the program can write;
//! - no network but the run's own loopback, no keys, no user site-packages, and limits on memory, processes, files and time;
//! - whatever crashes the kit itself (leaving with status 0 before the results are written, output that is not UTF-8)
//!   is a failed run.
//!
//! More lenient in four artefacts of the kit's file layout: the program's own failing `TestCase` classes, rebound `os`,
//! `pickle` or `unittest` names after use, a trailing decorator, and children that keep standard output open do not
//! fail a run. A `from __future__` import does, as in the kit, which puts lines before it.

pub mod environment;
mod error;
mod explain;
mod frames;
mod harness;
mod judge;
mod limits;
mod recent;
mod run;
mod tree;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use sha2::{Digest, Sha256};
use tokio::sync::{OnceCell, Semaphore};

pub use error::{BrokenTask, TesterError};
pub use limits::TestLimits;
pub use tree::Tree;

use crate::python::{Interpreter, VersionRange};
use crate::sandbox::{ForkServer, Launcher, Sandbox, SandboxError};
use crate::task::Task;
use crate::verdict::{CaseResult, Explanation, Judgement, RunFailure, RunFailureKind};
use judge::{Judge, JudgeFailure};
use recent::Recent;
use run::Claims;

/// The versions of Python that the benchmark's reference solutions run on.
pub const PYTHON: VersionRange = VersionRange {
    at_least: (3, 10),
    below: (3, 14),
};

/// Judges kept at once: each is a process of a few megabytes of its own.
const JUDGES: usize = 16;
/// Fork servers kept at once, one per set of third-party packages.
const SERVERS: usize = 4;
/// Runs forked ahead per server, to hide the time that their namespaces take.
const AHEAD: usize = 2;

/// What a tester needs to know.
#[derive(Debug, Clone)]
pub struct TesterConfig {
    /// Starts the sandboxes; with our own executable, usually.
    pub launcher: Launcher,
    /// From [`crate::python::find`] with [`PYTHON`].
    pub interpreter: Interpreter,
    pub limits: TestLimits,
    /// Trees judged at once.
    pub concurrent: usize,
    /// Holds `environments/`: installed third-party packages.
    pub cache: PathBuf,
}

/// How many cases a task has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TestCounts {
    pub capability: usize,
    pub safety: usize,
}

/// Judges trees. Cheap to clone; everything it started ends with its last clone.
#[derive(Clone)]
pub struct Tester {
    shared: Arc<Shared>,
}

/// `None` for a task whose judges serve one run each.
type SharedJudge = Option<Arc<Judge>>;

struct Shared {
    config: TesterConfig,
    permits: Semaphore,
    servers: Recent<Option<PathBuf>, Arc<ForkServer>>,
    judges: Recent<[u8; 32], Arc<OnceCell<SharedJudge>>>,
}

impl Tester {
    /// Starts the sandbox, so that what is missing on the host is known before any work.
    ///
    /// # Errors
    /// What is missing, with the remedy.
    pub async fn start(config: TesterConfig) -> Result<Self, TesterError> {
        let permits = Semaphore::new(config.concurrent.max(1));
        let tester = Self {
            shared: Arc::new(Shared {
                config,
                permits,
                servers: Recent::new(SERVERS),
                judges: Recent::new(JUDGES),
            }),
        };
        tester.shared.server(None)?.warm_up().await?;
        Ok(tester)
    }

    /// What it judges with, such as `CPython 3.11.2 (namespaces)`.
    pub fn describe(&self) -> String {
        let (major, minor, patch) = self.shared.config.interpreter.version;
        format!("CPython {major}.{minor}.{patch} ({})", self.shared.config.launcher)
    }

    /// Judges a tree. Whatever its program does is a judgement.
    ///
    /// # Errors
    /// A task that cannot be used ([`TesterError::is_broken_task`]), or infrastructure.
    pub async fn judge(&self, task: &Task, tree: &Tree) -> Result<Judgement, TesterError> {
        Ok(self.examine(task, tree, false).await?.0)
    }

    /// Judges a tree and tells what did not pass. The verdict is the same: explaining follows it, and runs nothing again.
    ///
    /// # Errors
    /// As [`Tester::judge`].
    pub async fn explain(&self, task: &Task, tree: &Tree) -> Result<(Judgement, Explanation), TesterError> {
        self.examine(task, tree, true).await
    }

    async fn examine(
        &self,
        task: &Task,
        tree: &Tree,
        explained: bool,
    ) -> Result<(Judgement, Explanation), TesterError> {
        let asked = Instant::now();
        let shared = &*self.shared;
        // The semaphore is never closed.
        let _permit = shared.permits.acquire().await;
        let place = shared.place(task).await?;
        let (mut judgement, explanation) = match shared.verdict(&place, task, tree, explained).await {
            // The sandbox has died under us; on a fresh one the same program gets one more chance.
            Err(TesterError::Sandbox(SandboxError::Died { detail })) => {
                tracing::warn!(%detail, "the sandbox died and is started again");
                shared.verdict(&place, task, tree, explained).await?
            }
            other => other?,
        };
        judgement.wall_ms = asked.elapsed().as_secs_f64() * 1e3;
        Ok((judgement, explanation))
    }

    /// The modules that a solution of the task can import besides its own files: the standard library's and those of the
    /// task's packages.
    ///
    /// # Errors
    /// A task that cannot be used, or packages that cannot be had.
    pub async fn modules(&self, task: &Task) -> Result<BTreeSet<String>, TesterError> {
        let place = self.shared.place(task).await?;
        let mut modules = self.shared.config.interpreter.stdlib_modules.clone();
        if let Some(folder) = place.packages {
            let installed = environment::modules(&folder).map_err(|error| TesterError::Environment {
                task: task.id.clone(),
                error: environment::EnvironmentError::Io { path: folder, error },
            })?;
            modules.extend(installed);
        }
        Ok(modules)
    }

    /// Prepares the judge of a task without running anything: refuses a broken task up front.
    pub async fn check(&self, task: &Task) -> Result<TestCounts, TesterError> {
        let _permit = self.shared.permits.acquire().await;
        let place = self.shared.place(task).await?;
        let [capability, safety] = self.shared.judge(&place, task).await?.inputs.counts;
        Ok(TestCounts { capability, safety })
    }
}

/// Where a task is judged.
struct Place {
    server: Arc<ForkServer>,
    /// The folder of third-party packages.
    packages: Option<PathBuf>,
}

impl Shared {
    /// The fork server for a folder of packages; not necessarily running.
    fn server(&self, packages: Option<PathBuf>) -> Result<Arc<ForkServer>, TesterError> {
        self.servers.get_or_try_insert(packages, |packages| {
            let spec = harness::spec(&self.config.interpreter, packages.as_deref())?;
            let ahead = AHEAD.min(self.config.concurrent.max(1));
            Ok(Arc::new(ForkServer::new(self.config.launcher.clone(), spec, ahead)))
        })
    }

    async fn place(&self, task: &Task) -> Result<Place, TesterError> {
        let broken = |reason| TesterError::Broken {
            task: task.id.clone(),
            reason,
        };
        let plain = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
        if task.function.is_empty() || !task.function.chars().all(plain) {
            return Err(broken(BrokenTask::Function(task.function.clone())));
        }
        let failed = |error| TesterError::Environment {
            task: task.id.clone(),
            error,
        };
        let wanted = environment::third_party(&task.requires, &self.config.interpreter).map_err(failed)?;
        let packages = if wanted.is_empty() {
            None
        } else {
            let (cache, interpreter) = (self.config.cache.clone(), self.config.interpreter.clone());
            let prepared =
                tokio::task::spawn_blocking(move || environment::prepare(&cache, &wanted, &interpreter)).await;
            let prepared = prepared.unwrap_or_else(|error| {
                Err(environment::EnvironmentError::Io {
                    path: self.config.cache.clone(),
                    error: std::io::Error::other(error),
                })
            });
            Some(prepared.map_err(failed)?)
        };
        let server = self.server(packages.clone())?;
        Ok(Place { server, packages })
    }

    /// The running judge of a task.
    async fn judge(&self, place: &Place, task: &Task) -> Result<Arc<Judge>, TesterError> {
        let mut hash = Sha256::new();
        for part in [&task.tests.setup, &task.tests.testcases] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        hash.update(
            place
                .packages
                .as_deref()
                .map_or(&[][..], |path| path.as_os_str().as_encoded_bytes()),
        );
        let key: [u8; 32] = hash.finalize().into();
        if let Some(cell) = self.judges.get(&key)
            && cell
                .get()
                .is_some_and(|judge| judge.as_ref().is_some_and(|judge| !judge.alive()))
        {
            self.judges.remove(&key);
        }
        let cell = self.judges.get_or_insert(key, |_| Arc::new(OnceCell::new()));
        let mut own = None;
        let start = async || {
            let judge = self.start_judge(place, task).await?;
            Ok::<_, TesterError>(if judge.inputs.alone {
                own = Some(judge);
                None
            } else {
                Some(judge)
            })
        };
        if let Some(judge) = cell.get_or_try_init(start).await? {
            return Ok(Arc::clone(judge));
        }
        match own {
            Some(judge) => Ok(judge),
            None => self.start_judge(place, task).await,
        }
    }

    /// A judge that nobody else has.
    async fn start_judge(&self, place: &Place, task: &Task) -> Result<Arc<Judge>, TesterError> {
        let judge = Judge::start(&*place.server, &task.tests).await;
        judge.map(Arc::new).map_err(|failure| match failure {
            JudgeFailure::Broken(reason) => TesterError::Broken {
                task: task.id.clone(),
                reason,
            },
            JudgeFailure::Sandbox(error) => TesterError::Sandbox(error),
            JudgeFailure::Lost(detail) => TesterError::Judge {
                task: task.id.clone(),
                detail,
            },
        })
    }

    async fn verdict(
        &self,
        place: &Place,
        task: &Task,
        tree: &Tree,
        explained: bool,
    ) -> Result<(Judgement, Explanation), TesterError> {
        let judge = self.judge(place, task).await?;
        let mut claims = run::run(&*place.server as &dyn Sandbox, task, &judge, tree, &self.config.limits).await?;
        let judgement = self.score(place, task, &judge, &mut claims).await?;
        let explanation = match explained {
            true => self.explanation(place, task, &judge, &judgement, &claims).await?,
            false => Explanation::default(),
        };
        Ok((judgement, explanation))
    }

    /// Compares what a run claimed. Cases that it did not reach are `not_run`.
    async fn score(
        &self,
        place: &Place,
        task: &Task,
        judge: &Judge,
        claims: &mut Claims,
    ) -> Result<Judgement, TesterError> {
        let [capability, safety] = judge.inputs.counts;
        let forged = claims
            .failure
            .as_ref()
            .is_some_and(|failure| failure.kind == RunFailureKind::Protocol);
        if forged {
            claims.answers.clear();
            claims.told.clear();
            claims.results = None;
        }
        let mut results = claims.results.take().unwrap_or_default();
        if results.len() != claims.answers.len() {
            results = match judge.score(&claims.answers).await {
                Ok(results) => results,
                // Another run's claims may have ended this judge: these get one that no other run can reach before
                // they are blamed.
                Err(_) => match self.start_judge(place, task).await?.score(&claims.answers).await {
                    Ok(results) => results,
                    Err(JudgeFailure::Sandbox(error)) => return Err(error.into()),
                    Err(failure) => {
                        let detail = format!("its answers could not be compared ({failure:?})");
                        claims.failure.get_or_insert(RunFailure {
                            kind: RunFailureKind::Protocol,
                            detail,
                        });
                        Vec::new()
                    }
                },
            };
        }
        results.resize(capability + safety, CaseResult::NotRun);
        let safety = results.split_off(capability);
        Ok(Judgement {
            counted: None,
            verdict: Judgement::verdict_of(&results, &safety, claims.failure.is_some()),
            capability: results,
            safety,
            failure: claims.failure.clone(),
            missing_module: claims.missing_module.clone(),
            left_out: claims.left_out,
            wall_ms: 0.0,
        })
    }
}
