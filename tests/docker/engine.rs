//! The client: what it connects to, what it makes, what it removes.

use std::time::{Duration, Instant};

use bollard::query_parameters::{InspectContainerOptions, ListImagesOptions};
use mtsec_agents::docker::{ContainerSpec, DockerError, End, Engine, Mount, system_mounts};

use super::common::program;
use super::daemon::{Daemon, PATIENCE, shared_engine, shared_host};

/// A container of `/usr/bin/env` and the like.
fn of(command: &[&str]) -> ContainerSpec {
    ContainerSpec {
        purpose: "test".to_owned(),
        run: "a-run".to_owned(),
        trial: "a-trial".to_owned(),
        command: command.iter().map(|part| (*part).to_owned()).collect(),
        user: (65534, 65534),
        mounts: system_mounts(),
        memory: 256 << 20,
        processes: 32,
        ..ContainerSpec::default()
    }
}

/// Another client of the same daemon, to look at what the program made.
fn look() -> bollard::Docker {
    bollard::Docker::connect_with_host(&shared_host().unwrap()).unwrap()
}

#[tokio::test]
async fn an_absent_daemon_is_said_with_its_remedy() {
    let error = Engine::connect_to("unix:///no/such/socket").await.unwrap_err();
    assert!(
        error.is_away() && error.to_string().contains("systemctl start docker"),
        "{error}"
    );
    let error = Engine::connect_to("ssh://somewhere").await.unwrap_err();
    assert!(matches!(error, DockerError::Host(_)) && !error.is_away(), "{error}");
    // Before any work, with the exit code of a missing prerequisite.
    let mut command = program();
    command.args(["tasks", "validate", "--sandbox", "docker"]);
    let output = command.env("DOCKER_HOST", "unix:///no/such/socket").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("/no/such/socket") && output.stdout.is_empty(), "{said}");
}

#[tokio::test]
async fn a_container_has_its_walls_and_its_labels() {
    let Some(engine) = shared_engine().await else { return };
    assert!(engine.describe().starts_with("Docker Engine "), "{}", engine.describe());
    let shown = tempfile::tempdir().unwrap();
    let script =
        "touch /tmp/x /usr/x /shown/x && exit 1; test -d /etc/alternatives || exit 2; test -e /root/.. || exit 3
        test -e /etc/shadow && exit 4; test $(ls /sys/class/net | wc -l) = 1 || exit 5
        grep -q 'CapEff:\\s*0*$' /proc/self/status || exit 6; grep -q 'NoNewPrivs:\\s*1' /proc/self/status || exit 7
        test $(id -u) = 65534 || exit 8; exit 42";
    let mut spec = of(&["/bin/sh", "-c", script]);
    spec.mounts
        .push(Mount::read_only(shown.path().canonicalize().unwrap(), "/shown"));
    let container = engine.create(&spec).await.unwrap();
    let seen = look()
        .inspect_container(container.id(), None::<InspectContainerOptions>)
        .await
        .unwrap();
    container.start().await.unwrap();
    assert_eq!(container.wait().await.unwrap(), End::Status(42));
    let labels = seen.config.unwrap().labels.unwrap();
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    for (label, value) in [
        ("mtsec-agents", "1"),
        ("mtsec-agents.run", "a-run"),
        ("mtsec-agents.trial", "a-trial"),
        ("mtsec-agents.boot", boot.trim()),
        ("mtsec-agents.pid", &std::process::id().to_string()),
    ] {
        assert_eq!(labels.get(label).map(String::as_str), Some(value), "{labels:?}");
    }
    assert!(labels.contains_key("mtsec-agents.started"), "{labels:?}");
    let host = seen.host_config.unwrap();
    assert_eq!((host.memory, host.memory_swap), (Some(256 << 20), Some(256 << 20)));
    assert_eq!(host.pids_limit, Some(32));
    // Its owner lives: it is nobody's leftover.
    let reaped = engine.reap().await.unwrap();
    assert!(reaped.iter().all(|reaped| reaped.id != container.id()), "{reaped:?}");
    assert!(container.remove().await.unwrap());
    assert!(!container.remove().await.unwrap());
    assert_eq!(container.wait().await.unwrap(), End::Gone);
}

#[tokio::test]
async fn what_runs_is_killed() {
    let Some(engine) = shared_engine().await else { return };
    let container = engine.create(&of(&["/bin/sleep", "1000"])).await.unwrap();
    container.start().await.unwrap();
    assert!(container.kill().await.unwrap());
    assert_eq!(container.wait().await.unwrap(), End::Status(137));
    assert!(!container.kill().await.unwrap());
    container.remove().await.unwrap();
}

/// On a daemon that never had an image, the only one afterwards is ours, and it is empty.
#[tokio::test]
async fn nothing_is_pulled() {
    let Some(daemon) = Daemon::start() else { return };
    let host = daemon.host();
    let output = program()
        .args(["tasks", "validate", "--sandbox", "docker", "-l", "1"])
        .env("DOCKER_HOST", &host)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let client = bollard::Docker::connect_with_host(&host).unwrap();
    let images = client.list_images(None::<ListImagesOptions>).await.unwrap();
    assert_eq!(images.len(), 1, "{images:?}");
    assert!(images[0].repo_tags[0].starts_with("mtsec-agents/base:"), "{images:?}");
    assert!(images[0].size < 4096, "{images:?}");
    // Whatever was started has ended by itself.
    let engine = Engine::connect_to(&host).await.unwrap();
    all_gone(&engine, &client).await;
}

/// Waits until the daemon has no container any more.
pub async fn all_gone(engine: &Engine, client: &bollard::Docker) {
    let end = Instant::now() + PATIENCE;
    loop {
        let options = bollard::query_parameters::ListContainersOptionsBuilder::new()
            .all(true)
            .build();
        let left = client.list_containers(Some(options)).await.unwrap();
        if left.is_empty() {
            return;
        }
        assert!(Instant::now() < end, "left on {}: {left:?}", engine.describe());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
