//! The attendant: runs under the agent's shepherd, has the agent's container made, hands the terminal over, and waits.
//!
//! The terminal is the one that the shepherd's session has; the agent in the container gets its descriptor, so that the
//! driver at the other end sees no difference. When the attendant is killed, its socket closes, and then the first
//! process of the container leaves and takes everything with it: no daemon is needed for that.

use std::ffi::OsString;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use rustix::process::{PidfdFlags, pidfd_open};

use super::spec::{Arrival, InContainer, Said};
use crate::docker::{DockerError, Engine};
use crate::process::shepherd::{NOT_STARTED, Report};
use crate::process::tree::Process;
use crate::process::{Trace, shepherd};
use crate::sandbox::init::{close_others, die_with_parent};

/// The hidden subcommand.
pub const ARGUMENT: &str = "__attend";
/// How long a daemon that is being restarted is waited for.
const AWAY: Duration = Duration::from_secs(60);
/// The longest last word of a container.
const MAX_SAID: usize = 4096;

/// The agent could not be held.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    Docker(#[from] DockerError),
    #[error("the container ended before it was ready")]
    Ended,
    #[error("{step} failed in the container ({error})")]
    Inside { step: String, error: io::Error },
    #[error("its attendant failed ({0})")]
    Own(#[from] io::Error),
}

/// Runs an attendant: `arguments` are the path of the request. Returns the exit status of the process.
pub fn attendant_main(arguments: &[OsString]) -> i32 {
    let [path] = arguments else {
        eprintln!("usage: {ARGUMENT} REQUEST");
        return 2;
    };
    die_with_parent();
    close_others();
    match attend(Path::new(path)) {
        Ok(Report { status, .. }) if status < 0 => 128 - status,
        Ok(Report { status, .. }) => status,
        Err(error) => {
            eprintln!("the agent could not be contained: {error}");
            NOT_STARTED
        }
    }
}

fn attend(path: &Path) -> Result<shepherd::Report, Failed> {
    let request: InContainer = serde_json::from_slice(&std::fs::read(path)?).map_err(io::Error::from)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let summoned = async {
        Engine::wait_for(&request.host, AWAY)
            .await?
            .summon(&request.container)
            .await
    };
    let socket = runtime.block_on(summoned)?;
    // The daemon has done its part.
    drop(runtime);
    rustix::io::ioctl_fionbio(&socket, false).map_err(io::Error::from)?;
    let first = rustix::net::sockopt::socket_peercred(&socket)
        .map_err(io::Error::from)?
        .pid;
    let gone = pidfd_open(first, PidfdFlags::empty()).map_err(io::Error::from)?;
    let root = Process::existing(first.as_raw_nonzero().get()).ok_or(Failed::Ended)?;
    let trace = Trace {
        root,
        ended: None,
        lost: false,
    };
    trace.leave(&request.trace)?;
    hand_over(&socket, &request)?;
    let said = last_word(&socket);
    // Its end is the end of everything in the container.
    while poll(&mut [PollFd::new(&gone, PollFlags::IN)], None) == Err(rustix::io::Errno::INTR) {}
    let (report, lost) = match said {
        Some(Said::Ended { status, strays }) => (Report { status, strays }, false),
        Some(Said::Failed { step, errno }) => {
            let error = io::Error::from_raw_os_error(errno);
            return Err(Failed::Inside { step, error });
        }
        None => (
            Report {
                status: -libc::SIGKILL,
                strays: 0,
            },
            true,
        ),
    };
    let ended = Some(report);
    Trace { root, ended, lost }.leave(&request.trace)?;
    Ok(report)
}

/// Gives the agent's command, its environment, which is ours, and our standard streams to the container: a terminal, or
/// pipes.
fn hand_over(socket: &OwnedFd, request: &InContainer) -> io::Result<()> {
    let text = |text: OsString| text.to_string_lossy().into_owned();
    let arrival = Arrival {
        agent: request.agent.clone(),
        environment: std::env::vars_os()
            .map(|(name, value)| (text(name), text(value)))
            .collect(),
    };
    let packet = serde_json::to_vec(&arrival)?;
    let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
    let passed: [BorrowedFd<'_>; 3] = [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    ancillary.push(SendAncillaryMessage::ScmRights(&passed));
    let _ = rustix::net::sockopt::set_socket_send_buffer_size(socket, packet.len() * 2 + 65536);
    rustix::net::sendmsg(socket, &[IoSlice::new(&packet)], &mut ancillary, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// What the first process says at its end; `None`: it was killed.
fn last_word(socket: &OwnedFd) -> Option<Said> {
    let mut said = [0; MAX_SAID];
    loop {
        match rustix::net::recv(socket, &mut said[..], RecvFlags::empty()) {
            Ok((length, _)) => return serde_json::from_slice(&said[..length]).ok(),
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return None,
        }
    }
}
