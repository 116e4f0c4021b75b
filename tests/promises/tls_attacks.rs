//! What a hostile client does on its way into TLS, and what it gets.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use rcgen::date_time_ymd;

use super::support::raw::{Raw, V3_0, startup, tagged};
use super::support::tls::{
    Authority, Folder, GSSENC_REQUEST, SSL_REQUEST, Speaks, asked, client_params, connected, direct,
};
use super::tls_clients::Site;
use super::{large, proxy, support};

/// Everything that comes until the connection ends, whichever way.
fn everything(socket: &mut TcpStream) -> Vec<u8> {
    let mut said = Vec::new();
    match socket.read_to_end(&mut said) {
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            panic!("the connection is still open after {said:?}")
        }
        _ => said,
    }
}

fn hello() -> Vec<u8> {
    startup(V3_0, &[("user", "app"), ("database", "app")])
}

/// The proxy serves everybody else.
fn serves(site: &Site) {
    assert_eq!(site.client().ok("select 1").value(), "1");
}

#[test]
fn attack_buffer_stuffing_before_the_handshake_cve_2021_23222() {
    let site = Site::with(&[]);
    for request in [SSL_REQUEST, GSSENC_REQUEST] {
        let mut socket = connected(site.proxy.address());
        socket.write_all(&[&request[..], &hello()].concat()).unwrap();
        let said = everything(&mut socket);
        assert_eq!(said.first(), Some(&b'E'), "{said:?}");
        let text = String::from_utf8_lossy(&said).into_owned();
        assert!(text.contains("received unencrypted data after a request for encryption"), "{text}");
    }
    // A little later it is taken for TLS, which it is not.
    let mut socket = connected(site.proxy.address());
    socket.write_all(&SSL_REQUEST).unwrap();
    let mut answer = [0];
    socket.read_exact(&mut answer).unwrap();
    assert_eq!(answer, *b"S");
    socket.write_all(&hello()).unwrap();
    let said = everything(&mut socket);
    assert!(said.is_empty() || said[0] == 0x15, "an alert of TLS at most: {said:?}");
    site.wait_handshakes("malformed", 1.0);
    serves(&site);
}

#[test]
fn attack_encryption_asked_for_again_and_again() {
    // Where there is none, each kind once.
    let proxy = proxy("");
    for (requests, answers) in [
        (&[SSL_REQUEST, SSL_REQUEST][..], &b"NE"[..]),
        (&[GSSENC_REQUEST, SSL_REQUEST, GSSENC_REQUEST], b"NNE"),
    ] {
        let mut raw = Raw::silent(proxy.address());
        for (request, answer) in requests.iter().zip(answers) {
            raw.send(request);
            if *answer == b'E' {
                let error = raw.until_closed().pop().unwrap();
                assert_eq!(error.field(b'C').unwrap(), "08P01", "{error:?}");
            } else {
                assert_eq!(raw.byte(), *answer);
            }
        }
    }
    // In TLS, not at all.
    let site = Site::with(&[]);
    let at_once = Speaks { protocols: vec!["postgresql"], ..site.speaks() };
    for request in [SSL_REQUEST, GSSENC_REQUEST] {
        let streams = [
            asked(site.proxy.address(), &site.speaks(), "localhost"),
            direct(site.proxy.address(), &at_once, "localhost"),
        ];
        for stream in streams {
            let mut raw = Raw::encrypted(stream.unwrap());
            raw.send(&request);
            let error = raw.until_closed().pop().unwrap();
            assert_eq!(error.field(b'C').unwrap(), "08P01", "{error:?}");
        }
    }
    // GSSENCRequest, which libpq sends first where it can, is no obstacle.
    let mut raw = Raw::silent(site.proxy.address());
    raw.send(&GSSENC_REQUEST);
    assert_eq!(raw.byte(), b'N');
    raw.send(&SSL_REQUEST);
    assert_eq!(raw.byte(), b'S');
}

#[test]
fn attack_tls_of_another_protocol_is_led_here() {
    let site = Site::with(&[]);
    for protocols in [vec![], vec!["h2", "http/1.1"]] {
        let speaks = Speaks { protocols, ..site.speaks() };
        assert!(direct(site.proxy.address(), &speaks, "localhost").is_err());
    }
    site.wait_handshakes("protocol", 2.0);
    serves(&site);
}

#[test]
fn attack_garbage_instead_of_a_client_hello() {
    let site = Site::with(&[]);
    let record = |kind: u8, body: &[u8]| {
        [&[kind, 3, 1][..], &u16::try_from(body.len()).unwrap().to_be_bytes(), body].concat()
    };
    let cases = [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
        vec![0; 64],
        vec![0xff; 64],
        record(0x16, &[1, 0, 0, 4, 3, 3, 0, 0]),
        record(0x16, &[0xff; 512]),
        record(0x17, b"application data"),
        // A record that announces more than one may have.
        [&[0x16, 3, 1, 0xff, 0xff][..], &[0; 512]].concat(),
    ];
    for (number, garbage) in cases.iter().enumerate() {
        for begins in [&SSL_REQUEST[..], &[]] {
            if begins.is_empty() && garbage[0] != 0x16 {
                continue;
            }
            let mut socket = connected(site.proxy.address());
            if !begins.is_empty() {
                socket.write_all(begins).unwrap();
                socket.read_exact(&mut [0]).unwrap();
            }
            let _ = socket.write_all(garbage);
            // What it waits for never comes.
            let _ = socket.shutdown(std::net::Shutdown::Write);
            let said = everything(&mut socket);
            assert!(said.is_empty() || said[0] == 0x15, "case {number}: {said:?}");
        }
    }
    site.wait_handshakes("malformed", 5.0);
    serves(&site);
    assert!(site.proxy.metric("tidegate_panics_total", &[]) < 0.5);
}

#[test]
fn attack_half_a_client_hello_and_silence() {
    let site = Site::with(&["--workers", "1"]);
    serves(&site);
    let before = large::memory(&site.proxy, "VmRSS");
    let silent: Vec<TcpStream> = (0..200)
        .map(|number| {
            let mut socket = connected(site.proxy.address());
            if number % 2 == 0 {
                socket.write_all(&SSL_REQUEST).unwrap();
                socket.read_exact(&mut [0]).unwrap();
            }
            // A record of 512 bytes, of which 100 come.
            socket.write_all(&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]).unwrap();
            socket.write_all(&[7; 100]).unwrap();
            socket
        })
        .collect();
    serves(&site);
    let grown = large::memory(&site.proxy, "VmRSS").saturating_sub(before);
    assert!(grown < 200 * 32, "{grown} KiB for 200 clients that say nothing more");
    drop(silent);
    site.wait_handshakes("closed", 200.0);
    serves(&site);
}

#[test]
fn attack_huge_messages_are_announced() {
    let site = Site::with(&[]);
    // A ClientHello of 16 MB, as far as anybody takes it.
    let mut socket = connected(site.proxy.address());
    socket.write_all(&SSL_REQUEST).unwrap();
    socket.read_exact(&mut [0]).unwrap();
    let before = large::memory(&site.proxy, "VmRSS");
    let record = [&[0x16, 3, 1, 0x3f, 0xfc][..], &[1, 0xff, 0xff, 0xff], &vec![0; 0x3ff8]].concat();
    let more = [&[0x16, 3, 1, 0x40, 0x00][..], &vec![0; 0x4000]].concat();
    let mut sent = 0;
    if socket.write_all(&record).is_ok() {
        while sent < 64 << 20 && socket.write_all(&more).is_ok() {
            sent += more.len();
        }
    }
    assert!(sent < 64 << 20, "everything was taken");
    let said = everything(&mut socket);
    assert!(said.is_empty() || said[0] == 0x15, "{said:?}");
    let grown = large::memory(&site.proxy, "VmRSS").saturating_sub(before);
    assert!(grown < 4 * 1024, "{grown} KiB for a ClientHello that never ends");
    // In TLS: a start-up packet of 2 GB, and an answer to the question for a password.
    let mut raw = Raw::encrypted(asked(site.proxy.address(), &site.speaks(), "localhost").unwrap());
    raw.send(&[0x7f, 0xff, 0xff, 0xff, 0, 3, 0, 0]);
    assert_eq!(raw.until_closed().pop().unwrap().field(b'C').unwrap(), "08P01");
    let mut raw = Raw::encrypted(asked(site.proxy.address(), &site.speaks(), "localhost").unwrap());
    raw.send(&hello());
    assert_eq!(raw.read().tag, b'R');
    raw.send(&[b'p', 0x7f, 0xff, 0xff, 0xff]);
    raw.until_closed();
    serves(&site);
}

#[test]
fn attack_certificates_that_nobody_of_ours_has_signed_or_that_are_void() {
    let (folder, authority) = (Folder::default(), Authority::new("clients"));
    let root = authority.file(&folder);
    let list = authority.revoke(&folder, "revoked.crl", &[13]);
    let files = ["--ssl-ca-file", root.to_str().unwrap(), "--ssl-crl-file", list.to_str().unwrap()];
    let site = Site::with(&files);
    let shows = |pair| Speaks { shows: Some(pair), ..site.speaks() };
    // Whether a client needs one is for those to say who authenticate it.
    assert!(site.takes(&site.speaks()));
    let good = authority.client(&folder, "good", "app", 7);
    assert!(site.takes(&shows(good.clone())));
    assert!(!site.takes(&shows(Authority::new("clients").client(&folder, "foreign", "app", 7))));
    assert!(!site.takes(&shows(authority.client(&folder, "revoked", "app", 13))));
    let mut expired = client_params("app", 8);
    (expired.not_before, expired.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
    assert!(!site.takes(&shows(authority.sign(&folder, "expired", &expired))));
    site.wait_handshakes("certificate", 3.0);
    let log = site.proxy.stderr();
    assert!(
        log.contains("address=127.0.0.1") && log.contains("Revoked") && log.contains("certificate expired"),
        "{log}"
    );
    // For libpq, too, and in TLS 1.2.
    let older = Speaks { only: Some(2), ..shows(authority.client(&folder, "older", "app", 13)) };
    assert!(!site.takes(&older));
    let words = format!("sslmode=require sslcert={} sslkey={}", good.certificate(), good.key());
    assert_eq!(site.psql_says(&words, "select 1"), "1");
}

#[test]
fn attack_nul_in_the_common_name_of_a_certificate_cve_2009_4034() {
    let (folder, authority) = (Folder::default(), Authority::new("clients"));
    let root = authority.file(&folder);
    let site = Site::with(&["--ssl-ca-file", root.to_str().unwrap()]);
    let signed = authority.client(&folder, "nul", "app\0.example.com", 9);
    assert!(!site.takes(&Speaks { shows: Some(signed), ..site.speaks() }));
    site.wait_handshakes("certificate", 1.0);
    serves(&site);
}

#[test]
fn attack_messages_before_the_start_up_packet_in_tls() {
    let site = Site::with(&[]);
    // A query instead of a start-up packet, and one that comes along with it.
    let mut raw = Raw::encrypted(asked(site.proxy.address(), &site.speaks(), "localhost").unwrap());
    raw.send(&tagged(b'Q', b"select 1\0"));
    assert_eq!(raw.until_closed().pop().unwrap().field(b'C').unwrap(), "08P01");
    let mut raw = Raw::encrypted(asked(site.proxy.address(), &site.speaks(), "localhost").unwrap());
    raw.send(&[hello(), tagged(b'Q', b"select 1\0")].concat());
    assert_eq!(raw.read().tag, b'R');
    assert!(raw.until_closed().iter().all(|message| message.tag == b'E'));
    support::wait_until("nobody is there any more", || site.proxy.metric("tidegate_clients", &[]) < 0.5);
}
