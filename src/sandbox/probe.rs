//! Whether this host lets us build sandboxes, and what to do where it does not.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::error::SandboxError;
use super::launcher::Launcher;
use super::outer::Outer;
use super::seccomp;
use super::spec::Spec;

/// What the probe found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SandboxReport {
    /// Whether the outer shell is built with root's rights (which it then drops).
    pub as_root: bool,
    /// The kernel's release.
    pub kernel: String,
}

impl std::fmt::Display for SandboxReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let how = if self.as_root {
            "root, dropped"
        } else {
            "unprivileged user namespaces"
        };
        write!(f, "embedded sandbox: Linux {}, {how}, seccomp", self.kernel)
    }
}

/// Builds a sandbox as the tester does, tries inside what each contained process needs, and takes it down.
///
/// # Errors
/// [`SandboxError::Refused`] names the step that failed and the remedy.
pub async fn probe() -> Result<SandboxReport, SandboxError> {
    let launcher = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("/proc/self/exe"));
    probe_with(&launcher).await
}

/// [`probe`] with another executable as launcher: one whose `main` calls [`super::init_main`].
pub async fn probe_with(launcher: &Path) -> Result<SandboxReport, SandboxError> {
    seccomp::program(seccomp::For::Solution).map_err(|error| SandboxError::Refused {
        step: "compiling the system-call filter".to_owned(),
        error: io::Error::other(error),
        remedy: "Use a machine with an x86_64 or aarch64 processor.".to_owned(),
    })?;
    Outer::start(&Launcher::from(launcher), &Spec::default()).await?;
    Ok(SandboxReport {
        as_root: nix::unistd::geteuid().is_root(),
        kernel: fs::read_to_string("/proc/sys/kernel/osrelease")
            .unwrap_or_default()
            .trim()
            .to_owned(),
    })
}

/// What to do about a refused step, from what the host's settings say.
pub(crate) fn remedy(step: &str, error: &io::Error) -> String {
    let setting = |name: &str| {
        let text = fs::read_to_string(Path::new("/proc/sys").join(name)).ok()?;
        text.trim().parse::<u64>().ok()
    };
    explain(
        step,
        error,
        &Host {
            userns_clone: setting("kernel/unprivileged_userns_clone"),
            max_user_namespaces: setting("user/max_user_namespaces"),
            apparmor_restricts: setting("kernel/apparmor_restrict_unprivileged_userns"),
            container: Path::new("/.dockerenv").exists() || Path::new("/run/.containerenv").exists(),
            filtered: fs::read_to_string("/proc/self/status").is_ok_and(|text| text.contains("Seccomp:\t2")),
        },
    )
}

/// The settings that decide; `None` where the kernel has no such setting.
struct Host {
    userns_clone: Option<u64>,
    max_user_namespaces: Option<u64>,
    apparmor_restricts: Option<u64>,
    container: bool,
    filtered: bool,
}

fn explain(step: &str, error: &io::Error, host: &Host) -> String {
    let mut advice = Vec::new();
    if host.userns_clone == Some(0) {
        advice.push(
            "Unprivileged user namespaces are switched off: enable them with \
             `sudo sysctl kernel.unprivileged_userns_clone=1`."
                .to_owned(),
        );
    }
    if host.max_user_namespaces == Some(0) {
        advice.push(
            "No user namespace may be created: raise the limit with `sudo sysctl user.max_user_namespaces=15000`."
                .to_owned(),
        );
    }
    if host.apparmor_restricts == Some(1) {
        advice.push(
            "AppArmor restricts unprivileged user namespaces (Ubuntu 23.10 and later): allow them with \
             `sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0`, or with an AppArmor profile for this \
             program that has the rule `userns,`."
                .to_owned(),
        );
    }
    // A switch that is off explains the failure; a container is only guessed at.
    if advice.is_empty() && (host.container || host.filtered) {
        advice.push(
            "This seems to be a container whose seccomp profile or masked /proc forbids nested namespaces: with \
             Docker, start it with `--security-opt seccomp=unconfined --security-opt systempaths=unconfined` \
             (and `--security-opt apparmor=unconfined` where AppArmor is on), or run on the host itself."
                .to_owned(),
        );
    }
    if step.starts_with("executing") || step.starts_with("showing") {
        advice.push("A file that the sandbox must show or execute is not accessible inside.".to_owned());
    }
    if advice.is_empty() {
        let needs = match error.raw_os_error() {
            Some(libc::ENOSYS | libc::EINVAL) => {
                "The kernel lacks a feature: Linux 5.10 or later with user, mount, \
                                                  pid, ipc and network namespaces is needed."
            }
            Some(libc::ENOSPC) => "A limit on namespaces is used up: see `sysctl user` and `ulimit`.",
            _ => "User namespaces must be allowed for this user: see user_namespaces(7).",
        };
        advice.push(needs.to_owned());
    }
    advice.push("Code under test is never run outside a sandbox.".to_owned());
    advice.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host() -> Host {
        Host {
            userns_clone: None,
            max_user_namespaces: Some(1000),
            apparmor_restricts: None,
            container: false,
            filtered: false,
        }
    }

    #[test]
    fn each_known_obstacle_has_its_remedy() {
        let denied = io::Error::from_raw_os_error(libc::EPERM);
        for (host, expected) in [
            (
                Host {
                    userns_clone: Some(0),
                    ..host()
                },
                "kernel.unprivileged_userns_clone=1",
            ),
            (
                Host {
                    max_user_namespaces: Some(0),
                    ..host()
                },
                "user.max_user_namespaces=",
            ),
            (
                Host {
                    apparmor_restricts: Some(1),
                    ..host()
                },
                "apparmor_restrict_unprivileged_userns=0",
            ),
            (
                Host {
                    filtered: true,
                    ..host()
                },
                "seccomp=unconfined",
            ),
            (host(), "user_namespaces(7)"),
        ] {
            let text = explain("creating a user namespace", &denied, &host);
            assert!(text.contains(expected), "{text}");
            assert!(text.contains("never run outside a sandbox"));
        }
    }
}
