//! Messages PostgreSQL sends.

use super::{Header, WireError, cstr, header};

/// The messages of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// Authentication request or outcome.
    Authentication,
    /// Cancellation key.
    BackendKeyData,
    /// Bind done.
    BindComplete,
    /// Close done.
    CloseComplete,
    /// One statement done.
    CommandComplete,
    /// A piece of COPY data.
    CopyData,
    /// COPY data is complete.
    CopyDone,
    /// The server waits for COPY data.
    CopyInResponse,
    /// COPY data follows.
    CopyOutResponse,
    /// COPY data in both directions (replication).
    CopyBothResponse,
    /// One row.
    DataRow,
    /// The statement was empty.
    EmptyQueryResponse,
    /// An error.
    ErrorResponse,
    /// Result of a fast-path call.
    FunctionCallResponse,
    /// The server speaks an older minor version.
    NegotiateProtocolVersion,
    /// No row description.
    NoData,
    /// A warning or remark.
    NoticeResponse,
    /// A notification.
    NotificationResponse,
    /// Types of a statement's parameters.
    ParameterDescription,
    /// A reported setting.
    ParameterStatus,
    /// Parse done.
    ParseComplete,
    /// A row limit was reached.
    PortalSuspended,
    /// The server waits for the next command.
    ReadyForQuery,
    /// Columns of the rows that follow.
    RowDescription,
}

/// Reads the header of the message that starts `buf`; `None` when fewer than five bytes are there.
pub fn backend_message(buf: &[u8]) -> Result<Option<Header<Backend>>, WireError> {
    let Some((tag, len)) = header(buf)? else { return Ok(None) };
    let kind = match tag {
        b'D' => Backend::DataRow,
        b'd' => Backend::CopyData,
        b'Z' => Backend::ReadyForQuery,
        b'C' => Backend::CommandComplete,
        b'T' => Backend::RowDescription,
        b'1' => Backend::ParseComplete,
        b'2' => Backend::BindComplete,
        b'3' => Backend::CloseComplete,
        b'R' => Backend::Authentication,
        b'K' => Backend::BackendKeyData,
        b'c' => Backend::CopyDone,
        b'G' => Backend::CopyInResponse,
        b'H' => Backend::CopyOutResponse,
        b'W' => Backend::CopyBothResponse,
        b'I' => Backend::EmptyQueryResponse,
        b'E' => Backend::ErrorResponse,
        b'V' => Backend::FunctionCallResponse,
        b'v' => Backend::NegotiateProtocolVersion,
        b'n' => Backend::NoData,
        b'N' => Backend::NoticeResponse,
        b'A' => Backend::NotificationResponse,
        b't' => Backend::ParameterDescription,
        b'S' => Backend::ParameterStatus,
        b's' => Backend::PortalSuspended,
        _ => return Err(WireError::Tag(tag)),
    };
    Ok(Some(Header { kind, len }))
}

/// The three states a session can be in between commands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TransactionStatus {
    /// Not in a transaction block.
    #[default]
    Idle,
    /// In a transaction block.
    Open,
    /// In a transaction block that has failed.
    Failed,
}

impl TransactionStatus {
    /// Reads the body of a ReadyForQuery.
    pub fn read(body: &[u8]) -> Result<Self, WireError> {
        match body {
            b"I" => Ok(Self::Idle),
            b"T" => Ok(Self::Open),
            b"E" => Ok(Self::Failed),
            _ => Err(WireError::Malformed("ReadyForQuery")),
        }
    }

    pub(super) fn byte(self) -> u8 {
        match self {
            Self::Idle => b'I',
            Self::Open => b'T',
            Self::Failed => b'E',
        }
    }
}

/// What a server asks of, or tells, somebody who logs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authentication<'a> {
    /// Logged in.
    Ok,
    /// The password in clear text, please.
    Cleartext,
    /// The password hashed with this salt, please.
    Md5([u8; 4]),
    /// One of these mechanisms, please (NUL-separated names).
    Sasl(&'a [u8]),
    /// The next SASL challenge.
    SaslContinue(&'a [u8]),
    /// The server's proof.
    SaslFinal(&'a [u8]),
    /// A method this proxy does not speak, by its protocol number.
    Unsupported(u32),
}

impl<'a> Authentication<'a> {
    /// Reads a complete body.
    pub fn read(body: &'a [u8]) -> Result<Self, WireError> {
        let [a, b, c, d, data @ ..] = body else { return Err(WireError::Malformed("Authentication")) };
        Ok(match u32::from_be_bytes([*a, *b, *c, *d]) {
            0 => Self::Ok,
            3 => Self::Cleartext,
            5 => Self::Md5(data.try_into().map_err(|_| WireError::Malformed("Authentication"))?),
            10 => Self::Sasl(data),
            11 => Self::SaslContinue(data),
            12 => Self::SaslFinal(data),
            other => Self::Unsupported(other),
        })
    }
}

/// Name and value of a complete ParameterStatus body.
pub fn parameter_status(body: &[u8]) -> Result<(&[u8], &[u8]), WireError> {
    let (name, rest) = cstr(body)?;
    let (value, _) = cstr(rest)?;
    Ok((name, value))
}

/// The columns of a complete `DataRow` body; `None` for NULL.
pub fn data_row(body: &[u8]) -> Result<Vec<Option<&[u8]>>, WireError> {
    const BAD: WireError = WireError::Malformed("DataRow");
    let (count, mut rest) = body.split_first_chunk::<2>().ok_or(BAD)?;
    let mut columns = Vec::new();
    for _ in 0..u16::from_be_bytes(*count) {
        let (len, tail) = rest.split_first_chunk::<4>().ok_or(BAD)?;
        let Ok(len) = usize::try_from(i32::from_be_bytes(*len)) else {
            columns.push(None);
            rest = tail;
            continue;
        };
        columns.push(Some(tail.get(..len).ok_or(BAD)?));
        rest = &tail[len..];
    }
    Ok(columns)
}

/// The fields of an `ErrorResponse` or `NoticeResponse` that a proxy looks at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ErrorFields<'a> {
    /// Severity that is never translated: ERROR, FATAL, PANIC, WARNING …
    pub severity: &'a [u8],
    /// SQLSTATE.
    pub code: &'a [u8],
    /// Primary message, in the server's language.
    pub message: &'a [u8],
    /// What else it says, in the server's language.
    pub detail: &'a [u8],
    /// The function in PostgreSQL's source that raised it: never translated.
    pub routine: &'a [u8],
}

impl<'a> ErrorFields<'a> {
    /// Reads a body, as far as it has arrived; what is missing stays empty.
    pub fn read(mut body: &'a [u8]) -> Self {
        let mut fields = Self::default();
        while let Some((&tag, rest)) = body.split_first() {
            let Ok((value, rest)) = cstr(rest) else { break };
            match tag {
                0 => break,
                b'V' => fields.severity = value,
                b'C' => fields.code = value,
                b'M' => fields.message = value,
                b'D' => fields.detail = value,
                b'R' => fields.routine = value,
                _ => {}
            }
            body = rest;
        }
        fields
    }
}
