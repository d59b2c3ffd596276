//! Whether the host allows sandboxes is found out before any work, and said in words.

use std::path::Path;

use mtsec_agents::sandbox::{SandboxError, probe_with};
use mtsec_agents::tester::{TestLimits, Tester, TesterError};

use super::config;

#[tokio::test]
async fn a_fit_host_is_reported() {
    let report = probe_with(Path::new(env!("CARGO_BIN_EXE_mtsec-agents"))).await.unwrap();
    assert_eq!(report.as_root, nix::unistd::geteuid().is_root());
    assert!(report.to_string().contains("embedded sandbox: Linux "), "{report}");
}

#[tokio::test]
async fn a_launcher_that_is_none_is_an_error() {
    let absent = probe_with(Path::new("/no/such/launcher")).await;
    assert!(matches!(absent, Err(SandboxError::Launcher { .. })), "{absent:?}");
    let other = probe_with(Path::new("/bin/true")).await;
    assert!(
        matches!(other, Err(SandboxError::Died { .. } | SandboxError::Control(_))),
        "{other:?}"
    );
}

/// What the kernel refuses is named, with the remedy; nothing is tested.
#[tokio::test]
async fn a_refusing_kernel_is_named() {
    // The launcher may create no namespace: a wrapper takes that away before it starts.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let wrapper = folder.path().join("launcher");
    let script = format!(
        "#!/bin/sh\nexec unshare --user --map-root-user sh -c 'echo 0 > /proc/sys/user/max_user_namespaces; \
         echo 0 > /proc/sys/user/max_mnt_namespaces; exec {} \"$@\"' sh \"$@\"\n",
        env!("CARGO_BIN_EXE_mtsec-agents")
    );
    std::fs::write(&wrapper, script).unwrap();
    std::fs::set_permissions(&wrapper, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let error = Tester::start(config(&wrapper, TestLimits::default()))
        .await
        .err()
        .unwrap();
    assert!(!error.is_broken_task());
    let text = error.to_string();
    assert!(
        matches!(error, TesterError::Sandbox(SandboxError::Refused { .. })),
        "{text}"
    );
    assert!(
        text.contains("namespaces") && text.contains("never run outside a sandbox"),
        "{text}"
    );
}
