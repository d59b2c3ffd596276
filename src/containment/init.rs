//! The first process inside: builds what the agent sees, starts the agent at its terminal, and buries what ends.

use std::ffi::CString;
use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, unshare};
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal, kill, sigaction, sigprocmask};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Gid, Pid, Uid, fork, setgroups, setresgid, setresuid};
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities, set_no_new_privs};

use super::relay::{self, Gateway};
use super::spec::{Agent, Said, Spec};
use crate::sandbox::init::{NOBODY, die_with_parent, map};
use crate::sandbox::root::{self, Failure, step};
use crate::sandbox::seccomp;

/// Most processes and threads of one session: an agent that forks without end stops itself, and nobody else.
pub(super) const PROCESSES: u64 = 4096;

/// What the launcher says once it has left its trace: no agent starts before.
pub(super) const GO: u8 = b'g';

/// Becomes the first process of the new namespaces. `launcher` is closed when the launcher is gone; `as_root`: the
/// namespaces were made with root's rights, which are given up here.
pub(super) fn run(spec: &Spec, as_root: bool, launcher: UnixStream) -> ! {
    conclude(&launcher, contain(spec, as_root, &launcher))
}

/// Becomes the first process of a container, whose walls stand already. `attendant` is closed when the attendant is gone.
pub(super) fn run_in_container(agent: &Agent, attendant: UnixStream) -> ! {
    let hold = || {
        let filter = filter()?;
        let listener = step(relay::listen(), "opening the gateway's port")?;
        harden()?;
        hold(agent, &filter, (listener, Gateway::Shown), &attendant)
    };
    conclude(&attendant, hold())
}

/// Says how it ended, and leaves.
fn conclude(launcher: &UnixStream, ended: Result<Said, Failure>) -> ! {
    let said = match ended {
        Ok(said) => said,
        Err((step, error)) => Said::Failed {
            step,
            errno: error.raw_os_error().unwrap_or(libc::EIO),
        },
    };
    if let Ok(mut text) = serde_json::to_vec(&said) {
        text.push(b'\n');
        // A launcher that is gone has no use for it.
        let _ = (&*launcher).write_all(&text);
    }
    std::process::exit(0)
}

fn contain(spec: &Spec, as_root: bool, launcher: &UnixStream) -> Result<Said, Failure> {
    die_with_parent();
    let filter = filter()?;
    step(unshare(CloneFlags::CLONE_NEWNS), "creating a mount namespace")?;
    root::build(&spec.view)?;
    root::seal()?;
    let gateway = step(Gateway::hide(), "hiding the gateway's socket")?;
    step(raise_loopback(), "starting the loopback interface")?;
    let listener = step(relay::listen(), "opening the gateway's port")?;
    give_up_rights(as_root)?;
    // A launcher that is gone says nothing.
    step((&*launcher).read_exact(&mut [0]), "waiting for the launcher")?;
    hold(&spec.agent, &filter, (listener, gateway), launcher)
}

fn filter() -> Result<Vec<u8>, Failure> {
    step(
        seccomp::program(seccomp::For::Agent).map_err(io::Error::other),
        "compiling the system-call filter",
    )
}

/// Starts the agent, forwards its calls, and waits for its end.
fn hold(
    agent: &Agent,
    filter: &[u8],
    (listener, gateway): (TcpListener, Gateway),
    launcher: &UnixStream,
) -> Result<Said, Failure> {
    let agent = start(agent, filter)?;
    let ears = step(launcher.try_clone(), "keeping the launcher's socket")?;
    // The launcher has said all that it says: what is read is its end, and then everything inside ends with this process.
    let leave = move || {
        let _ = (&ears).read(&mut [0]);
        std::process::exit(0)
    };
    let watcher = std::thread::Builder::new().name("watcher".to_owned()).spawn(leave);
    step(watcher, "watching the launcher")?;
    relay::serve(listener, gateway);
    let status = bury_until(agent)?;
    let strays = end_the_rest();
    Ok(Said::Ended { status, strays })
}

/// A loopback interface of its own is down at first.
fn raise_loopback() -> io::Result<()> {
    let socket = rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::DGRAM, None)?;
    // SAFETY: a zeroed request is a valid one.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    request.ifr_name[0] = b'l' as libc::c_char;
    request.ifr_name[1] = b'o' as libc::c_char;
    request.ifr_ifru.ifru_flags = libc::IFF_UP as libc::c_short;
    // SAFETY: the request lives as long as the call, and is of the kind that the call reads.
    match unsafe { libc::ioctl(socket.as_fd().as_raw_fd(), libc::SIOCSIFFLAGS as _, &request) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// From here on this process has no right over anything, and the agent can look into it as little as into the host.
fn give_up_rights(as_root: bool) -> Result<(), Failure> {
    if as_root {
        step(setgroups(&[]), "dropping groups")?;
        let (gid, uid) = (Gid::from_raw(NOBODY), Uid::from_raw(NOBODY));
        step(setresgid(gid, gid, gid), "dropping the group")?;
        step(setresuid(uid, uid, uid), "dropping the user")?;
        // A change of user clears it, and hides /proc/self from its owner.
        die_with_parent();
        step(set_dumpable_behavior(DumpableBehavior::Dumpable), "dumpable")?;
        // Processes are counted for each user namespace: the limit is this session's alone.
        step(unshare(CloneFlags::CLONE_NEWUSER), "creating a user namespace")?;
        map(uid, gid)?;
    }
    step(
        setrlimit(Resource::RLIMIT_NPROC, PROCESSES, PROCESSES),
        "limiting processes",
    )?;
    harden()
}

/// No way to more rights, and no look into this process.
fn harden() -> Result<(), Failure> {
    step(set_no_new_privs(true), "no_new_privs")?;
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    step(set_capabilities(None, none), "dropping capabilities")?;
    step(setrlimit(Resource::RLIMIT_CORE, 0, 0), "limiting core files")?;
    step(set_dumpable_behavior(DumpableBehavior::NotDumpable), "dumpable")
}

/// Starts the agent with the environment, the terminal and the descriptors 0 to 2 of this process.
fn start(agent: &Agent, filter: &[u8]) -> Result<Pid, Failure> {
    let text = |text: &str| step(CString::new(text).map_err(io::Error::other), "reading the command");
    let arguments = agent
        .argv
        .iter()
        .map(|part| text(part))
        .collect::<Result<Vec<_>, _>>()?;
    let [program, ..] = arguments.as_slice() else {
        return Err(("reading the command".to_owned(), io::ErrorKind::InvalidInput.into()));
    };
    step(std::env::set_current_dir(&agent.folder), "entering the workspace")?;
    // Its end is seen when the agent is executed; until then it may bring the number of an error.
    let (mut ours, theirs) = step(io::pipe(), "making a pipe")?;
    // SAFETY: this process has one thread.
    match step(unsafe { fork() }, "fork")? {
        ForkResult::Parent { child } => {
            drop(theirs);
            let mut failure = [0; 4];
            match ours.read_exact(&mut failure) {
                Ok(()) => {
                    let error = io::Error::from_raw_os_error(i32::from_ne_bytes(failure));
                    Err((format!("executing {}", agent.argv[0]), error))
                }
                Err(_) => Ok(child),
            }
        }
        ForkResult::Child => {
            let error = match become_agent(program, &arguments, filter) {
                Ok(never) => match never {},
                Err(error) => error,
            };
            let number = error.raw_os_error().unwrap_or(libc::EIO);
            let _ = (&theirs).write_all(&number.to_ne_bytes());
            // SAFETY: ends this process and nothing else.
            unsafe { libc::_exit(1) }
        }
    }
}

/// Where memory runs out the agent goes first, and what it started: not its init, whose end would tell nothing of why, and
/// nobody else on this machine.
fn volunteer() {
    // What may not be looked into may not write its own score either; the agent's start closes it again.
    let _ = set_dumpable_behavior(DumpableBehavior::Dumpable);
    let _ = std::fs::write("/proc/self/oom_score_adj", "500");
}

fn become_agent(program: &CString, arguments: &[CString], filter: &[u8]) -> io::Result<std::convert::Infallible> {
    volunteer();
    // A process group of its own, in the foreground: writing to the terminal's settings from behind would stop us.
    let mut terminal_output = SigSet::empty();
    terminal_output.add(Signal::SIGTTOU);
    sigprocmask(SigmaskHow::SIG_BLOCK, Some(&terminal_output), None)?;
    // SAFETY: plain calls with integer arguments.
    unsafe {
        libc::setpgid(0, 0);
        libc::tcsetpgrp(0, libc::getpid());
    }
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?;
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    // SAFETY: no handler of ours is replaced, for there is none.
    unsafe { sigaction(Signal::SIGPIPE, &default) }?;
    install(filter)?;
    Ok(nix::unistd::execvp(program, arguments)?)
}

/// Sets the system-call filter for this process and all that it starts.
fn install(filter: &[u8]) -> io::Result<()> {
    let instructions: Vec<libc::sock_filter> = filter
        .chunks_exact(8)
        .map(|chunk| libc::sock_filter {
            code: u16::from_ne_bytes([chunk[0], chunk[1]]),
            jt: chunk[2],
            jf: chunk[3],
            k: u32::from_ne_bytes([chunk[4], chunk[5], chunk[6], chunk[7]]),
        })
        .collect();
    let program = libc::sock_fprog {
        len: instructions.len() as libc::c_ushort,
        filter: instructions.as_ptr().cast_mut(),
    };
    // SAFETY: the program and its instructions live as long as the call.
    match unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &program) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Buries what ends until the agent has; its status, negative for a signal.
fn bury_until(agent: Pid) -> Result<i32, Failure> {
    loop {
        match waitpid(None, None) {
            Ok(WaitStatus::Exited(pid, status)) if pid == agent => return Ok(status),
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == agent => return Ok(-(signal as i32)),
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(("waiting for the agent".to_owned(), error.into())),
        }
    }
}

/// Kills all other processes inside and waits for their end; returns how many there were.
fn end_the_rest() -> u32 {
    let strays = others();
    let end = Instant::now() + Duration::from_secs(10);
    // Every process but this one: the first of a namespace cannot be reached from outside of it by this call.
    while kill(Pid::from_raw(-1), Signal::SIGKILL).is_ok() && Instant::now() < end {
        while matches!(waitpid(None, Some(WaitPidFlag::WNOHANG)), Ok(status) if status != WaitStatus::StillAlive) {}
        std::thread::sleep(Duration::from_millis(1));
    }
    strays
}

/// Live processes besides this one.
fn others() -> u32 {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let alive = |pid: &u32| {
        let stat = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat"));
        stat.is_ok_and(|stat| !stat.rsplit(") ").next().unwrap_or_default().starts_with(['Z', 'X']))
    };
    pids.filter(|pid| *pid > 1).filter(alive).count() as u32
}
