//! Logging in to scripted servers, cut at every byte.

use std::sync::Arc;
use std::time::Duration;

use postgres_protocol::authentication::sasl::{ChannelBinding, ScramSha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::{ConnectError, Connection, Credential, Endpoint, Held, Keyring, ServerAddress};
use crate::auth::{Binding, Challenge, ProveError, Verifier};
use crate::config::{Given, NodeSettings, Secret, ServerTls, Sources, load};
use crate::net::Stream;
use crate::wire::sasl_initial;

const READY: &[u8] =
    b"R\0\0\0\x08\0\0\0\0S\0\0\0\x0aa\0b\xc3\xa9\0K\0\0\0\x0c\0\0\0\x07\0\0\0\x09Z\0\0\0\x05I";

fn tls() -> ServerTls {
    let url = Some(Secret::new("postgres://app:secret@unused/app?sslmode=disable"));
    let settings = load(&Sources { flags: Given { url, ..Given::default() }, ..Sources::default() }).unwrap();
    settings.databases[0].server_tls.clone()
}

fn endpoint(password: Option<&str>) -> Endpoint {
    Endpoint {
        address: ServerAddress::new(&NodeSettings::tcp("unused", 1).unwrap(), &tls()),
        database: "app".into(),
        user: "app".into(),
        credential: password.map_or(Credential::None, |password| Credential::Password(Secret::new(password))),
        parameters: vec![("application_name".into(), "tidegate".into())],
        connect_timeout: Duration::from_secs(5),
        prepared_limit: 10,
    }
}

async fn packet(server: &mut DuplexStream, tag: bool) -> Vec<u8> {
    if tag {
        assert_eq!(server.read_u8().await.unwrap(), b'p');
    }
    let len = server.read_u32().await.unwrap();
    let mut body = vec![0; len as usize - 4];
    server.read_exact(&mut body).await.unwrap();
    body
}

/// Logs in while `script` plays the server.
async fn login<F: Future<Output = ()>>(
    password: Option<&str>,
    script: impl FnOnce(DuplexStream) -> F,
) -> Result<Connection, ConnectError> {
    let (ours, theirs) = tokio::io::duplex(64);
    let endpoint = endpoint(password);
    let (result, ()) = tokio::join!(endpoint.login(Stream::Memory(ours)), script(theirs));
    result
}

#[tokio::test]
async fn a_server_that_trusts_is_logged_in_to() {
    let connection = login(None, async |mut server| {
        let startup = packet(&mut server, false).await;
        assert!(startup.starts_with(b"\0\x03\0\0user\0app\0database\0app\0"), "{startup:?}");
        server.write_all(READY).await.unwrap();
    })
    .await
    .unwrap();
    assert_eq!(connection.key.pid, 7);
    assert_eq!(&*connection.parameters, [("a".to_owned(), "b\u{e9}".to_owned())]);
}

#[tokio::test]
async fn passwords_are_given_in_the_form_asked_for() {
    let cleartext = login(Some("secret"), async |mut server| {
        packet(&mut server, false).await;
        server.write_all(b"R\0\0\0\x08\0\0\0\x03").await.unwrap();
        assert_eq!(packet(&mut server, true).await, b"secret\0");
        server.write_all(READY).await.unwrap();
    });
    assert!(cleartext.await.is_ok());
    let md5 = login(Some("secret"), async |mut server| {
        packet(&mut server, false).await;
        server.write_all(b"R\0\0\0\x0c\0\0\0\x05salt").await.unwrap();
        let answer = packet(&mut server, true).await;
        // md5(md5("secretapp") || "salt"), computed with another implementation.
        assert_eq!(answer.len(), 36);
        assert!(answer.starts_with(b"md5") && !answer.windows(6).any(|w| w == b"secret"));
        server.write_all(READY).await.unwrap();
    });
    assert!(md5.await.is_ok());
}

#[tokio::test]
async fn what_cannot_be_answered_is_said() {
    let asked = |request: &'static [u8]| {
        login(None, async move |mut server| {
            packet(&mut server, false).await;
            server.write_all(request).await.unwrap();
        })
    };
    assert!(matches!(asked(b"R\0\0\0\x08\0\0\0\x03").await, Err(ConnectError::NoPassword)));
    assert!(matches!(asked(b"R\0\0\0\x08\0\0\0\x07").await, Err(ConnectError::Method(7))));
    let refused = asked(b"E\0\0\0\x17C28P01\0Mno entry\0SX\0\0").await.unwrap_err();
    assert_eq!(refused.to_string(), "no entry (SQLSTATE 28P01)");
    assert!(refused.is_answer());
    assert!(matches!(asked(b"garbage that is no message").await, Err(ConnectError::Wire(_))));
}

#[tokio::test]
async fn a_server_that_only_knows_scram_must_prove_itself() {
    let lied_to = login(Some("secret"), async |mut server| {
        packet(&mut server, false).await;
        server.write_all(b"R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0").await.unwrap();
        let first = String::from_utf8_lossy(&packet(&mut server, true).await).into_owned();
        let nonce = first.split("r=").nth(1).unwrap().to_owned();
        let challenge = format!("r={nonce}x,s=c2FsdA==,i=4096");
        let mut message = vec![b'R'];
        message.extend_from_slice(&u32::try_from(challenge.len() + 8).unwrap().to_be_bytes());
        message.extend_from_slice(&[0, 0, 0, 11]);
        message.extend_from_slice(challenge.as_bytes());
        server.write_all(&message).await.unwrap();
        packet(&mut server, true).await;
        server
            .write_all(b"R\0\0\0\x36\0\0\0\x0cv=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")
            .await
            .unwrap();
        server.write_all(b"\0\0").await.unwrap();
    });
    assert!(matches!(lied_to.await, Err(ConnectError::Sasl(_))));
}

#[tokio::test]
async fn a_login_cut_at_any_byte_is_an_error_and_never_a_connection() {
    for cut in 0..READY.len() {
        let result = login(None, async |mut server| {
            packet(&mut server, false).await;
            server.write_all(&READY[..cut]).await.unwrap();
        });
        assert!(matches!(result.await, Err(ConnectError::Io(_))), "cut at {cut}");
    }
}

#[tokio::test]
async fn a_connection_that_was_not_settled_is_not_lendable() {
    let (ours, mut theirs) = tokio::io::duplex(1024);
    let endpoint = endpoint(None);
    let (connection, ()) = tokio::join!(endpoint.login(Stream::Memory(ours)), async {
        packet(&mut theirs, false).await;
        theirs.write_all(READY).await.unwrap();
    });
    let mut connection = connection.unwrap();
    assert!(connection.is_lendable());
    connection.lease().unwrap();
    assert!(!connection.is_lendable(), "leased");
    connection.outbox.extend_from_slice(b"x");
    assert!(!connection.settle(), "something is still to be sent");
    connection.outbox.clear();
    assert!(connection.settle() && connection.is_lendable());
    theirs.write_all(b"N\0\0\0\x05\0").await.unwrap();
    assert!(!connection.is_lendable(), "the server has spoken");
}

/// What a client with the password "secret" shows in an exchange with this verifier.
fn keyring(verifier: &Verifier) -> Arc<Keyring> {
    let mut client = ScramSha256::new(b"secret", ChannelBinding::unsupported());
    let challenge = Challenge::new(verifier, client.message(), Binding::None, [7; 18]).unwrap();
    client.update(challenge.message.as_bytes()).unwrap();
    let shown = challenge.check(verifier, client.message()).unwrap().client_key;
    let keyring = Arc::new(Keyring::default());
    keyring.learn(Held::Scram(verifier.keys(&shown)));
    keyring
}

fn message(kind: u32, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 8).unwrap();
    [b"R", &length.to_be_bytes()[..], &kind.to_be_bytes(), body].concat()
}

/// Logs in with keys to a server that has a verifier, and proves itself with another one.
async fn login_by_keys(
    keyring: &Arc<Keyring>,
    has: &Verifier,
    proves_with: Option<&Verifier>,
) -> Result<Connection, ConnectError> {
    let endpoint = Endpoint { credential: Credential::Keyring(Arc::clone(keyring)), ..endpoint(None) };
    let (ours, mut server) = tokio::io::duplex(4096);
    let script = async {
        packet(&mut server, false).await;
        server.write_all(&message(10, b"SCRAM-SHA-256\0\0")).await.unwrap();
        let first = packet(&mut server, true).await;
        let (_, first) = sasl_initial(&first).unwrap();
        let challenge = Challenge::new(has, first, Binding::None, [9; 18]).unwrap();
        server.write_all(&message(11, challenge.message.as_bytes())).await.unwrap();
        let mut last = [0; 1024];
        let Ok(length @ 5..) = server.read(&mut last).await else { return };
        let answer = match proves_with {
            Some(verifier) => challenge.check(verifier, &last[5..length]).map(|proof| proof.answer),
            None => Ok("v=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=".to_owned()),
        };
        server.write_all(&message(12, answer.unwrap().as_bytes())).await.unwrap();
        let _ = server.write_all(READY).await;
    };
    let (result, ()) = tokio::join!(endpoint.login(Stream::Memory(ours)), script);
    result
}

#[tokio::test]
async fn what_a_client_has_shown_logs_in_and_a_false_server_is_found_out() {
    let verifier = Verifier::derive("secret");
    let keyring = keyring(&verifier);
    assert!(login_by_keys(&keyring, &verifier, Some(&verifier)).await.is_ok());
    let lied_to = login_by_keys(&keyring, &verifier, None).await.unwrap_err();
    assert!(matches!(lied_to, ConnectError::Prove(ProveError::FalseServer)), "{lied_to}");
    assert!(!lied_to.is_about_the_user(), "the keys are not forgotten for that");
    // A server with another salt learns nothing.
    let other = login_by_keys(&keyring, &Verifier::derive("secret"), None).await.unwrap_err();
    assert!(matches!(other, ConnectError::Prove(ProveError::OtherVerifier)), "{other}");
    assert!(other.is_about_the_user());
}

#[tokio::test]
async fn what_is_forgotten_logs_in_nowhere() {
    let keyring = keyring(&Verifier::derive("secret"));
    keyring.forget();
    let endpoint = Endpoint { credential: Credential::Keyring(keyring), ..endpoint(None) };
    let (ours, mut server) = tokio::io::duplex(64);
    let (result, ()) = tokio::join!(endpoint.login(Stream::Memory(ours)), async {
        packet(&mut server, false).await;
        server.write_all(&message(10, b"SCRAM-SHA-256\0\0")).await.unwrap();
    });
    assert!(matches!(result.unwrap_err(), ConnectError::NoKeys));
}

#[tokio::test]
async fn keys_are_no_password_in_clear_text_or_for_md5() {
    for request in [&b"R\0\0\0\x08\0\0\0\x03"[..], b"R\0\0\0\x0c\0\0\0\x05salt"] {
        let keyring = keyring(&Verifier::derive("secret"));
        let endpoint = Endpoint { credential: Credential::Keyring(keyring), ..endpoint(None) };
        let (ours, mut server) = tokio::io::duplex(64);
        let (result, ()) = tokio::join!(endpoint.login(Stream::Memory(ours)), async {
            packet(&mut server, false).await;
            server.write_all(request).await.unwrap();
        });
        assert!(matches!(result.unwrap_err(), ConnectError::Unknown { .. }));
    }
}
