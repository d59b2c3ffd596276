//! The line to a driver: what we tell, what we hear, and the record of it.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::mpsc;

use super::protocol::{Tell, Told};

/// The longest line of a driver, in bytes.
const LONGEST: u64 = 4 << 20;
/// Most bytes that are recorded of one turn.
const RECORDED: usize = 16 << 20;
/// Most bytes of a driver's log that are kept.
const LOGGED: usize = 4 << 20;
/// How much of the log's end is told when the driver fails.
const LAST_WORDS: usize = 2000;

/// What is heard of a driver.
#[derive(Debug, PartialEq)]
pub(super) enum Line {
    Told(Told),
    /// What it said is no message.
    Garbage(String),
}

/// Where the driver's lines are recorded, if anywhere.
type Record = Arc<Mutex<Option<(File, usize)>>>;

/// The line to one driver.
pub(super) struct Wire {
    input: Option<Box<dyn AsyncWrite + Send + Unpin>>,
    heard: mpsc::Receiver<Line>,
    record: Record,
}

impl Wire {
    /// Must be called within a runtime.
    pub fn new(
        input: impl AsyncWrite + Send + Unpin + 'static,
        output: impl AsyncRead + Send + Unpin + 'static,
    ) -> Self {
        let (sender, heard) = mpsc::channel(64);
        let record = Record::default();
        tokio::spawn(listen(output, sender, record.clone()));
        Self {
            input: Some(Box::new(input)),
            heard,
            record,
        }
    }

    /// What the driver says from here on is recorded in `folder`.
    pub fn record_in(&self, folder: &Path) -> std::io::Result<()> {
        std::fs::create_dir_all(folder)?;
        let file = File::create(folder.join("agent.log"))?;
        *self.record.lock().unwrap_or_else(PoisonError::into_inner) = Some((file, 0));
        Ok(())
    }

    /// False when nobody listens any more.
    pub async fn tell(&mut self, message: &Tell) -> bool {
        let (Some(input), Ok(mut text)) = (&mut self.input, serde_json::to_vec(message)) else {
            return false;
        };
        text.push(b'\n');
        input.write_all(&text).await.is_ok() && input.flush().await.is_ok()
    }

    /// The next line; `None` at the end.
    pub async fn hear(&mut self) -> Option<Line> {
        self.heard.recv().await
    }

    /// Tells the driver that nothing follows.
    pub fn hang_up(&mut self) {
        self.input = None;
    }
}

async fn listen(output: impl AsyncRead + Unpin, sender: mpsc::Sender<Line>, record: Record) {
    let mut reader = BufReader::new(output);
    loop {
        let mut line = Vec::new();
        match (&mut reader).take(LONGEST).read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        if let Some((file, size)) = record.lock().unwrap_or_else(PoisonError::into_inner).as_mut()
            && *size < RECORDED
        {
            *size += line.len();
            // A record that cannot be written is missed by nobody who decides anything.
            let _ = file.write_all(&line);
        }
        let told = match serde_json::from_slice(&line) {
            Ok(told) => Line::Told(told),
            Err(_) if line.trim_ascii().is_empty() => continue,
            Err(_) => Line::Garbage(String::from_utf8_lossy(&line).chars().take(200).collect()),
        };
        if sender.send(told).await.is_err() {
            return;
        }
    }
}

/// Copies a driver's log into a file, up to a bound, and reads on, so that it never waits for us.
pub(super) async fn keep_log(mut log: impl AsyncRead + Unpin, file: File) {
    let (mut buffer, mut kept) = ([0; 8 << 10], 0);
    let mut file = file;
    while let Ok(count @ 1..) = log.read(&mut buffer).await {
        if kept < LOGGED {
            kept += count;
            let _ = file.write_all(&buffer[..count]);
        }
    }
}

/// The end of a driver's log.
pub(super) fn last_words(log: &Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let end = &text[text.len().saturating_sub(LAST_WORDS)..];
    String::from_utf8_lossy(end).trim().to_owned()
}
