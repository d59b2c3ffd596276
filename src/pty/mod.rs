//! Terminals for agents: opened and sized by `portable-pty`, read and written on tokio, recorded.

mod io;
mod recorder;
mod tail;

use std::ffi::OsString;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;

use portable_pty::{CommandBuilder, PtySize, native_pty_system};
use rustix::termios::{ControlModes, InputModes, LocalModes, OptionalActions, SpecialCodeIndex};
use tokio::io::unix::AsyncFd;

use crate::process::children;

pub use io::PtyIo;
pub use recorder::Recorder;
pub use tail::{Lines, Tail};

/// A process at its own terminal.
pub struct Spawned {
    pub io: PtyIo,
    pub pid: i32,
    /// To be waited for once it has ended.
    pub child: Box<dyn portable_pty::Child + Send + Sync>,
}

/// Starts a command at a new terminal of this size, with exactly this environment.
///
/// The terminal is transparent: it echoes nothing, changes no byte on the way in, has no line limit, and no byte of a
/// message can become a signal.
pub fn spawn(
    argv: Vec<OsString>,
    env: impl IntoIterator<Item = (OsString, OsString)>,
    folder: &Path,
    (rows, columns): (u16, u16),
    recorder: Recorder,
) -> std::io::Result<Spawned> {
    let size = PtySize {
        rows,
        cols: columns,
        pixel_width: 0,
        pixel_height: 0,
    };
    let pair = native_pty_system().openpty(size).map_err(std::io::Error::other)?;
    let raw = pair
        .master
        .as_raw_fd()
        .ok_or_else(|| std::io::Error::other("the terminal has no descriptor"))?;
    // SAFETY: `pair.master` owns the descriptor and outlives this borrow.
    let master: OwnedFd = unsafe { BorrowedFd::borrow_raw(raw) }.try_clone_to_owned()?;
    make_transparent(&master)?;

    let mut command = CommandBuilder::from_argv(argv);
    command.env_clear();
    for (name, value) in env {
        command.env(name, value);
    }
    command.cwd(folder);
    let start = || pair.slave.spawn_command(command).map_err(std::io::Error::other);
    let child = children::enter(start, |child| child.process_id())?;
    let pid = child
        .process_id()
        .ok_or_else(|| std::io::Error::other("the process has no id"))? as i32;
    // Ours must be the only master left, so that closing it hangs up; the writer of `portable-pty` is never taken,
    // because it would send bytes of its own when it is dropped.
    drop(pair);
    rustix::io::ioctl_fionbio(&master, true)?;
    // SAFETY: an `OwnedFd` always gives the same, open descriptor.
    let master = unsafe { AsyncFd::register(master)? };
    Ok(Spawned {
        io: PtyIo::new(master, recorder),
        pid,
        child,
    })
}

fn make_transparent(terminal: &OwnedFd) -> std::io::Result<()> {
    let mut modes = rustix::termios::tcgetattr(terminal)?;
    modes.input_modes -= InputModes::ICRNL
        | InputModes::INLCR
        | InputModes::IGNCR
        | InputModes::IXON
        | InputModes::IXOFF
        | InputModes::IXANY
        | InputModes::ISTRIP
        | InputModes::IMAXBEL
        | InputModes::BRKINT
        | InputModes::PARMRK;
    modes.local_modes -= LocalModes::ICANON | LocalModes::ECHO | LocalModes::IEXTEN | LocalModes::ISIG;
    modes.control_modes |= ControlModes::CS8;
    modes.special_codes[SpecialCodeIndex::VMIN] = 1;
    modes.special_codes[SpecialCodeIndex::VTIME] = 0;
    rustix::termios::tcsetattr(terminal, OptionalActions::Now, &modes)?;
    Ok(())
}
