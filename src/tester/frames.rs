//! What a run answers: frames over a stream that the code under test may write to as it likes.
//!
//! A frame is the payload's length (u32, big-endian), the run's nonce (16 bytes), a kind and the payload. Nothing here
//! interprets the payload of an answer: that is the judge's work. The nonce keeps stray writers out; it does not have
//! to be a secret, since a forger gains nothing but the right to claim values.

use tokio::io::{AsyncRead, AsyncReadExt};

/// Length of the nonce in bytes.
pub(super) const NONCE: usize = 16;

/// Most bytes that are kept of what is told of an exception.
const MOST_TOLD: usize = 2000;

/// What a run has said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Frame {
    /// The program is loaded; so many inputs wait.
    Ready(u32),
    /// A case answered: `V` or `X`, and what the judge must look at.
    Answer {
        kind: u8,
        payload: Vec<u8>,
    },
    MissingModule(String),
    /// What the exception was that the next frame tells of, in words; decides nothing.
    Told(String),
    /// A case raised a `BaseException` of this name; the run is over.
    BaseException(String),
    /// The program did not load; the run is over.
    NotLoaded(String),
    End,
}

/// Why there is no further frame.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Broken {
    /// The stream ended between frames, or within one.
    Ended,
    /// What the protocol does not allow.
    Protocol(String),
}

/// Reads frames up to a total size.
pub(super) struct Frames {
    nonce: [u8; NONCE],
    left: usize,
}

impl Frames {
    pub fn new(nonce: [u8; NONCE], most: usize) -> Self {
        Self { nonce, left: most }
    }

    /// The next frame.
    pub async fn next(&mut self, stream: &mut (impl AsyncRead + Unpin)) -> Result<Frame, Broken> {
        let mut head = [0; 4 + NONCE + 1];
        stream.read_exact(&mut head).await.map_err(|_| Broken::Ended)?;
        let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
        if head[4..4 + NONCE] != self.nonce {
            return Err(Broken::Protocol("a frame without the nonce".to_owned()));
        }
        // Empty frames count as well: there must be an end to them.
        match self.left.checked_sub(length + head.len()) {
            Some(left) => self.left = left,
            None => return Err(Broken::Protocol("too much output".to_owned())),
        }
        // Grown as bytes arrive: a length alone must not make us take memory.
        let mut payload = Vec::with_capacity(length.min(1 << 16));
        let read = stream.take(length as u64).read_to_end(&mut payload).await;
        if !read.is_ok_and(|read| read == length) {
            return Err(Broken::Ended);
        }
        match head[4 + NONCE] {
            b'R' => match payload.try_into() {
                Ok(count) => Ok(Frame::Ready(u32::from_be_bytes(count))),
                Err(_) => Err(Broken::Protocol("a malformed count".to_owned())),
            },
            kind @ (b'V' | b'X') => Ok(Frame::Answer { kind, payload }),
            b'M' => Ok(Frame::MissingModule(printable(&payload))),
            b'D' => Ok(Frame::Told(lines(&payload))),
            b'B' => Ok(Frame::BaseException(printable(&payload))),
            b'L' => Ok(Frame::NotLoaded(printable(&payload))),
            b'E' => Ok(Frame::End),
            _ => Err(Broken::Protocol("a frame of no known kind".to_owned())),
        }
    }
}

/// Text of a hostile program for our records: short, and without control characters.
fn printable(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes)
        .chars()
        .take(500)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// The same of several lines.
fn lines(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(MOST_TOLD)]);
    let plain = |c: char| if c.is_control() && c != '\n' { ' ' } else { c };
    text.chars().map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(nonce: [u8; NONCE], kind: u8, payload: &[u8]) -> Vec<u8> {
        [&(payload.len() as u32).to_be_bytes()[..], &nonce, &[kind], payload].concat()
    }

    #[tokio::test]
    async fn frames_are_checked_before_they_are_believed() {
        let nonce = [7; NONCE];
        let read = async |bytes: Vec<u8>| Frames::new(nonce, 100).next(&mut &bytes[..]).await;
        assert_eq!(read(frame(nonce, b'R', &3u32.to_be_bytes())).await, Ok(Frame::Ready(3)));
        assert_eq!(
            read(frame(nonce, b'L', b"Name\x1b[31mError")).await,
            Ok(Frame::NotLoaded("Name [31mError".to_owned()))
        );
        assert!(matches!(
            read(frame([8; NONCE], b'E', b"")).await,
            Err(Broken::Protocol(_))
        ));
        assert!(matches!(
            read(frame(nonce, b'V', &[0; 101])).await,
            Err(Broken::Protocol(_))
        ));
        assert!(matches!(read(frame(nonce, b'?', b"")).await, Err(Broken::Protocol(_))));
        assert!(matches!(read(frame(nonce, b'R', b"1")).await, Err(Broken::Protocol(_))));
        let mut short = frame(nonce, b'V', b"abc");
        short.pop();
        assert_eq!(read(short).await, Err(Broken::Ended));
        assert_eq!(read(Vec::new()).await, Err(Broken::Ended));
    }
}
