//! The binary: hidden roles first, then the command line.

use std::process::ExitCode;

use clap::Parser;
use mtsec_agents::cli::Cli;
use mtsec_agents::containment::{self, attendant_main, inside_main, launcher_main};
use mtsec_agents::keys;
use mtsec_agents::process::{SHEPHERD, shepherd_main};
use mtsec_agents::sandbox::{INIT_ARGUMENT, init_main};

fn main() -> ExitCode {
    // Agents and the tester start this program again in these roles, below themselves.
    let mut arguments = std::env::args_os().skip(1);
    match arguments.next() {
        Some(role) if role == SHEPHERD => std::process::exit(shepherd_main(&arguments.collect::<Vec<_>>())),
        Some(role) if role == containment::ARGUMENT => {
            std::process::exit(launcher_main(&arguments.collect::<Vec<_>>()))
        }
        Some(role) if role == containment::ATTENDANT => {
            std::process::exit(attendant_main(&arguments.collect::<Vec<_>>()))
        }
        Some(role) if role == containment::INSIDE => inside_main(arguments),
        Some(role) if role == INIT_ARGUMENT => init_main(arguments),
        _ => {}
    }
    // SAFETY: no thread has been started.
    unsafe { keys::take_from_environment() };
    take_all_descriptors();
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    Cli::parse().carry_out().into()
}

/// Each trial takes some; the limit that a shell sets by default suits programs that know no others.
fn take_all_descriptors() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum {
        // Without it there is less room, and `doctor` tells how much there is.
        let _ = setrlimit(
            Resource::Nofile,
            Rlimit {
                current: maximum,
                maximum,
            },
        );
    }
}
