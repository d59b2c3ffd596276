//! Ctrl-C and its kin.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::console::Console;
use crate::exit_code::Exit;

/// The first signal ends live trials cleanly; the second ends the program now. Agents die with their terminals.
pub fn stop_on_signals(console: Arc<Console>) -> std::io::Result<CancellationToken> {
    use tokio::signal::unix::{SignalKind, signal};
    let cancel = CancellationToken::new();
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let mut hangup = signal(SignalKind::hangup())?;
    let token = cancel.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = hangup.recv() => {}
            }
            if token.is_cancelled() {
                std::process::exit(Exit::Interrupted as i32);
            }
            console
                .warn("stopping: live agents are ended, what is being judged is finished; once more to stop at once");
            token.cancel();
        }
    });
    Ok(cancel)
}
