//! The driver's end of a terminal.

use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::io::{AsyncRead, AsyncWrite};
use tokio::io::unix::AsyncFd;

use super::Recorder;

/// The driver's end of a terminal: non-blocking, recorded. Everything that is read or written passes through here, also
/// what `expectrl` reads and writes for a short dialogue.
pub struct PtyIo {
    fd: AsyncFd<OwnedFd>,
    pub recorder: Recorder,
    ended: bool,
    /// How many bytes `AsyncRead` still hands out; what comes beyond is recorded and dropped.
    budget: usize,
}

impl PtyIo {
    pub(super) fn new(fd: AsyncFd<OwnedFd>, recorder: Recorder) -> Self {
        Self {
            fd,
            recorder,
            ended: false,
            budget: 0,
        }
    }

    /// Whether the other end is closed.
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// Bounds what a dialogue through `AsyncRead` keeps in memory, because `expectrl` keeps all that it reads.
    pub fn set_budget(&mut self, bytes: usize) {
        self.budget = bytes;
    }

    /// Reads what there is; `None` when nothing is ready, `Some(0)` at the end.
    pub fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        if self.ended {
            return Ok(Some(0));
        }
        match self.read_now(buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            other => other.map(Some),
        }
    }

    /// Waits until there is something to read.
    pub async fn readable(&self) -> io::Result<()> {
        if self.ended {
            return Ok(());
        }
        let mut guard = self.fd.readable().await?;
        guard.retain_ready();
        Ok(())
    }

    /// Waits until something can be written.
    pub async fn writable(&self) -> io::Result<()> {
        let mut guard = self.fd.writable().await?;
        guard.retain_ready();
        Ok(())
    }

    /// Writes what fits; `None` when nothing does.
    pub fn try_write(&mut self, bytes: &[u8]) -> io::Result<Option<usize>> {
        // SAFETY of liveness: try_io clears the readiness when the write would block, so `writable` waits again.
        match self
            .fd
            .try_io(tokio::io::Interest::WRITABLE, |fd| Ok(rustix::io::write(fd, bytes)?))
        {
            Ok(count) => {
                self.recorder.sent(&bytes[..count]);
                Ok(Some(count))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn read_now(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = match self.fd.try_io(tokio::io::Interest::READABLE, |fd| {
            Ok(rustix::io::read(fd, &mut *buffer)?)
        }) {
            // A terminal says so when nobody holds its other end any more.
            Err(error) if error.raw_os_error() == Some(libc::EIO) => 0,
            other => other?,
        };
        self.ended |= count == 0;
        self.recorder.received(&buffer[..count]);
        Ok(count)
    }
}

impl AsyncRead for PtyIo {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        // A closed terminal's descriptor need not turn readable again.
        if this.ended {
            return Poll::Ready(Ok(0));
        }
        loop {
            ready!(this.fd.poll_read_ready(context))?.retain_ready();
            let mut beyond = [0; 4096];
            let kept = this.budget.min(buffer.len());
            let target = if kept > 0 { &mut buffer[..kept] } else { &mut beyond[..] };
            match this.read_now(target) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Ok(count) if kept > 0 || count == 0 => {
                    this.budget -= count.min(this.budget);
                    return Poll::Ready(Ok(count));
                }
                Ok(_) => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for PtyIo {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        loop {
            ready!(this.fd.poll_write_ready(context))?.retain_ready();
            if let Some(count) = this.try_write(bytes)? {
                return Poll::Ready(Ok(count));
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
