//! Bounded views of an unbounded output: its end, and its lines one at a time.

/// The last bytes of the output since a mark.
#[derive(Debug, Default)]
pub struct Tail {
    bytes: Vec<u8>,
}

impl Tail {
    /// How many bytes are kept at least.
    pub const SIZE: usize = 128 << 10;

    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        if self.bytes.len() > 2 * Self::SIZE {
            self.bytes.drain(..self.bytes.len() - Self::SIZE);
        }
    }

    /// Sets the mark: what came before is over.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The last lines as text, for messages.
    pub fn excerpt(&self) -> String {
        let from = self.bytes.len().saturating_sub(2000);
        String::from_utf8_lossy(&self.bytes[from..])
            .replace('\r', "")
            .trim()
            .to_owned()
    }
}

/// Cuts the output into lines; of a long line the beginning is kept.
#[derive(Debug, Default)]
pub struct Lines {
    line: Vec<u8>,
}

impl Lines {
    const LONGEST: usize = 4096;

    /// Hands each line that these bytes complete to `each`, without its end.
    pub fn push(&mut self, bytes: &[u8], mut each: impl FnMut(&[u8])) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let room = Self::LONGEST.saturating_sub(self.line.len());
            self.line.extend_from_slice(&piece[..piece.len().min(room)]);
            if piece.ends_with(b"\n") {
                let end = self
                    .line
                    .iter()
                    .rposition(|byte| !matches!(byte, b'\r' | b'\n'))
                    .map_or(0, |last| last + 1);
                each(&self.line[..end]);
                self.line.clear();
            }
        }
    }

    /// Forgets an unfinished line.
    pub fn clear(&mut self) {
        self.line.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_stay_bounded() {
        let (mut tail, mut lines, mut count) = (Tail::default(), Lines::default(), 0);
        for _ in 0..500 {
            tail.push(&[b'x'; 4096]);
            lines.push(&[b'x'; 4096], |_| count += 1);
        }
        assert!(tail.bytes().len() >= Tail::SIZE && tail.bytes().len() <= 2 * Tail::SIZE + 4096);
        assert!(lines.line.len() <= Lines::LONGEST && count == 0);
        let mut seen = Vec::new();
        lines.clear();
        lines.push(b"one\r\ntw", |line| seen.push(line.to_vec()));
        lines.push(b"o\r\n\r\n", |line| seen.push(line.to_vec()));
        assert_eq!(seen, [b"one".to_vec(), b"two".to_vec(), b"".to_vec()]);
    }
}
