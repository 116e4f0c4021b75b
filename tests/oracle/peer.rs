//! A connection on which whole messages are read and kept as the bytes they came in.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use bytes::BytesMut;
use tidegate::wire::{
    self, Backend, CancelKey, Frontend, HEADER_LEN, Header, Startup, StartupParameters, WireError, encode,
};

use crate::answer::Answer;

/// A message and its bytes, tag and length included.
pub struct Message<K> {
    pub kind: K,
    pub bytes: Vec<u8>,
}

impl<K> Message<K> {
    /// What follows the tag and the length.
    pub fn body(&self) -> &[u8] {
        wire::body(&self.bytes, self.bytes.len())
    }
}

/// Reads a message's kind and length.
type Reader<K> = fn(&[u8]) -> Result<Option<Header<K>>, WireError>;

/// One end of a connection.
pub struct Peer {
    stream: BufReader<TcpStream>,
}

impl Peer {
    /// Over a socket that is open.
    pub fn over(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// To a server, without a word yet.
    pub fn connect(address: SocketAddr) -> io::Result<Self> {
        Self::over(TcpStream::connect(address)?)
    }

    /// To a server that asks for no password, logged in.
    pub fn log_in(
        address: SocketAddr,
        parameters: &StartupParameters,
    ) -> io::Result<(Self, Option<CancelKey>)> {
        let mut peer = Self::connect(address)?;
        peer.send(|out| encode::startup(out, parameters))?;
        let mut key = None;
        loop {
            let message = peer.read_backend()?;
            match message.kind {
                Backend::BackendKeyData => key = CancelKey::read(message.body()).ok(),
                Backend::ReadyForQuery => return Ok((peer, key)),
                Backend::ErrorResponse => {
                    return Err(io::Error::other(String::from_utf8_lossy(message.body())));
                }
                _ => {}
            }
        }
    }

    /// Sends bytes as they are.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// Sends what `encoded` appends.
    pub fn send(&mut self, encoded: impl FnOnce(&mut BytesMut)) -> io::Result<()> {
        let mut out = BytesMut::new();
        encoded(&mut out);
        self.write(&out)
    }

    /// The first packet of a client, with its bytes.
    pub fn read_startup(&mut self) -> io::Result<(Startup, Vec<u8>)> {
        let mut packet = vec![0; 4];
        self.stream.read_exact(&mut packet)?;
        let len = u32::from_be_bytes([packet[0], packet[1], packet[2], packet[3]]) as usize;
        packet.resize(len.clamp(4, 10_000), 0);
        self.stream.read_exact(&mut packet[4..])?;
        let (startup, _) = wire::startup_packet(&packet).map_err(io::Error::other)?.ok_or_else(cut_short)?;
        Ok((startup, packet))
    }

    /// The next message of a server.
    pub fn read_backend(&mut self) -> io::Result<Message<Backend>> {
        self.read(wire::backend_message)
    }

    /// The next message of a client.
    pub fn read_frontend(&mut self) -> io::Result<Message<Frontend>> {
        self.read(wire::frontend_message)
    }

    fn read<K>(&mut self, header: Reader<K>) -> io::Result<Message<K>> {
        let mut bytes = vec![0; HEADER_LEN];
        self.stream.read_exact(&mut bytes)?;
        let Header { kind, len } = header(&bytes).map_err(io::Error::other)?.ok_or_else(cut_short)?;
        bytes.resize(len, 0);
        self.stream.read_exact(&mut bytes[HEADER_LEN..])?;
        Ok(Message { kind, bytes })
    }

    /// Runs a text as a simple query. It gets no COPY data.
    pub fn query(&mut self, text: &str) -> io::Result<Answer> {
        self.send(|out| encode::query(out, text))?;
        self.answer()
    }

    /// The answer to a simple query.
    pub fn answer(&mut self) -> io::Result<Answer> {
        let mut answer = Answer::default();
        loop {
            let message = self.read_backend()?;
            answer.take(&message);
            match message.kind {
                Backend::ReadyForQuery => return Ok(answer),
                Backend::CopyInResponse => self.send(|out| encode::copy_fail(out, "no data"))?,
                _ => {}
            }
        }
    }

    /// Whether something arrives within `limit`.
    pub fn has_word_within(&mut self, limit: Duration) -> io::Result<bool> {
        self.stream.get_ref().set_read_timeout(Some(limit))?;
        let arrived = match self.stream.fill_buf() {
            Ok(bytes) => Ok(!bytes.is_empty()),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                Ok(false)
            }
            Err(error) => Err(error),
        };
        self.stream.get_ref().set_read_timeout(None)?;
        arrived
    }

    /// Gives up on a peer that stays silent for this long.
    pub fn limit_silence(&self, limit: Duration) -> io::Result<()> {
        self.stream.get_ref().set_read_timeout(Some(limit))
    }

    /// Reads until the other end hangs up.
    pub fn drain(&mut self) {
        let _ = io::copy(&mut self.stream, &mut io::sink());
    }
}

fn cut_short() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "a message is cut short")
}
