//! Bytes ↔ messages of the PostgreSQL frontend/backend protocol, version 3.
//!
//! Owns every fact about the protocol's bytes; it is the only place that knows a tag byte. It must not know
//! sockets, sessions or what a message is used for. See the manual's chapter "Message Formats":
//! <https://www.postgresql.org/docs/current/protocol-message-formats.html>.

use std::ffi::CStr;

mod backend;
pub mod encode;
mod error;
mod frontend;
mod startup;

pub use backend::{
    Authentication, Backend, ErrorFields, TransactionStatus, backend_message, data_row, parameter_status,
};
pub use encode::{ColumnType, Severity};
pub use error::WireError;
pub use frontend::{
    Bind, Describe, Frontend, Kind, Parse, ResultFormats, execute_portal, frontend_message, parse_message,
    password_text, query_text, sasl_initial,
};
pub use startup::{CancelKey, SslAnswer, Startup, StartupParameters, startup_packet};

/// A message's kind and its whole length on the wire, tag and length word included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<K> {
    /// What the tag byte says.
    pub kind: K,
    /// Bytes from the tag to the end of the body.
    pub len: usize,
}

/// Bytes of a tag and a length word.
pub const HEADER_LEN: usize = 5;

/// Bytes of a whole `ReadyForQuery`.
pub const READY_LEN: usize = HEADER_LEN + 1;

/// The largest message PostgreSQL itself accepts or sends: `MaxAllocSize`, 1 GiB − 1 byte.
const LARGEST: usize = 0x3fff_ffff;

fn header(buf: &[u8]) -> Result<Option<(u8, usize)>, WireError> {
    let [tag, a, b, c, d, ..] = *buf else { return Ok(None) };
    let len = u32::from_be_bytes([a, b, c, d]) as usize;
    if !(4..=LARGEST).contains(&len) {
        return Err(WireError::Length { tag, len });
    }
    Ok(Some((tag, len + 1)))
}

/// The whole length of the message that starts `buf`, whatever it is; `None` when fewer than five bytes are there.
pub fn message_len(buf: &[u8]) -> Result<Option<usize>, WireError> {
    Ok(header(buf)?.map(|(_, len)| len))
}

/// The body of the message that starts `buf`, as far as it has arrived.
pub fn body(buf: &[u8], len: usize) -> &[u8] {
    buf.get(HEADER_LEN..len.min(buf.len())).unwrap_or_default()
}

/// Splits a NUL-terminated string off the front of `bytes`.
fn cstr(bytes: &[u8]) -> Result<(&[u8], &[u8]), WireError> {
    let text = CStr::from_bytes_until_nul(bytes).map_err(|_| WireError::Unterminated)?;
    Ok((text.to_bytes(), &bytes[text.to_bytes_with_nul().len()..]))
}
