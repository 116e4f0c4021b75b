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

/// In which form the values of a portal's rows are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResultFormats(Vec<bool>);

impl ResultFormats {
    /// Reads what stands at the end of a complete Bind body.
    pub fn read(body: &[u8]) -> Result<Self, WireError> {
        let rest = body.get(Bind::read(body)?.names_len()..).unwrap_or_default();
        let (_, mut rest) = codes(rest)?;
        for _ in 0..number(&mut rest)? {
            let [a, b, c, d, values @ ..] = rest else { return Err(MALFORMED_BIND) };
            // -1 is NULL, which has no bytes.
            let len = usize::try_from(i32::from_be_bytes([*a, *b, *c, *d])).unwrap_or(0);
            rest = values.get(len..).ok_or(MALFORMED_BIND)?;
        }
        match codes(rest)? {
            (formats, []) => Ok(Self(formats)),
            _ => Err(MALFORMED_BIND),
        }
    }

    /// Whether the values of this column, counted from 0, are wanted in binary.
    pub fn is_binary(&self, column: usize) -> bool {
        match self.0[..] {
            [all] => all,
            _ => self.0.get(column).copied().unwrap_or(false),
        }
    }
}

const MALFORMED_BIND: WireError = WireError::Malformed("Bind");

/// A number of 16 bits at the front.
fn number(bytes: &mut &[u8]) -> Result<u16, WireError> {
    let [a, b, rest @ ..] = *bytes else { return Err(MALFORMED_BIND) };
    let number = u16::from_be_bytes([*a, *b]);
    *bytes = rest;
    Ok(number)
}

/// Format codes with their count, and what is behind them.
fn codes(mut bytes: &[u8]) -> Result<(Vec<bool>, &[u8]), WireError> {
    let count = number(&mut bytes)?;
    let codes: Result<_, _> = (0..count).map(|_| number(&mut bytes).map(|code| code == 1)).collect();
    Ok((codes?, bytes))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_of_results_stand_behind_the_parameters() {
        let read = |rest: &[u8]| ResultFormats::read(&[b"portal\0statement\0", rest].concat());
        let all_text = read(&[0, 0, 0, 0, 0, 0]);
        assert_eq!(all_text, Ok(ResultFormats::default()));
        // Two formats of parameters, a parameter of three bytes, and NULL.
        let parameters = [0, 2, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 7, 7, 7, 255, 255, 255, 255];
        let all_binary = read(&[&parameters[..], &[0, 1, 0, 1]].concat());
        assert!(all_binary.is_ok_and(|formats| formats.is_binary(0) && formats.is_binary(9)));
        let second = read(&[&parameters[..], &[0, 2, 0, 0, 0, 1]].concat());
        assert!(
            second
                .is_ok_and(|formats| !formats.is_binary(0) && formats.is_binary(1) && !formats.is_binary(2))
        );
        for torn in [&[][..], &[0], &[0, 0], &[0, 0, 0, 1], &[0, 0, 0, 1, 0, 0, 0, 9, 1], &[0; 5], &[0; 7]] {
            assert_eq!(read(torn), Err(MALFORMED_BIND), "{torn:?}");
        }
    }
}
