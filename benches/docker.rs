//! What holding an agent in Docker costs: a contained start against the bare Engine API, in the same run.
//!
//! Bare: create, start, wait, remove of a container of the same image that executes `true`. Contained: `true` as the agent
//! of a trial, from the wrapped command's start until its container is gone. The wish is a ratio of 1.3.
#![allow(clippy::unwrap_used)]

#[allow(dead_code, reason = "the tests of Docker use all of it")]
#[path = "../tests/docker/daemon.rs"]
mod daemon;

use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bollard::models::{ContainerCreateBody, HostConfig, Mount, MountType};
use bollard::query_parameters::{
    CreateContainerOptions, ListContainersOptionsBuilder, RemoveContainerOptions, WaitContainerOptions,
};
use futures_util::TryStreamExt;
use mtsec_agents::containment::Containers;
use mtsec_agents::docker::Engine;
use mtsec_agents::process::{Containment, Room};

const PROGRAM: &str = env!("CARGO_BIN_EXE_mtsec-agents");
const ROUNDS: usize = 15;

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// What anyone would do with the API to run one command.
async fn bare(client: &bollard::Docker, image: &str) {
    let usr = Mount {
        source: Some("/usr".to_owned()),
        target: Some("/usr".to_owned()),
        typ: Some(MountType::BIND),
        read_only: Some(true),
        ..Mount::default()
    };
    let body = ContainerCreateBody {
        image: Some(image.to_owned()),
        entrypoint: Some(vec!["/usr/bin/true".to_owned()]),
        host_config: Some(HostConfig {
            network_mode: Some("none".to_owned()),
            mounts: Some(vec![usr]),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    };
    let created = client
        .create_container(None::<CreateContainerOptions>, body)
        .await
        .unwrap();
    client.start_container(&created.id, None).await.unwrap();
    let waited = client.wait_container(&created.id, None::<WaitContainerOptions>);
    let _: Vec<_> = waited.try_collect().await.unwrap();
    client
        .remove_container(&created.id, None::<RemoveContainerOptions>)
        .await
        .unwrap();
}

/// The places of a session.
struct Places {
    folder: tempfile::TempDir,
    _gateway: UnixListener,
}

impl Places {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["workspace", "home", "tmp", "logs", "private"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        let gateway = UnixListener::bind(folder.path().join("gateway.sock")).unwrap();
        Self {
            folder,
            _gateway: gateway,
        }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

async fn contained(client: &bollard::Docker, containers: &Containers, places: &Places) {
    let room = Room {
        workspace: &places.at("workspace"),
        home: &places.at("home"),
        tmp: &places.at("tmp"),
        logs: &places.at("logs"),
        shown: &[],
        gateway: &places.at("gateway.sock"),
        private: &places.at("private"),
        trial: "bench",
    };
    let wrapped = containers.wrap(vec!["/usr/bin/true".to_owned()], room).unwrap();
    let [program, arguments @ ..] = wrapped.argv.as_slice() else {
        unreachable!("a wrapped command has a program");
    };
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let all = || ListContainersOptionsBuilder::new().all(true).build();
    while !client.list_containers(Some(all())).await.unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::main]
async fn main() {
    let Some(daemon) = daemon::Daemon::start() else { return };
    let engine = Engine::connect_to(&daemon.host()).await.unwrap();
    let client = bollard::Docker::connect_with_host(&daemon.host()).unwrap();
    let image = engine.base_image().await.unwrap();
    let containers = Containers::new(engine.clone(), Path::new(PROGRAM), "bench").unwrap();
    let places = Places::new();
    let (mut plain, mut held) = (Vec::new(), Vec::new());
    // The first of each is not counted.
    for round in 0..=ROUNDS {
        let start = Instant::now();
        bare(&client, &image).await;
        let between = Instant::now();
        contained(&client, &containers, &places).await;
        if round > 0 {
            plain.push(between - start);
            held.push(between.elapsed());
        }
    }
    let (plain, held) = (median(plain), median(held));
    let ratio = held.as_secs_f64() / plain.as_secs_f64();
    let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
    println!("{}, medians of {ROUNDS}:", engine.describe());
    println!("bare create, start, wait, remove  {:7.1} ms", milliseconds(plain));
    println!("an agent's container, until gone  {:7.1} ms", milliseconds(held));
    println!("ratio (the wish: 1.3)             {ratio:7.2}");
}
