//! The launcher: a hidden re-execution of our own program, single-threaded, that builds a sandbox around itself.
//!
//! Started as root it mounts with root's rights, so that an interpreter below a private folder can be shown, and then
//! becomes an unprivileged user for good: the limit on processes does not bind root, not even in a user namespace.
//! Started by anyone else it first enters a user namespace of its own.

use std::ffi::{CString, OsString};
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{ForkResult, Gid, Pid, Uid, fork, setgroups, setresgid, setresuid};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags};

use super::root::{self, Failure, step};
use super::spec::{Command, LaunchFailure, Message, Spec};
use crate::docker;

/// The first argument that makes our program a launcher; `main` must look for it before anything else.
pub const INIT_ARGUMENT: &str = "__sandbox-init";

/// Who the code inside is, as far as the host's files and processes are concerned.
pub(crate) const NOBODY: u32 = 65534;
const NOTHING: Option<&str> = None;
/// The largest specification.
const MAX_SPEC: usize = 1 << 20;
pub(crate) const INNER: CloneFlags = CloneFlags::CLONE_NEWNS
    .union(CloneFlags::CLONE_NEWPID)
    .union(CloneFlags::CLONE_NEWIPC)
    .union(CloneFlags::CLONE_NEWNET);

/// The launcher's whole life. Standard input is the control socket, unless an argument names one to connect to.
pub fn init_main(mut arguments: impl Iterator<Item = OsString>) -> ! {
    if let Some(path) = arguments.next()
        && let Err(error) = come_to(Path::new(&path))
    {
        eprintln!("the launcher cannot reach whoever started it: {error}");
        std::process::exit(126);
    }
    // SAFETY: nothing else uses descriptor 0, and it stays open as long as the process lives.
    let control = unsafe { BorrowedFd::borrow_raw(0) };
    let status = match launch(control) {
        Ok(status) => status,
        Err((step, error)) => {
            report(control, step, &error);
            125
        }
    };
    std::process::exit(status)
}

/// Puts the socket of whoever started us where a child would have it.
fn come_to(path: &Path) -> io::Result<()> {
    let control = docker::meet(path)?;
    // SAFETY: plain duplication onto standard input, which nothing here uses.
    match unsafe { libc::dup2(control.as_raw_fd(), 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn report(control: BorrowedFd<'_>, step: String, error: &io::Error) {
    let failure = LaunchFailure {
        step,
        errno: error.raw_os_error().unwrap_or(0),
    };
    say(
        control,
        &Message {
            launch_failure: Some(failure),
            ..Message::default()
        },
    );
}

fn say(control: BorrowedFd<'_>, message: &Message) {
    if let Ok(text) = serde_json::to_vec(message) {
        // Whoever does not listen any more will not miss it.
        let _ = rustix::net::send(control, &text, SendFlags::NOSIGNAL);
    }
}

fn launch(control: BorrowedFd<'_>) -> Result<i32, Failure> {
    close_others();
    let spec = step(receive(control), "reading the request")?;
    // No terminal, and no signals of its keys.
    let _ = nix::unistd::setsid();
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
    let root = leave_host(INNER, "sandbox")?;
    // SAFETY: this process has one thread.
    match step(unsafe { fork() }, "fork")? {
        ForkResult::Parent { child } => watch(control, child),
        ForkResult::Child => {
            let failure = inside(control, &spec, root);
            match failure {
                Ok(()) => std::process::exit(0),
                Err((step, error)) => report(control, step, &error),
            }
            std::process::exit(125)
        }
    }
}

/// Enters these new namespaces and one for the host's `name`; whether that was done with root's rights, which are still to be
/// given up. Anyone else needs a user namespace for it.
pub(crate) fn leave_host(namespaces: CloneFlags, name: &str) -> Result<bool, Failure> {
    let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
    let outer = namespaces | CloneFlags::CLONE_NEWUTS;
    let root = uid.is_root() && may_become_nobody();
    if root {
        step(unshare(outer), "creating namespaces as root")?;
    } else {
        step(unshare(outer | CloneFlags::CLONE_NEWUSER), "creating a user namespace")?;
        map(uid, gid)?;
    }
    let _ = nix::unistd::sethostname(name);
    Ok(root)
}

/// The request; a descriptor that comes with it becomes standard error.
fn receive(control: BorrowedFd<'_>) -> io::Result<Spec> {
    let mut packet = vec![0; MAX_SPEC];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let parts = &mut [IoSliceMut::new(&mut packet)];
    let received = rustix::net::recvmsg(control, parts, &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = message {
            for descriptor in descriptors {
                // SAFETY: plain duplication onto standard error, which is only written to.
                unsafe { libc::dup2(descriptor.as_raw_fd(), 2) };
            }
        }
    }
    serde_json::from_slice(&packet[..received.bytes]).map_err(io::Error::other)
}

/// Whether root here can drop to [`NOBODY`]: the root of a user namespace (a rootless container's, say) may have no other
/// user to become, and is treated like any user without rights.
pub(crate) fn may_become_nobody() -> bool {
    let covers = |file: &str| {
        let map = std::fs::read_to_string(file).unwrap_or_default();
        map.lines().any(|line| {
            let mut numbers = line.split_whitespace().filter_map(|number| number.parse::<u64>().ok());
            let (first, _, count) = (numbers.next(), numbers.next(), numbers.next());
            first
                .zip(count)
                .is_some_and(|(first, count)| (first..first + count).contains(&u64::from(NOBODY)))
        })
    };
    let groups = std::fs::read_to_string("/proc/self/setgroups").is_ok_and(|allowed| allowed.trim() == "allow");
    groups && covers("/proc/self/uid_map") && covers("/proc/self/gid_map")
}

/// Descriptors that our program may have leaked end here.
pub(crate) fn close_others() {
    // SAFETY: nothing in this process uses a descriptor above 2.
    if unsafe { libc::syscall(libc::SYS_close_range, 3u32, u32::MAX, 0u32) } != 0 {
        for fd in 3..4096 {
            // SAFETY: as above.
            unsafe { libc::close(fd) };
        }
    }
}

pub(crate) fn map(uid: Uid, gid: Gid) -> Result<(), Failure> {
    step(std::fs::write("/proc/self/setgroups", "deny"), "writing setgroups")?;
    step(
        std::fs::write("/proc/self/uid_map", format!("{NOBODY} {uid} 1")),
        "writing uid_map",
    )?;
    step(
        std::fs::write("/proc/self/gid_map", format!("{NOBODY} {gid} 1")),
        "writing gid_map",
    )
}

/// Waits for the first process inside. Ends it when the other end of the control socket is closed, however that came
/// about: our program may have been killed.
fn watch(control: BorrowedFd<'_>, child: Pid) -> Result<i32, Failure> {
    let pid = step(
        rustix::process::Pid::from_raw(child.as_raw()).ok_or(io::ErrorKind::NotFound),
        "fork",
    )?;
    let pidfd = step(
        rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()),
        "pidfd_open",
    )?;
    loop {
        let mut watched = [
            PollFd::new(&control, PollFlags::RDHUP),
            PollFd::from_borrowed_fd(pidfd.as_fd(), PollFlags::IN),
        ];
        match poll(&mut watched, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => break,
        }
        if !watched[0].revents().is_empty() || !watched[1].revents().is_empty() {
            break;
        }
    }
    let _ = nix::sys::signal::kill(child, nix::sys::signal::Signal::SIGKILL);
    let _ = nix::sys::wait::waitpid(child, None);
    Ok(0)
}

/// The first process of the new namespaces.
fn inside(control: BorrowedFd<'_>, spec: &Spec, root: bool) -> Result<(), Failure> {
    die_with_parent();
    root::build(spec)?;
    root::seal()?;
    // Where memory runs out, what is contained goes first.
    let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
    if root {
        step(setgroups(&[]), "dropping groups")?;
        step(
            setresgid(NOBODY.into(), NOBODY.into(), NOBODY.into()),
            "dropping the group",
        )?;
        step(
            setresuid(NOBODY.into(), NOBODY.into(), NOBODY.into()),
            "dropping the user",
        )?;
        // A change of user clears it.
        die_with_parent();
    }
    step(rustix::thread::set_no_new_privs(true), "no_new_privs")?;
    match &spec.command {
        None => {
            nested()?;
            say(
                control,
                &Message {
                    ready: true,
                    ..Message::default()
                },
            );
            Ok(())
        }
        Some(command) => execute(control, command),
    }
}

pub(crate) fn die_with_parent() {
    // SAFETY: plain call with integer arguments.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
}

/// What a contained child needs: namespaces again, now without any right, and fresh mounts in them.
fn nested() -> Result<(), Failure> {
    // A change of user hides /proc/self from its owner.
    step(
        rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::Dumpable),
        "dumpable",
    )?;
    step(
        unshare(INNER | CloneFlags::CLONE_NEWUSER),
        "creating a nested user namespace",
    )?;
    map(Uid::from_raw(NOBODY), Gid::from_raw(NOBODY))?;
    step(
        mount(NOTHING, "/", NOTHING, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NOTHING),
        "making nested mounts private",
    )?;
    step(
        mount(Some("tmpfs"), "/tmp", Some("tmpfs"), MsFlags::MS_NOSUID, NOTHING),
        "mounting a nested tmpfs",
    )?;
    // SAFETY: this process has one thread.
    match step(unsafe { fork() }, "fork")? {
        ForkResult::Child => {
            let result = mount(Some("proc"), "/proc", Some("proc"), MsFlags::MS_NOSUID, NOTHING);
            std::process::exit(result.err().map_or(0, |errno| errno as i32))
        }
        ForkResult::Parent { child } => {
            let status = step(nix::sys::wait::waitpid(child, None), "waiting")?;
            match status {
                nix::sys::wait::WaitStatus::Exited(_, 0) => Ok(()),
                nix::sys::wait::WaitStatus::Exited(_, errno) => Err((
                    "mounting a nested /proc".to_owned(),
                    io::Error::from_raw_os_error(errno),
                )),
                _ => Err(("mounting a nested /proc".to_owned(), io::ErrorKind::Other.into())),
            }
        }
    }
}

fn execute(control: BorrowedFd<'_>, command: &Command) -> Result<(), Failure> {
    let text = |text: &[u8]| step(CString::new(text).map_err(io::Error::other), "reading the command");
    let program = text(command.program.as_os_str().as_bytes())?;
    let mut arguments = vec![program.clone()];
    for argument in &command.arguments {
        arguments.push(text(argument.as_bytes())?);
    }
    let mut environment = Vec::new();
    for (name, value) in &command.environment {
        environment.push(text(format!("{name}={value}").as_bytes())?);
    }
    let core = nix::sys::resource::Resource::RLIMIT_CORE;
    step(nix::sys::resource::setrlimit(core, 0, 0), "limiting core files")?;
    step(std::env::set_current_dir(Path::new("/")), "entering the root")?;
    let null = step(std::fs::File::open("/dev/null"), "opening /dev/null")?;
    // SAFETY: plain duplications onto fixed numbers that nothing here owns; the copies survive the exec.
    let moved = unsafe { libc::dup2(control.as_raw_fd(), 3) == 3 && libc::dup2(null.as_raw_fd(), 0) == 0 };
    if !moved {
        return Err(("arranging descriptors".to_owned(), io::Error::last_os_error()));
    }
    let error = match nix::unistd::execve(&program, &arguments, &environment) {
        Ok(never) => match never {},
        Err(error) => error,
    };
    // SAFETY: descriptor 3 is the control socket now; move it back for the report.
    unsafe { libc::dup2(3, 0) };
    Err((format!("executing {}", command.program.display()), error.into()))
}
