//! The first packet of a connection, which has no tag.

use super::{WireError, cstr};

/// Protocol versions and the special codes that stand in their place.
const SSL_REQUEST: u32 = 80_877_103;
const GSSENC_REQUEST: u32 = 80_877_104;
const CANCEL_REQUEST: u32 = 80_877_102;
/// PostgreSQL's own limit for a start-up packet, in bytes.
const LARGEST_STARTUP: usize = 10_000;
/// Longest cancellation key of protocol 3.2, in bytes.
const LONGEST_KEY: usize = 256;

/// A process number and the secret that allows to cancel what it runs.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct CancelKey {
    /// The number shown to the client as its backend's process number.
    pub pid: u32,
    /// 4 bytes in protocol 3.0, up to 256 in 3.2.
    pub secret: Vec<u8>,
}

impl CancelKey {
    /// Reads the complete body of a `BackendKeyData`, or of a cancel request after its code.
    pub fn read(body: &[u8]) -> Result<Self, WireError> {
        let (pid, secret) = body.split_first_chunk::<4>().ok_or(WireError::Malformed("BackendKeyData"))?;
        if !(4..=LONGEST_KEY).contains(&secret.len()) {
            return Err(WireError::Malformed("BackendKeyData"));
        }
        Ok(Self { pid: u32::from_be_bytes(*pid), secret: secret.to_vec() })
    }
}

impl std::fmt::Debug for CancelKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CancelKey({}, …)", self.pid)
    }
}

/// What a client says of itself when it connects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StartupParameters {
    /// Minor version of protocol 3 asked for.
    pub minor: u16,
    /// Names and values in the order given, protocol options (`_pq_.…`) left out.
    pub values: Vec<(String, String)>,
    /// Protocol options asked for; none is known.
    pub options: Vec<String>,
}

impl StartupParameters {
    /// The last value given for `name`.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.iter().rev().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

/// What a server answers when it is asked for TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SslAnswer {
    /// The handshake may begin.
    Yes,
    /// It has none; the connection goes on without.
    No,
    /// An `ErrorResponse` begins. Nobody has shown yet whose words those are.
    Error,
}

impl SslAnswer {
    /// Reads the answer, which is one byte.
    pub fn read(byte: u8) -> Result<Self, WireError> {
        match byte {
            b'S' => Ok(Self::Yes),
            b'N' => Ok(Self::No),
            b'E' => Ok(Self::Error),
            _ => Err(WireError::Malformed("answer to SSLRequest")),
        }
    }
}

/// The first packet of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Startup {
    /// Asks for TLS.
    Ssl,
    /// Asks for GSSAPI encryption.
    GssEnc,
    /// Asks to cancel what another connection runs.
    Cancel(CancelKey),
    /// Begins a session.
    Session(StartupParameters),
}

/// Reads a start-up packet from the front of `buf` with its length in bytes; `None` while it is incomplete.
pub fn startup_packet(buf: &[u8]) -> Result<Option<(Startup, usize)>, WireError> {
    let Some((len, _)) = buf.split_first_chunk::<4>() else { return Ok(None) };
    let len = u32::from_be_bytes(*len) as usize;
    if !(8..=LARGEST_STARTUP).contains(&len) {
        return Err(WireError::StartupLength(len));
    }
    let Some(packet) = buf.get(4..len) else { return Ok(None) };
    let (code, rest) = packet.split_first_chunk::<4>().ok_or(WireError::StartupLength(len))?;
    let startup = match u32::from_be_bytes(*code) {
        SSL_REQUEST => Startup::Ssl,
        GSSENC_REQUEST => Startup::GssEnc,
        CANCEL_REQUEST => Startup::Cancel(CancelKey::read(rest)?),
        version => Startup::Session(parameters(version, rest)?),
    };
    Ok(Some((startup, len)))
}

fn parameters(version: u32, mut rest: &[u8]) -> Result<StartupParameters, WireError> {
    let bytes = version.to_be_bytes();
    let (major, minor) = (u16::from_be_bytes([bytes[0], bytes[1]]), u16::from_be_bytes([bytes[2], bytes[3]]));
    if major != 3 {
        return Err(WireError::Version { major, minor });
    }
    let mut parameters = StartupParameters { minor, ..StartupParameters::default() };
    loop {
        let (name, tail) = cstr(rest)?;
        if name.is_empty() {
            return if tail.is_empty() { Ok(parameters) } else { Err(WireError::Malformed("start-up")) };
        }
        let (value, tail) = cstr(tail)?;
        let (name, value) = (text(name)?, text(value)?);
        if name.starts_with("_pq_.") {
            parameters.options.push(name);
        } else {
            parameters.values.push((name, value));
        }
        rest = tail;
    }
}

fn text(bytes: &[u8]) -> Result<String, WireError> {
    String::from_utf8(bytes.to_vec()).map_err(|_| WireError::Malformed("start-up"))
}
