//! Messages a client sends.

use super::{Header, WireError, cstr, header};

/// The messages of a client after start-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frontend {
    /// Simple query.
    Query,
    /// Extended query: prepare.
    Parse,
    /// Extended query: bind parameters to a portal.
    Bind,
    /// Extended query: describe a statement or portal.
    Describe,
    /// Extended query: run a portal.
    Execute,
    /// Extended query: close a statement or portal.
    Close,
    /// Extended query: end of an implicit transaction.
    Sync,
    /// Extended query: send what is pending.
    Flush,
    /// Fast-path function call.
    FunctionCall,
    /// A piece of COPY data.
    CopyData,
    /// COPY data is complete.
    CopyDone,
    /// COPY data will not be complete.
    CopyFail,
    /// A password or SASL answer.
    Password,
    /// Orderly end of the connection.
    Terminate,
}

/// Reads the header of the message that starts `buf`; `None` when fewer than five bytes are there.
pub fn frontend_message(buf: &[u8]) -> Result<Option<Header<Frontend>>, WireError> {
    let Some((tag, len)) = header(buf)? else { return Ok(None) };
    let kind = match tag {
        b'Q' => Frontend::Query,
        b'P' => Frontend::Parse,
        b'B' => Frontend::Bind,
        b'D' => Frontend::Describe,
        b'E' => Frontend::Execute,
        b'C' => Frontend::Close,
        b'S' => Frontend::Sync,
        b'H' => Frontend::Flush,
        b'F' => Frontend::FunctionCall,
        b'd' => Frontend::CopyData,
        b'c' => Frontend::CopyDone,
        b'f' => Frontend::CopyFail,
        b'p' => Frontend::Password,
        b'X' => Frontend::Terminate,
        _ => return Err(WireError::Tag(tag)),
    };
    Ok(Some(Header { kind, len }))
}

/// What a Describe or Close names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A prepared statement.
    Statement,
    /// A portal.
    Portal,
}

/// The body of a Parse message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parse<'a> {
    /// Statement name; empty for the unnamed statement.
    pub name: &'a [u8],
    /// Statement text, in the client's encoding.
    pub text: &'a [u8],
    /// Parameter types: the count and OIDs as they stand on the wire.
    pub types: &'a [u8],
}

/// Reads a complete Parse body.
pub fn parse_message(body: &[u8]) -> Result<Parse<'_>, WireError> {
    let (name, rest) = cstr(body)?;
    let (text, types) = cstr(rest)?;
    let [a, b, oids @ ..] = types else { return Err(WireError::Malformed("Parse")) };
    if oids.len() != usize::from(u16::from_be_bytes([*a, *b])) * 4 {
        return Err(WireError::Malformed("Parse"));
    }
    Ok(Parse { name, text, types })
}

/// The beginning of a Bind message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bind<'a> {
    /// Portal name; empty for the unnamed portal.
    pub portal: &'a [u8],
    /// Statement name; empty for the unnamed statement.
    pub statement: &'a [u8],
}

impl<'a> Bind<'a> {
    /// Reads the two names; the parameters behind them need not have arrived.
    pub fn read(body: &'a [u8]) -> Result<Self, WireError> {
        let (portal, rest) = cstr(body)?;
        let (statement, _) = cstr(rest)?;
        Ok(Self { portal, statement })
    }

    /// Bytes of the body that the two names take.
    pub fn names_len(&self) -> usize {
        self.portal.len() + self.statement.len() + 2
    }
}

/// The body of a Describe or Close message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Describe<'a> {
    /// Statement or portal.
    pub kind: Kind,
    /// Its name.
    pub name: &'a [u8],
}

impl<'a> Describe<'a> {
    /// Reads a complete body.
    pub fn read(body: &'a [u8]) -> Result<Self, WireError> {
        let (&kind, rest) = body.split_first().ok_or(WireError::Malformed("Describe"))?;
        let (name, _) = cstr(rest)?;
        let kind = match kind {
            b'S' => Kind::Statement,
            b'P' => Kind::Portal,
            _ => return Err(WireError::Malformed("Describe")),
        };
        Ok(Self { kind, name })
    }
}

/// The text of a complete Query body, in the client's encoding.
pub fn query_text(body: &[u8]) -> Result<&[u8], WireError> {
    cstr(body).map(|(text, _)| text)
}

/// The portal that a complete Execute body names.
pub fn execute_portal(body: &[u8]) -> Result<&[u8], WireError> {
    cstr(body).map(|(portal, _)| portal)
}

/// The text of a complete `PasswordMessage` body.
pub fn password_text(body: &[u8]) -> Result<&[u8], WireError> {
    match cstr(body)? {
        (text, []) => Ok(text),
        _ => Err(WireError::Malformed("password")),
    }
}

/// Mechanism and first message of a complete `SASLInitialResponse` body.
pub fn sasl_initial(body: &[u8]) -> Result<(&[u8], &[u8]), WireError> {
    let (mechanism, rest) = cstr(body)?;
    let [_, _, _, _, data @ ..] = rest else { return Err(WireError::Malformed("SASLInitialResponse")) };
    Ok((mechanism, data))
}
