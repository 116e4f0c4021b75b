//! What a process and the one that takes its place say to each other, a line each.
//!
//! ```text
//!   the process that is there              the one that comes
//!          │ sockets  (net::handover)              │
//!          ├─────────────────────────────────────▶ │  looks at its nodes
//!          │ ◀────────────────────────────── ready │
//!          │ asynchronous <database> ────────────▶ │
//!          │ go ─────────────────────────────────▶ │  accepts clients; both do
//!          │ ◀──────────────────────────── serving │
//!          │ accepts nobody any more               │
//!          │ ◀────────────── cancel <number> <key> │  a request for one of its sessions
//!          │ cancelled <number> ─────────────────▶ │
//!          ▼ ends: the line is closed, by the system if need be
//! ```
//!
//! The two may be of different versions: a line that is not known is passed over.

use std::fmt::{self, Write as _};
use std::io;
use std::str::FromStr;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

use crate::wire::CancelKey;

/// Tells a process that it is to take the place of another, whose number it gives; the sockets come by standard input.
pub(super) const TAKES_OVER: &str = "TIDEGATE_TAKEOVER";

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// The one that comes can accept clients.
    Ready,
    /// Sessions of this database, by its name, commit asynchronously.
    Asynchronous(String),
    /// It may.
    Go,
    /// It does.
    Serving,
    /// A request to cancel what the session with this key runs, and a number for the answer.
    Cancel(u64, CancelKey),
    /// The request of this number has been dealt with.
    Cancelled(u64),
    /// A later version's.
    Unknown,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready => f.write_str("ready"),
            Self::Asynchronous(name) => {
                f.write_str("asynchronous ")?;
                hex(f, name.as_bytes())
            }
            Self::Go => f.write_str("go"),
            Self::Serving => f.write_str("serving"),
            Self::Cancel(number, key) => {
                write!(f, "cancel {number} {} ", key.pid)?;
                hex(f, &key.secret)
            }
            Self::Cancelled(number) => write!(f, "cancelled {number}"),
            Self::Unknown => f.write_char('?'),
        }
    }
}

impl FromStr for Line {
    type Err = std::convert::Infallible;

    fn from_str(line: &str) -> Result<Self, Self::Err> {
        let words: Vec<_> = line.split(' ').collect();
        Ok(match &words[..] {
            ["ready"] => Self::Ready,
            ["asynchronous", name] => {
                let name = bytes(name).and_then(|name| String::from_utf8(name).ok());
                name.map_or(Self::Unknown, Self::Asynchronous)
            }
            ["go"] => Self::Go,
            ["serving"] => Self::Serving,
            ["cancelled", number] => number.parse().map_or(Self::Unknown, Self::Cancelled),
            ["cancel", number, pid, secret] => match (number.parse(), pid.parse(), bytes(secret)) {
                (Ok(number), Ok(pid), Some(secret)) => Self::Cancel(number, CancelKey { pid, secret }),
                _ => Self::Unknown,
            },
            _ => Self::Unknown,
        })
    }
}

fn hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    hex.as_bytes().chunks(2).map(pair).collect()
}

/// One end of the line.
#[derive(Debug)]
pub(super) struct Link {
    lines: Lines<BufReader<OwnedReadHalf>>,
    writer: OwnedWriteHalf,
}

impl Link {
    /// Takes a socket that is connected to the other process.
    pub(super) fn new(stream: std::os::unix::net::UnixStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        let (reader, writer) = UnixStream::from_std(stream)?.into_split();
        Ok(Self { lines: BufReader::new(reader).lines(), writer })
    }

    /// Says something.
    pub(super) async fn say(&mut self, line: &Line) -> io::Result<()> {
        self.writer.write_all(format!("{line}\n").as_bytes()).await
    }

    /// What the other process says next; `None` when it is gone. Cancel safe.
    pub(super) async fn hear(&mut self) -> Option<Line> {
        let line = self.lines.next_line().await.ok()??;
        Some(line.parse().unwrap_or(Line::Unknown))
    }

    /// Waits for this line; `None` when the other process is gone. Cancel safe.
    pub(super) async fn expect(&mut self, line: &Line) -> Option<()> {
        while self.hear().await? != *line {}
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_they_are_written() {
        let key = CancelKey { pid: 4711, secret: vec![0, 0x0f, 0xff] };
        let name = Line::Asynchronous("an app\n".to_owned());
        let lines = [Line::Ready, name, Line::Go, Line::Serving, Line::Cancel(3, key), Line::Cancelled(3)];
        for line in lines {
            assert_eq!(line.to_string().parse(), Ok(line));
        }
        for text in ["", "cancel", "cancel 1 2 0g", "cancel 1 x 00", "cancelled x", "ready now", "later"] {
            assert_eq!(text.parse(), Ok(Line::Unknown), "{text}");
        }
    }
}
