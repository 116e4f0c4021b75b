//! Writing messages: each function appends one whole message to `out`.

use bytes::{BufMut, BytesMut};

use super::{CancelKey, Kind, StartupParameters, TransactionStatus};

#[cfg(any(test, fuzzing))]
pub mod stand_in;

/// How bad an error made by the proxy is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The statement failed; the session goes on.
    Error,
    /// The session ends.
    Fatal,
    /// Nothing failed.
    Warning,
    /// Somebody asked to be told.
    Notice,
}

impl Severity {
    fn word(self) -> &'static str {
        match self {
            Self::Error => "ERROR",
            Self::Fatal => "FATAL",
            Self::Warning => "WARNING",
            Self::Notice => "NOTICE",
        }
    }
}

fn message(out: &mut BytesMut, tag: u8, body: impl FnOnce(&mut BytesMut)) {
    out.put_u8(tag);
    length_prefixed(out, body);
}

fn length_prefixed(out: &mut BytesMut, body: impl FnOnce(&mut BytesMut)) {
    let start = out.len();
    out.put_u32(0);
    body(out);
    let len = u32::try_from(out.len() - start).unwrap_or(u32::MAX);
    out[start..start + 4].copy_from_slice(&len.to_be_bytes());
}

fn cstr(out: &mut BytesMut, bytes: &[u8]) {
    out.put_slice(bytes);
    out.put_u8(0);
}

/// `StartupMessage` of protocol 3.
pub fn startup(out: &mut BytesMut, parameters: &StartupParameters) {
    length_prefixed(out, |out| {
        out.put_u16(3);
        out.put_u16(parameters.minor);
        for (name, value) in &parameters.values {
            cstr(out, name.as_bytes());
            cstr(out, value.as_bytes());
        }
        out.put_u8(0);
    });
}

/// `CancelRequest`.
pub fn cancel_request(out: &mut BytesMut, key: &CancelKey) {
    length_prefixed(out, |out| {
        out.put_u32(80_877_102);
        out.put_u32(key.pid);
        out.put_slice(&key.secret);
    });
}

/// The one-byte answer "yes" to a request for TLS.
pub fn encryption_granted(out: &mut BytesMut) {
    out.put_u8(b'S');
}

/// `SSLRequest`: asks for TLS.
pub fn ssl_request(out: &mut BytesMut) {
    length_prefixed(out, |out| out.put_u32(80_877_103));
}

/// The one-byte answer "no" to a request for encryption.
pub fn encryption_refused(out: &mut BytesMut) {
    out.put_u8(b'N');
}

/// `NegotiateProtocolVersion`: the newest minor version spoken and the options not known.
pub fn negotiate(out: &mut BytesMut, minor: u16, unknown: &[String]) {
    message(out, b'v', |out| {
        out.put_u32(0x0003_0000 | u32::from(minor));
        out.put_u32(u32::try_from(unknown.len()).unwrap_or(0));
        for name in unknown {
            cstr(out, name.as_bytes());
        }
    });
}

/// `AuthenticationOk`.
pub fn authentication_ok(out: &mut BytesMut) {
    message(out, b'R', |out| out.put_u32(0));
}

/// `AuthenticationMD5Password`.
pub fn authentication_md5(out: &mut BytesMut, salt: [u8; 4]) {
    message(out, b'R', |out| {
        out.put_u32(5);
        out.put_slice(&salt);
    });
}

/// `AuthenticationSASL` with the mechanisms that are offered, the best first.
pub fn sasl(out: &mut BytesMut, mechanisms: &[&str]) {
    message(out, b'R', |out| {
        out.put_u32(10);
        for mechanism in mechanisms {
            cstr(out, mechanism.as_bytes());
        }
        out.put_u8(0);
    });
}

/// `AuthenticationSASLContinue`.
pub fn sasl_continue(out: &mut BytesMut, data: &[u8]) {
    message(out, b'R', |out| {
        out.put_u32(11);
        out.put_slice(data);
    });
}

/// `AuthenticationSASLFinal`.
pub fn sasl_final(out: &mut BytesMut, data: &[u8]) {
    message(out, b'R', |out| {
        out.put_u32(12);
        out.put_slice(data);
    });
}

/// `PasswordMessage` or `SASLResponse`: the same tag, whatever the body.
pub fn password(out: &mut BytesMut, data: &[u8]) {
    message(out, b'p', |out| out.put_slice(data));
}

/// `SASLInitialResponse`.
pub fn sasl_initial(out: &mut BytesMut, mechanism: &str, data: &[u8]) {
    message(out, b'p', |out| {
        cstr(out, mechanism.as_bytes());
        out.put_u32(u32::try_from(data.len()).unwrap_or(0));
        out.put_slice(data);
    });
}

/// `BackendKeyData`.
pub fn backend_key(out: &mut BytesMut, key: &CancelKey) {
    message(out, b'K', |out| {
        out.put_u32(key.pid);
        out.put_slice(&key.secret);
    });
}

/// ParameterStatus.
pub fn parameter_status(out: &mut BytesMut, name: &str, value: &str) {
    message(out, b'S', |out| {
        cstr(out, name.as_bytes());
        cstr(out, value.as_bytes());
    });
}

/// ReadyForQuery.
pub fn ready(out: &mut BytesMut, status: TransactionStatus) {
    message(out, b'Z', |out| out.put_u8(status.byte()));
}

/// `ErrorResponse` or `NoticeResponse` of the proxy's own making; empty fields are left out.
pub fn error(out: &mut BytesMut, severity: Severity, code: &str, text: &str, hint: &str, routine: &str) {
    report(out, severity, code, text, &[(b'H', hint), (b'R', routine)]);
}

/// `NoticeResponse` of severity NOTICE, for who asked to be told; `detail` may be empty.
pub fn notice(out: &mut BytesMut, text: &str, detail: &str) {
    report(out, Severity::Notice, "00000", text, &[(b'D', detail)]);
}

fn report(out: &mut BytesMut, severity: Severity, code: &str, text: &str, more: &[(u8, &str)]) {
    let tag = if matches!(severity, Severity::Warning | Severity::Notice) { b'N' } else { b'E' };
    message(out, tag, |out| {
        let mut field = |tag: u8, value: &str| {
            out.put_u8(tag);
            cstr(out, value.as_bytes());
        };
        field(b'S', severity.word());
        field(b'V', severity.word());
        field(b'C', code);
        field(b'M', text);
        for (tag, value) in more.iter().filter(|(_, value)| !value.is_empty()) {
            field(*tag, value);
        }
        out.put_u8(0);
    });
}

/// `ParseComplete`.
pub fn parse_complete(out: &mut BytesMut) {
    message(out, b'1', |_| ());
}

/// `BindComplete`.
pub fn bind_complete(out: &mut BytesMut) {
    message(out, b'2', |_| ());
}

/// `NoData`.
pub fn no_data(out: &mut BytesMut) {
    message(out, b'n', |_| {});
}

/// `ParameterDescription` of a statement without parameters.
pub fn no_parameters(out: &mut BytesMut) {
    message(out, b't', |out| out.put_u16(0));
}

/// Query.
pub fn query(out: &mut BytesMut, text: &str) {
    message(out, b'Q', |out| cstr(out, text.as_bytes()));
}

/// Parse; `types` is the count and OIDs as they stand on the wire.
pub fn parse(out: &mut BytesMut, name: &[u8], text: &[u8], types: &[u8]) {
    message(out, b'P', |out| {
        cstr(out, name);
        cstr(out, text);
        out.put_slice(types);
    });
}

/// The beginning of a Bind whose parameters (`rest` bytes) follow.
pub fn bind_head(out: &mut BytesMut, portal: &[u8], statement: &[u8], rest: usize) {
    out.put_u8(b'B');
    let len = 4 + portal.len() + statement.len() + 2 + rest;
    out.put_u32(u32::try_from(len).unwrap_or(u32::MAX));
    cstr(out, portal);
    cstr(out, statement);
}

/// Describe.
pub fn describe(out: &mut BytesMut, kind: Kind, name: &[u8]) {
    message(out, b'D', |out| target(out, kind, name));
}

/// Close.
pub fn close(out: &mut BytesMut, kind: Kind, name: &[u8]) {
    message(out, b'C', |out| target(out, kind, name));
}

fn target(out: &mut BytesMut, kind: Kind, name: &[u8]) {
    out.put_u8(if kind == Kind::Statement { b'S' } else { b'P' });
    cstr(out, name);
}

/// Sync.
pub fn sync(out: &mut BytesMut) {
    message(out, b'S', |_| ());
}

/// Flush.
pub fn flush(out: &mut BytesMut) {
    message(out, b'H', |_| ());
}

/// `CopyFail` with its reason.
pub fn copy_fail(out: &mut BytesMut, reason: &str) {
    message(out, b'f', |out| cstr(out, reason.as_bytes()));
}

/// Terminate.
pub fn terminate(out: &mut BytesMut) {
    message(out, b'X', |_| ());
}

/// What a column of the proxy's own rows is, as the catalog of PostgreSQL knows it.
/// <https://www.postgresql.org/docs/current/catalog-pg-type.html>
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ColumnType {
    /// The OID of its type.
    pub oid: u32,
    /// Bytes that a value takes; -1: as many as it has.
    pub len: i16,
}

impl ColumnType {
    /// `text`
    pub const TEXT: Self = Self { oid: 25, len: -1 };
}

/// `RowDescription`: of each column its name, what it is, and whether its values come in binary.
pub fn columns<'a>(out: &mut BytesMut, columns: impl ExactSizeIterator<Item = (&'a str, ColumnType, bool)>) {
    message(out, b'T', |out| {
        out.put_u16(u16::try_from(columns.len()).unwrap_or(0));
        for (name, column, is_binary) in columns {
            cstr(out, name.as_bytes());
            out.put_slice(&[0, 0, 0, 0, 0, 0]); // no table, no column
            out.put_u32(column.oid);
            out.put_i16(column.len);
            out.put_i32(-1);
            out.put_u16(u16::from(is_binary));
        }
    });
}

/// `DataRow`; `None` is NULL.
pub fn row<'a>(out: &mut BytesMut, values: impl ExactSizeIterator<Item = Option<&'a [u8]>>) {
    message(out, b'D', |out| {
        out.put_u16(u16::try_from(values.len()).unwrap_or(0));
        for value in values {
            match value {
                None => out.put_i32(-1),
                Some(value) => {
                    out.put_u32(u32::try_from(value.len()).unwrap_or(0));
                    out.put_slice(value);
                }
            }
        }
    });
}

/// `RowDescription` of text columns.
pub fn text_columns(out: &mut BytesMut, names: &[&str]) {
    columns(out, names.iter().map(|name| (*name, ColumnType::TEXT, false)));
}

/// `DataRow` of text values.
pub fn text_row(out: &mut BytesMut, values: &[&str]) {
    row(out, values.iter().map(|value| Some(value.as_bytes())));
}

/// `EmptyQueryResponse`.
pub fn empty_query(out: &mut BytesMut) {
    message(out, b'I', |_| {});
}

/// `CommandComplete`.
pub fn command_complete(out: &mut BytesMut, tag: &str) {
    message(out, b'C', |out| cstr(out, tag.as_bytes()));
}

/// `CloseComplete`.
pub fn close_complete(out: &mut BytesMut) {
    message(out, b'3', |_| ());
}

/// Makes a `CloseComplete`, which starts `message`, say `ParseComplete`: both have no body.
pub fn close_into_parse_complete(message: &mut [u8]) {
    if let Some(tag) = message.first_mut() {
        *tag = b'1';
    }
}
