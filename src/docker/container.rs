//! One container: what it may do, and its life.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use bollard::models::{self, ContainerCreateBody, HostConfig, HostConfigLogConfig};
use bollard::query_parameters::{CreateContainerOptions, KillContainerOptions, WaitContainerOptions};
use futures_util::TryStreamExt;
use serde::{Deserialize, Serialize};

use super::owner::Owner;
use super::{DockerError, Engine};

/// The user that owns nothing.
const NOBODY: u32 = 65534;

/// A bind mount. Both paths are absolute, and the source has no symbolic links left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    pub source: PathBuf,
    pub target: PathBuf,
    pub writable: bool,
}

impl Mount {
    pub fn read_only(source: impl Into<PathBuf>, target: impl Into<PathBuf>) -> Self {
        Self {
            source: source.into(),
            target: target.into(),
            writable: false,
        }
    }

    pub fn writable(source: impl Into<PathBuf>, target: impl Into<PathBuf>) -> Self {
        Self {
            writable: true,
            ..Self::read_only(source, target)
        }
    }
}

/// What runs in a container, and within which bounds. Never a network, a capability, a writable root or a way to more
/// rights: what differs between uses is here, what does not is in [`Engine::create`].
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ContainerSpec {
    /// What it is for, such as `tester`; part of its name.
    pub purpose: String,
    /// Whose it is: labels only.
    pub run: String,
    pub trial: String,
    /// The command line of its first process.
    pub command: Vec<String>,
    /// All of its environment.
    pub environment: Vec<(String, String)>,
    pub working_dir: Option<PathBuf>,
    /// `(user, group)`.
    pub user: (u32, u32),
    pub mounts: Vec<Mount>,
    /// Where memory is mounted as a folder that anyone may write to, with the options of the mount.
    pub tmpfs: Vec<(PathBuf, String)>,
    /// Size of `/dev/shm` in bytes; 0: none.
    pub shm: u64,
    /// Memory of all its processes together, in bytes; 0: no limit.
    pub memory: u64,
    /// Processes and threads together; 0: no limit.
    pub processes: u32,
    /// May make namespaces of its own, as a sandbox inside must: the kernel's filter and the masks over `/proc` are the
    /// first process's own work then.
    pub nests: bool,
    /// The daemon removes it as soon as it has ended.
    pub auto_remove: bool,
}

/// A container that was created.
#[derive(Debug, Clone)]
pub struct Container {
    engine: Engine,
    id: String,
}

/// How a container's first process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Status(i64),
    /// It is not there any more.
    Gone,
}

/// Who programs in our containers are: never root, and able to read what we can unless we are.
pub fn user() -> (u32, u32) {
    match rustix::process::geteuid() {
        root if root.is_root() => (NOBODY, NOBODY),
        user => (user.as_raw(), rustix::process::getegid().as_raw()),
    }
}

fn text(path: &Path) -> Result<String, DockerError> {
    path.to_str().map(str::to_owned).ok_or_else(|| {
        let why = format!("the path {} is not UTF-8", path.display());
        DockerError::Local(std::io::Error::other(why))
    })
}

impl Engine {
    /// Creates a container on the base image, with all labels from the start.
    ///
    /// # Errors
    /// The daemon refuses, or is away.
    pub async fn create(&self, spec: &ContainerSpec) -> Result<Container, DockerError> {
        match self.create_once(spec).await {
            // Somebody has removed the image meanwhile.
            Err(error) if error.is_missing() => self.create_once(spec).await,
            other => other,
        }
    }

    async fn create_once(&self, spec: &ContainerSpec) -> Result<Container, DockerError> {
        let step = "create a container";
        let body = self.body(spec, self.base_image().await?)?;
        let name = format!(
            "mtsec-agents-{}-{}",
            spec.purpose,
            hex::encode(rand::random::<[u8; 6]>())
        );
        let options = CreateContainerOptions {
            name: Some(name),
            ..CreateContainerOptions::default()
        };
        let created = self.client.create_container(Some(options), body).await;
        Ok(Container {
            engine: self.clone(),
            id: created.map_err(|error| DockerError::of(step, error))?.id,
        })
    }

    fn body(&self, spec: &ContainerSpec, image: String) -> Result<ContainerCreateBody, DockerError> {
        let mut mounts = Vec::new();
        for mount in &spec.mounts {
            mounts.push(models::Mount {
                source: Some(text(&mount.source)?),
                target: Some(text(&mount.target)?),
                typ: Some(models::MountType::BIND),
                read_only: Some(!mount.writable),
                ..models::Mount::default()
            });
        }
        let mut tmpfs = HashMap::new();
        for (target, options) in &spec.tmpfs {
            tmpfs.insert(text(target)?, options.clone());
        }
        // Files of this machine are shared into it: a second label over them would lock it out where SELinux is on.
        let mut security = vec!["no-new-privileges".to_owned(), "label=disable".to_owned()];
        if spec.nests {
            security.extend(["seccomp=unconfined", "apparmor=unconfined"].map(str::to_owned));
        }
        let limit = |value: u64| (value > 0).then(|| i64::try_from(value).unwrap_or(i64::MAX));
        let host = HostConfig {
            network_mode: Some("none".to_owned()),
            ipc_mode: Some(if spec.shm > 0 { "private" } else { "none" }.to_owned()),
            shm_size: limit(spec.shm),
            tmpfs: Some(tmpfs),
            readonly_rootfs: Some(true),
            cap_drop: Some(vec!["ALL".to_owned()]),
            security_opt: Some(security),
            masked_paths: spec.nests.then(Vec::new),
            readonly_paths: spec.nests.then(Vec::new),
            memory: limit(spec.memory),
            // The same with swap: no more by swapping.
            memory_swap: limit(spec.memory),
            pids_limit: limit(spec.processes.into()),
            auto_remove: Some(spec.auto_remove),
            // Our own program is the first process, whatever the daemon's default is.
            init: Some(false),
            log_config: Some(HostConfigLogConfig {
                typ: Some("none".to_owned()),
                config: None,
            }),
            mounts: Some(mounts),
            ..HostConfig::default()
        };
        let environment = spec.environment.iter().map(|(name, value)| format!("{name}={value}"));
        let owner = Owner::this_process()?;
        Ok(ContainerCreateBody {
            image: Some(image),
            hostname: Some("sandbox".to_owned()),
            user: Some(format!("{}:{}", spec.user.0, spec.user.1)),
            entrypoint: Some(spec.command.clone()),
            env: Some(environment.collect()),
            working_dir: spec.working_dir.as_deref().map(text).transpose()?,
            labels: Some(owner.labels(&spec.purpose, &spec.run, &spec.trial)),
            // A daemon that is restarted ends it at once.
            stop_signal: Some("SIGKILL".to_owned()),
            host_config: Some(host),
            ..ContainerCreateBody::default()
        })
    }
}

impl Container {
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Starts its first process.
    ///
    /// # Errors
    /// The daemon refuses, or is away.
    pub async fn start(&self) -> Result<(), DockerError> {
        let started = self.engine.client.start_container(&self.id, None);
        started
            .await
            .map_err(|error| DockerError::of("start a container", error))
    }

    /// Waits for the end of its first process.
    ///
    /// # Errors
    /// The daemon is away.
    pub async fn wait(&self) -> Result<End, DockerError> {
        let options = WaitContainerOptions {
            condition: "not-running".to_owned(),
        };
        let waited = self.engine.client.wait_container(&self.id, Some(options));
        let answers: Result<Vec<_>, _> = waited.try_collect().await;
        match answers {
            Ok(answers) => Ok(answers
                .last()
                .map_or(End::Gone, |answer| End::Status(answer.status_code))),
            Err(bollard::errors::Error::DockerContainerWaitError { code, .. }) => Ok(End::Status(code)),
            Err(error) => match DockerError::of("wait for a container", error) {
                error if error.is_missing() => Ok(End::Gone),
                error => Err(error),
            },
        }
    }

    /// Kills everything in it; true unless it had ended.
    ///
    /// # Errors
    /// The daemon is away.
    pub async fn kill(&self) -> Result<bool, DockerError> {
        let options = KillContainerOptions {
            signal: "SIGKILL".to_owned(),
        };
        match self.engine.client.kill_container(&self.id, Some(options)).await {
            Ok(()) => Ok(true),
            Err(error) => match DockerError::of("kill a container", error) {
                DockerError::Refused { status: 404 | 409, .. } => Ok(false),
                error => Err(error),
            },
        }
    }

    /// Kills and removes it; true unless it was gone.
    ///
    /// # Errors
    /// The daemon is away.
    pub async fn remove(&self) -> Result<bool, DockerError> {
        self.engine.remove(&self.id).await
    }
}
