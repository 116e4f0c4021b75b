//! What servers send: framing and every reader of a message. Nothing panics or looks beyond the message, another
//! implementation finds the same in it, and what the proxy writes reads back.
#![forbid(unsafe_code)]
#![no_main]

use bytes::BytesMut;
use fallible_iterator::FallibleIterator;
use libfuzzer_sys::fuzz_target;
use postgres_protocol::message::backend::Message;
use tidegate::wire::{
    Authentication, Backend, CancelKey, ErrorFields, HEADER_LEN, Severity, TransactionStatus,
    backend_message, body, data_row, encode, message_len, parameter_status,
};

fuzz_target!(|data: &[u8]| {
    every_reader(data);
    let mut rest = data;
    while let Ok(Some(header)) = backend_message(rest) {
        assert!(header.len >= HEADER_LEN);
        assert_eq!(message_len(rest), Ok(Some(header.len)));
        let body = body(rest, header.len);
        assert!(body.len() <= header.len - HEADER_LEN);
        every_reader(body);
        if rest.len() < header.len {
            break;
        }
        let whole = &rest[..header.len];
        alike(header.kind, whole, body);
        rest = &rest[header.len..];
    }
    if rest.len() < HEADER_LEN {
        assert_eq!(backend_message(rest), Ok(None), "a header that is not there yet is waited for");
    }
});

fn every_reader(body: &[u8]) {
    if let Ok(status) = TransactionStatus::read(body) {
        let mut written = BytesMut::new();
        encode::ready(&mut written, status);
        assert_eq!(&written[HEADER_LEN..], body);
    }
    if let Ok(
        Authentication::Sasl(data) | Authentication::SaslContinue(data) | Authentication::SaslFinal(data),
    ) = Authentication::read(body)
    {
        assert_eq!(data.len() + 4, body.len());
    }
    if let Ok((name, value)) = parameter_status(body) {
        assert!(name.len() + value.len() + 2 <= body.len());
    }
    if let Ok(key) = CancelKey::read(body) {
        assert!(key.secret.len() <= 256 && key.secret.len() + 4 == body.len());
        assert!(!format!("{key:?}").contains(&format!("{:?}", key.secret)), "a secret is shown");
    }
    row(body);
    report(body);
}

/// Columns lie within the row, and are written as they were read.
fn row(body: &[u8]) {
    let Ok(columns) = data_row(body) else { return };
    let taken: usize = columns.iter().map(|column| column.map_or(4, |value| value.len() + 4)).sum();
    assert!(taken + 2 <= body.len());
    let texts: Option<Vec<_>> = columns.iter().map(|column| std::str::from_utf8((*column)?).ok()).collect();
    if let Some(texts) = texts {
        let mut written = BytesMut::new();
        encode::text_row(&mut written, &texts);
        assert_eq!(data_row(&written[HEADER_LEN..]), Ok(columns));
    }
}

/// The fields of an error lie within it, and are written as they were read.
fn report(body: &[u8]) {
    let fields = ErrorFields::read(body);
    let [code, message, routine] = [fields.code, fields.message, fields.routine].map(std::str::from_utf8);
    let (Ok(code), Ok(message), Ok(routine)) = (code, message, routine) else { return };
    let mut written = BytesMut::new();
    encode::error(&mut written, Severity::Error, code, message, "", routine);
    let again = ErrorFields::read(&written[HEADER_LEN..]);
    assert_eq!((again.code, again.message, again.routine), (fields.code, fields.message, fields.routine));
}

/// Another implementation finds the same where it finds anything: the length, and what is in the message.
fn alike(kind: Backend, whole: &[u8], body: &[u8]) {
    let mut buffer = BytesMut::from(whole);
    let Ok(Some(message)) = Message::parse(&mut buffer) else { return };
    assert!(buffer.is_empty(), "{kind:?}: it ends elsewhere");
    match message {
        Message::DataRow(theirs) => {
            let Ok(ranges) = theirs.ranges().collect::<Vec<_>>() else { return };
            let values: Vec<_> =
                ranges.into_iter().map(|range| range.map(|range| &theirs.buffer()[range])).collect();
            assert_eq!(data_row(body), Ok(values));
        }
        Message::ParameterStatus(theirs) => {
            let (Ok(name), Ok(value)) = (theirs.name(), theirs.value()) else { return };
            assert_eq!(parameter_status(body), Ok((name.as_bytes(), value.as_bytes())));
        }
        Message::ReadyForQuery(theirs) => {
            let known = TransactionStatus::read(body).is_ok();
            assert_eq!(known, matches!(theirs.status(), b'I' | b'T' | b'E') && body.len() == 1);
        }
        _ => {}
    }
}
