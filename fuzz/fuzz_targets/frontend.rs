//! What clients send: framing and every reader of a message. Nothing panics or looks beyond the message, and what the proxy
//! writes in its place is the same message.
#![forbid(unsafe_code)]
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use tidegate::wire::{
    Bind, Describe, Frontend, HEADER_LEN, Header, body, encode, execute_portal, frontend_message,
    message_len, parse_message, query_text, sasl_initial,
};

/// PostgreSQL takes no message that is longer, in bytes, its tag left out.
const LONGEST: usize = 0x3fff_ffff;

fuzz_target!(|data: &[u8]| {
    every_reader(data);
    let mut rest = data;
    while let Ok(Some(header)) = frontend_message(rest) {
        assert!((HEADER_LEN..=LONGEST + 1).contains(&header.len));
        assert_eq!(message_len(rest), Ok(Some(header.len)));
        assert_eq!(frontend_message(&rest[..HEADER_LEN]), Ok(Some(header)), "the header says it all");
        let body = body(rest, header.len);
        assert!(body.len() <= header.len - HEADER_LEN);
        every_reader(body);
        if rest.len() < header.len {
            break;
        }
        same_message(header, &rest[..header.len], body);
        rest = &rest[header.len..];
    }
    if rest.len() < HEADER_LEN {
        assert_eq!(frontend_message(rest), Ok(None), "a header that is not there yet is waited for");
    }
});

/// Whatever the tag says: a body may come to a reader that is made for another one.
fn every_reader(body: &[u8]) {
    let within = |part: &[u8]| assert!(part.len() < body.len() && !part.contains(&0));
    if let Ok(parse) = parse_message(body) {
        within(parse.name);
        within(parse.text);
        assert_eq!(parse.name.len() + parse.text.len() + parse.types.len() + 2, body.len());
    }
    if let Ok(bind) = Bind::read(body) {
        within(bind.portal);
        within(bind.statement);
        assert!(bind.names_len() <= body.len());
    }
    if let Ok(describe) = Describe::read(body) {
        within(describe.name);
    }
    for text in [query_text(body), execute_portal(body)].into_iter().flatten() {
        within(text);
    }
    if let Ok((mechanism, message)) = sasl_initial(body) {
        within(mechanism);
        assert!(mechanism.len() + message.len() < body.len());
    }
}

/// A whole message as it was read and written again.
fn same_message(header: Header<Frontend>, whole: &[u8], body: &[u8]) {
    let mut written = BytesMut::new();
    // PostgreSQL does not look behind the last field of the simplest messages, and neither does the proxy.
    let mut exact = whole;
    match header.kind {
        Frontend::Query => {
            let Ok(Ok(text)) = query_text(body).map(std::str::from_utf8) else { return };
            encode::query(&mut written, text);
            exact = &whole[..HEADER_LEN + text.len() + 1];
        }
        Frontend::Parse => {
            let Ok(parse) = parse_message(body) else { return };
            encode::parse(&mut written, parse.name, parse.text, parse.types);
        }
        Frontend::Bind => {
            let Ok(bind) = Bind::read(body) else { return };
            let rest = &body[bind.names_len()..];
            encode::bind_head(&mut written, bind.portal, bind.statement, rest.len());
            written.extend_from_slice(rest);
        }
        Frontend::Describe | Frontend::Close => {
            let Ok(describe) = Describe::read(body) else { return };
            let write = if header.kind == Frontend::Close { encode::close } else { encode::describe };
            write(&mut written, describe.kind, describe.name);
            exact = &whole[..HEADER_LEN + describe.name.len() + 2];
        }
        Frontend::Password => encode::password(&mut written, body),
        Frontend::Sync if body.is_empty() => encode::sync(&mut written),
        Frontend::Terminate if body.is_empty() => encode::terminate(&mut written),
        _ => return,
    }
    assert_eq!(written[0], exact[0]);
    assert_eq!(written[HEADER_LEN..], exact[HEADER_LEN..]);
    let again = frontend_message(&written);
    assert_eq!(again, Ok(Some(Header { kind: header.kind, len: written.len() })));
}
