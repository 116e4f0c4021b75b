//! What the proxy passes on and never writes itself: for those who stand in for a server, or a client, in tests.

use bytes::{BufMut, BytesMut};

use super::{cstr, message};

/// Bind with parameters as text, and answers as text.
pub fn bind(out: &mut BytesMut, portal: &[u8], statement: &[u8], parameters: &[&[u8]]) {
    message(out, b'B', |out| {
        cstr(out, portal);
        cstr(out, statement);
        out.put_u16(0);
        out.put_u16(u16::try_from(parameters.len()).unwrap_or(u16::MAX));
        for parameter in parameters {
            out.put_u32(u32::try_from(parameter.len()).unwrap_or(u32::MAX));
            out.put_slice(parameter);
        }
        out.put_u16(0);
    });
}

/// Execute; a `limit` of 0 is none.
pub fn execute(out: &mut BytesMut, portal: &[u8], limit: u32) {
    message(out, b'E', |out| {
        cstr(out, portal);
        out.put_u32(limit);
    });
}

/// `FunctionCall` with one argument.
pub fn function_call(out: &mut BytesMut, function: u32, argument: &[u8]) {
    message(out, b'F', |out| {
        out.put_u32(function);
        out.put_u16(0);
        out.put_u16(1);
        out.put_u32(u32::try_from(argument.len()).unwrap_or(u32::MAX));
        out.put_slice(argument);
        out.put_u16(0);
    });
}

/// `CopyData`.
pub fn copy_data(out: &mut BytesMut, data: &[u8]) {
    message(out, b'd', |out| out.put_slice(data));
}

/// `CopyDone`.
pub fn copy_done(out: &mut BytesMut) {
    message(out, b'c', |_| ());
}

/// `CopyInResponse` for text of one column.
pub fn copy_in(out: &mut BytesMut) {
    message(out, b'G', one_text_column);
}

/// `CopyOutResponse` for text of one column.
pub fn copy_out(out: &mut BytesMut) {
    message(out, b'H', one_text_column);
}

fn one_text_column(out: &mut BytesMut) {
    out.put_u8(0);
    out.put_u16(1);
    out.put_u16(0);
}

/// `ParameterDescription` of so many parameters of type text.
pub fn parameters(out: &mut BytesMut, count: u16) {
    message(out, b't', |out| {
        out.put_u16(count);
        (0..count).for_each(|_| out.put_u32(25));
    });
}

/// `PortalSuspended`.
pub fn portal_suspended(out: &mut BytesMut) {
    message(out, b's', |_| ());
}

/// `FunctionCallResponse`.
pub fn function_result(out: &mut BytesMut, value: &[u8]) {
    message(out, b'V', |out| {
        out.put_u32(u32::try_from(value.len()).unwrap_or(u32::MAX));
        out.put_slice(value);
    });
}
