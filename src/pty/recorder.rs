//! Recordings of a terminal: an asciinema cast and the raw output, per turn.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::Instant;

/// Writes `session.cast` (asciinema v2) and `agent.log` (raw output) of one turn. A recording that cannot be written
/// never disturbs the session; it only ends.
pub struct Recorder {
    files: Option<(BufWriter<File>, BufWriter<File>)>,
    started: Instant,
    /// Bytes of output that are still recorded.
    left: usize,
    /// Bytes of the cast that may still be written: escaped, the output may be several times as long.
    cast_left: usize,
    /// The beginning of a character whose rest has not come yet.
    partial: Vec<u8>,
}

impl Recorder {
    /// Most bytes of output that one turn's recording holds.
    pub const CAP: usize = 64 << 20;

    /// Records nothing.
    pub fn none() -> Self {
        Self {
            files: None,
            started: Instant::now(),
            left: 0,
            cast_left: 0,
            partial: Vec::new(),
        }
    }

    /// Records into `folder`, which is created.
    pub fn open(folder: &Path) -> std::io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let mut cast = BufWriter::new(File::create(folder.join("session.cast"))?);
        // The size is that of a comfortable player, not that of the terminal, which is wide so that nothing wraps.
        let header = serde_json::json!({"version": 2, "width": 160, "height": 50,
            "timestamp": jiff::Timestamp::now().as_second()});
        writeln!(cast, "{header}")?;
        let log = BufWriter::new(File::create(folder.join("agent.log"))?);
        Ok(Self {
            files: Some((cast, log)),
            started: Instant::now(),
            left: Self::CAP,
            cast_left: 2 * Self::CAP,
            partial: Vec::new(),
        })
    }

    /// The agent has printed this.
    pub fn received(&mut self, bytes: &[u8]) {
        if self.left == 0 || bytes.is_empty() {
            return;
        }
        let kept = &bytes[..bytes.len().min(self.left)];
        self.left -= kept.len();
        self.partial.extend_from_slice(kept);
        let (whole, rest) = split_text(&self.partial);
        let text = String::from_utf8_lossy(&self.partial[..whole]).into_owned();
        self.partial = rest.to_vec();
        if let Some((_, log)) = &mut self.files
            && log.write_all(kept).is_err()
        {
            self.files = None;
        }
        self.event("o", &text);
        if self.left == 0 {
            self.event("o", "\r\n[the recording ends here: its limit is reached]\r\n");
        }
    }

    /// We have written this.
    pub fn sent(&mut self, bytes: &[u8]) {
        self.event("i", &String::from_utf8_lossy(bytes));
    }

    /// Writes out what is buffered.
    pub fn flush(&mut self) {
        if let Some((cast, log)) = &mut self.files {
            let _ = cast.flush().and_then(|()| log.flush());
        }
    }

    fn event(&mut self, kind: &str, text: &str) {
        let Some((cast, _)) = &mut self.files else { return };
        let seconds = (self.started.elapsed().as_secs_f64() * 1e6).round() / 1e6;
        let line = serde_json::json!([seconds, kind, text]).to_string();
        if line.len() >= self.cast_left {
            self.cast_left = 0;
            return;
        }
        self.cast_left -= line.len() + 1;
        if writeln!(cast, "{line}").is_err() {
            self.files = None;
        }
    }
}

/// Where the last character that may be incomplete begins, and that rest.
fn split_text(bytes: &[u8]) -> (usize, &[u8]) {
    let from = bytes.len().saturating_sub(3);
    for (index, byte) in bytes.iter().enumerate().skip(from) {
        let length = match byte {
            0xc0..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf7 => 4,
            _ => 1,
        };
        if index + length > bytes.len() {
            return (index, &bytes[index..]);
        }
    }
    (bytes.len(), &[])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cast_keeps_characters_whole_and_stops_at_its_limit() {
        let folder = tempfile::tempdir().unwrap();
        let mut recorder = Recorder::open(folder.path()).unwrap();
        recorder.left = 10;
        for byte in "aé€".bytes() {
            recorder.received(&[byte]);
        }
        recorder.sent(b"y\n");
        recorder.received(b"123456789");
        recorder.received(b"never");
        recorder.flush();
        let cast = std::fs::read_to_string(folder.path().join("session.cast")).unwrap();
        let events: Vec<serde_json::Value> = cast
            .lines()
            .skip(1)
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let output: String = events
            .iter()
            .filter(|event| event[1] == "o")
            .map(|event| event[2].as_str().unwrap())
            .collect();
        assert!(
            output.starts_with("aé€1234") && output.contains("limit is reached"),
            "{output}"
        );
        assert!(events.iter().any(|event| event[1] == "i" && event[2] == "y\n"));
        assert_eq!(
            std::fs::read(folder.path().join("agent.log")).unwrap(),
            "aé€1234".as_bytes()
        );
    }
}
