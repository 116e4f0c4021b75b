//! Servers that are not what they say, or somebody in between: the proxy gives them nothing, and does not wait for ever.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustls::crypto::ring::{default_provider, sign::any_supported_type};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, SupportedProtocolVersion};
use tidegate::config::{DatabaseSettings, Given, Secret, Sources, load};
use tidegate::server::{ConnectError, Connection, Credential, Endpoint, ServerAddress};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::block_on;
use super::support::authority::{Authority, Says, Signed, shown, write};

/// What a server says that lets everybody in.
const WELCOME: &[u8] = b"R\0\0\0\x08\0\0\0\0K\0\0\0\x0c\0\0\0\x07\0\0\0\x09Z\0\0\0\x05I";
/// Asks for a proof by SCRAM-SHA-256, which cannot be bound.
const UNBOUND: &[u8] = b"R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0";

/// What the proxy gets from a server that does `script` on each connection, told these words; and how many connections it made.
async fn meet<F: Future<Output = Option<()>> + Send>(
    words: &str,
    script: impl Fn(TcpStream) -> F + Send + Sync + 'static,
) -> (Result<Connection, ConnectError>, usize) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("postgres://app:secret@{}/app?{words}", listener.local_addr().unwrap());
    let flags = Given { url: Some(Secret::new(url)), ..Given::default() };
    let settings = load(&Sources { flags, ..Sources::default() }).unwrap_or_else(|error| panic!("{error}"));
    let met = AtomicUsize::new(0);
    let serve = async {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            met.fetch_add(1, Ordering::SeqCst);
            script(stream).await;
        }
    };
    let endpoint = endpoint(&settings.databases[0]);
    let result = tokio::select! {
        result = endpoint.connect() => result,
        () = serve => unreachable!("servers serve for ever"),
    };
    (result, met.load(Ordering::SeqCst))
}

fn endpoint(settings: &DatabaseSettings) -> Endpoint {
    Endpoint {
        address: ServerAddress::new(&settings.nodes[0], &settings.server_tls),
        database: "app".to_owned(),
        user: "app".to_owned(),
        credential: Credential::Password(Secret::new("secret")),
        parameters: Vec::new(),
        connect_timeout: settings.pool.connect_timeout,
        prepared_limit: 10,
    }
}

/// Reads a packet that has no tag.
async fn packet(stream: &mut (impl AsyncReadExt + Unpin)) -> Option<Vec<u8>> {
    let len = stream.read_u32().await.ok()?;
    let mut body = vec![0; (len as usize).checked_sub(4)?];
    stream.read_exact(&mut body).await.ok()?;
    Some(body)
}

/// Reads the request for TLS and answers it; stays until the proxy hangs up.
async fn answer(mut stream: TcpStream, with: &[u8]) -> Option<()> {
    assert_eq!(packet(&mut stream).await?, [4, 210, 22, 47]);
    stream.write_all(with).await.ok()?;
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.ok().map(drop)
}

fn error(result: Result<Connection, ConnectError>) -> String {
    result.expect_err("nobody lets that in").to_string()
}

#[test]
fn bytes_stuffed_in_before_the_handshake_are_refused() {
    // CVE-2021-23222: what is read ahead would count as if it had come through TLS.
    for words in ["sslmode=prefer", "sslmode=require"] {
        for first in [b'S', b'N'] {
            let stuffed = [&[first], WELCOME].concat();
            let (result, met) = block_on(meet(words, move |stream| {
                let stuffed = stuffed.clone();
                async move { answer(stream, &stuffed).await }
            }));
            assert!(matches!(result, Err(ConnectError::Stuffed)), "{words}: {result:?}");
            assert_eq!(met, 1, "and nothing is tried without TLS");
        }
    }
}

#[test]
fn an_error_in_the_place_of_an_answer_is_not_shown() {
    // CVE-2024-10977: whoever is in between could have the user believe anything.
    let (result, met) = block_on(meet("sslmode=prefer", |stream| {
        answer(stream, b"E\0\0\0\x20C28P01\0Msend your password by mail\0\0")
    }));
    let text = error(result);
    assert!(text.contains("answered with an error") && !text.contains("mail"), "{text}");
    assert_eq!(met, 1);
}

#[test]
fn a_server_without_tls_is_given_nothing_where_tls_is_demanded() {
    let (result, met) = block_on(meet("sslmode=require", |stream| answer(stream, b"N")));
    assert!(error(result).contains("the server has no TLS, and it is demanded (require)"));
    assert_eq!(met, 1);
}

#[test]
fn garbage_is_an_error_and_prefer_goes_on_without_tls() {
    let (result, _) = block_on(meet("sslmode=prefer", |stream| answer(stream, b"X")));
    assert!(matches!(result, Err(ConnectError::Wire(_))), "{result:?}");
    let garbage = |mut stream: TcpStream| async move {
        if packet(&mut stream).await? != [4, 210, 22, 47] {
            // Without TLS.
            stream.write_all(WELCOME).await.ok()?;
            return stream.read_u8().await.ok().map(drop);
        }
        stream.write_all(b"S").await.ok()?;
        stream.read_u8().await.ok()?;
        stream.write_all(b"this is no handshake").await.ok()?;
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.ok().map(drop)
    };
    let (result, met) = block_on(meet("sslmode=require", garbage));
    assert!(error(result).contains("it does not speak TLS"));
    assert_eq!(met, 1);
    let (result, met) = block_on(meet("sslmode=prefer", garbage));
    assert!(result.is_ok_and(|connection| !connection.is_encrypted()));
    assert_eq!(met, 2);
}

#[test]
fn silence_and_half_a_handshake_end_with_connect_timeout() {
    for answered in [&b""[..], b"S", b"S\x16"] {
        let begin = Instant::now();
        let (result, _) =
            block_on(meet("sslmode=require&connect_timeout=300ms", move |mut stream| async move {
                packet(&mut stream).await?;
                let (first, second) = answered.split_at(answered.len().min(1));
                stream.write_all(first).await.ok()?;
                if !second.is_empty() {
                    stream.read_u8().await.ok()?;
                    stream.write_all(second).await.ok()?;
                }
                let mut rest = Vec::new();
                stream.read_to_end(&mut rest).await.ok().map(drop)
            }));
        assert!(matches!(result, Err(ConnectError::Timeout(_))), "{result:?}");
        assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
    }
}

/// One certificate for everybody, with whatever key.
#[derive(Debug)]
struct Shows(Arc<CertifiedKey>);

impl ResolvesServerCert for Shows {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

/// How a server does TLS that shows a certificate and has a key.
fn acceptor(
    certificate: &Signed,
    key: &Signed,
    version: &'static SupportedProtocolVersion,
    alpn: Option<&[u8]>,
) -> TlsAcceptor {
    let certificate = CertificateDer::from_pem_slice(certificate.certificate.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(key.key.as_bytes()).unwrap();
    let shown = CertifiedKey::new(vec![certificate], any_supported_type(&key).unwrap());
    let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()));
    let builder = builder.with_protocol_versions(&[version]).unwrap().with_no_client_auth();
    let mut config = builder.with_cert_resolver(Arc::new(Shows(Arc::new(shown))));
    config.alpn_protocols = alpn.into_iter().map(<[u8]>::to_vec).collect();
    TlsAcceptor::from(Arc::new(config))
}

/// Says yes to TLS and shakes hands.
async fn encrypted(acceptor: TlsAcceptor, mut stream: TcpStream) -> Option<TlsStream<TcpStream>> {
    assert_eq!(packet(&mut stream).await?, [4, 210, 22, 47]);
    stream.write_all(b"S").await.ok()?;
    acceptor.accept(stream).await.ok()
}

#[test]
fn a_stolen_certificate_without_its_key_is_worth_nothing() {
    let authority = Authority::new("our authority");
    let folder = tempfile::tempdir().unwrap();
    let root = write(folder.path().join("root.crt"), &authority.certificate());
    let certificate = authority.sign(Says::names(&["127.0.0.1"]));
    let other = authority.sign(Says::names(&["127.0.0.1"]));
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        for words in ["sslmode=require", "sslmode=verify-full"] {
            let words = match words {
                "sslmode=require" => words.to_owned(),
                _ => format!("{words}&sslrootcert={}", shown(&root)),
            };
            for (key, gets_in) in [(&certificate, true), (&other, false)] {
                let acceptor = acceptor(&certificate, key, version, None);
                let (result, _) = block_on(meet(&words, move |stream| {
                    let acceptor = acceptor.clone();
                    async move {
                        let mut stream = encrypted(acceptor, stream).await?;
                        packet(&mut stream).await?;
                        stream.write_all(WELCOME).await.ok()?;
                        stream.read_u8().await.ok().map(drop)
                    }
                }));
                match result {
                    Ok(connection) => assert!(gets_in && connection.is_encrypted(), "{words}"),
                    Err(error) => {
                        let text = error.to_string();
                        assert!(!gets_in && text.contains("does not have the key"), "{words}: {text}");
                    }
                }
            }
        }
    }
}

#[test]
fn who_hides_that_proofs_can_be_bound_is_found_out() {
    let authority = Authority::new("our authority");
    let certificate = authority.sign(Says::names(&["127.0.0.1"]));
    let acceptor = acceptor(&certificate, &certificate, &rustls::version::TLS13, None);
    // The first message of the proof says whether the proxy would have bound it: "y", by which the server finds out.
    for (binding, flag) in [("prefer", Some("y,,")), ("disable", Some("n,,")), ("require", None)] {
        let acceptor = acceptor.clone();
        let (said, heard) = std::sync::mpsc::sync_channel(1);
        let words = format!("sslmode=require&channel_binding={binding}");
        let (result, _) = block_on(meet(&words, move |stream| {
            let (acceptor, said) = (acceptor.clone(), said.clone());
            async move {
                let mut stream = encrypted(acceptor, stream).await?;
                packet(&mut stream).await?;
                stream.write_all(UNBOUND).await.ok()?;
                assert_eq!(stream.read_u8().await.ok()?, b'p');
                said.send(packet(&mut stream).await?).ok()
            }
        }));
        let first = heard.try_recv().ok();
        match flag {
            Some(flag) => {
                let first = first.expect("a proof is begun");
                assert!(String::from_utf8_lossy(&first[18..]).starts_with(flag), "{first:?}");
            }
            None => assert!(first.is_none(), "nothing is said"),
        }
        let text = error(result);
        assert_eq!(text.contains("the server does not offer it"), flag.is_none(), "{text}");
    }
}

#[test]
fn a_server_that_lets_everybody_in_is_not_let_in_where_proofs_must_be_bound() {
    let authority = Authority::new("our authority");
    let certificate = authority.sign(Says::names(&["127.0.0.1"]));
    let acceptor = acceptor(&certificate, &certificate, &rustls::version::TLS13, None);
    for asks in [WELCOME, b"R\0\0\0\x08\0\0\0\x03", b"R\0\0\0\x0c\0\0\0\x05salt"] {
        let acceptor = acceptor.clone();
        let (result, _) = block_on(meet("sslmode=require&channel_binding=require", move |stream| {
            let acceptor = acceptor.clone();
            async move {
                let mut stream = encrypted(acceptor, stream).await?;
                packet(&mut stream).await?;
                stream.write_all(asks).await.ok()?;
                let mut rest = Vec::new();
                let _ = stream.read_to_end(&mut rest).await;
                assert_eq!(rest, b"", "no password is sent");
                Some(())
            }
        }));
        assert!(error(result).contains("asks for no proof that is bound"));
    }
}

#[test]
fn direct_tls_needs_the_protocol_to_be_agreed_on() {
    let authority = Authority::new("our authority");
    let certificate = authority.sign(Says::names(&["127.0.0.1"]));
    for (alpn, gets_in) in [(Some(&b"postgresql"[..]), true), (None, false), (Some(b"h2"), false)] {
        let acceptor = acceptor(&certificate, &certificate, &rustls::version::TLS13, alpn);
        let (result, met) = block_on(meet("sslmode=require&sslnegotiation=direct", move |stream| {
            let acceptor = acceptor.clone();
            async move {
                let mut stream = acceptor.accept(stream).await.ok()?;
                packet(&mut stream).await?;
                stream.write_all(WELCOME).await.ok()?;
                stream.read_u8().await.ok().map(drop)
            }
        }));
        assert_eq!(result.is_ok(), gets_in, "{alpn:?} {result:?}");
        assert_eq!(met, 1);
    }
}
