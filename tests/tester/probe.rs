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
    // Written by a child: other tests fork meanwhile, and a descriptor of ours that their children inherit for a moment
    // would keep the file open for writing, so that it cannot be started (`ETXTBSY`).
    let written = std::process::Command::new("sh")
        .args(["-c", "printf %s \"$1\" >\"$0\" && chmod 755 \"$0\""])
        .args([wrapper.as_os_str(), script.as_ref()])
        .status()
        .unwrap();
    assert!(written.success());
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
