//! What hostile and broken clients do, one connection each.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use postgres_protocol::authentication::sasl::{ChannelBinding, ScramSha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::support::raw::{V3_0, query, startup, tagged};

/// What one connection does to the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Attack {
    /// Bytes of any kind.
    Garbage,
    /// TLS from the first byte, and no more of it than its beginning.
    TlsHello,
    /// Half of a start-up packet, then nothing.
    HalfStartup,
    /// A start-up packet by one byte a second.
    Slowloris,
    /// A start-up packet that says it has no bytes.
    LengthZero,
    /// A start-up packet of -1 bytes.
    LengthNegative,
    /// A start-up packet of 2 GB.
    LengthHuge,
    /// A start-up packet behind a request for TLS, in the same segment: what is injected before the handshake must not
    /// be taken as if it came through it.
    Stuffed,
    /// Protocol 2, and protocols that were never made.
    UnknownVersion,
    /// Asks for encryption again and again, by TLS and by GSSAPI.
    EncryptionForEver,
    /// Parameters that are not text, or have no end.
    BrokenParameters,
    /// A user there is, with a proof by a wrong password.
    WrongPassword,
    /// A user there is not.
    UnknownUser,
    /// SASL that goes wrong in the middle: no such mechanism, a false length, a false nonce, a proof that is none.
    BrokenSasl,
    /// A password of 100 MB, of which 64 KB come.
    PasswordHuge,
    /// A query in the place of a password.
    QueryUnasked,
    /// Connects and hangs up.
    ConnectClose,
    /// Connects and never speaks.
    NeverSpeak,
    /// Says nothing more in the middle of SASL, and never hangs up: a peer that has vanished.
    Vanished,
    /// Resets the connection in the middle of SASL.
    Reset,
    /// Hangs up on its side only, after half of a start-up packet.
    HalfClosed,
    /// Wants a statement cancelled by a key that it guesses.
    CancelWrong,
    /// Logs in, asks for 100 MB and never reads.
    NeverRead,
}

use Attack::{
    BrokenParameters, BrokenSasl, CancelWrong, ConnectClose, EncryptionForEver, Garbage, HalfClosed,
    HalfStartup, LengthHuge, LengthNegative, LengthZero, NeverRead, NeverSpeak, PasswordHuge, QueryUnasked,
    Reset, Slowloris, Stuffed, TlsHello, UnknownUser, UnknownVersion, Vanished, WrongPassword,
};

/// One of each.
pub const ALL: [Attack; 23] = [
    Garbage,
    TlsHello,
    HalfStartup,
    Slowloris,
    LengthZero,
    LengthNegative,
    LengthHuge,
    Stuffed,
    UnknownVersion,
    EncryptionForEver,
    BrokenParameters,
    WrongPassword,
    UnknownUser,
    BrokenSasl,
    PasswordHuge,
    QueryUnasked,
    ConnectClose,
    NeverSpeak,
    Vanished,
    Reset,
    HalfClosed,
    CancelWrong,
    NeverRead,
];

/// How a connection came to its end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ending {
    /// The proxy said why, by this SQLSTATE, and hung up.
    Refused(String),
    /// The proxy hung up.
    Closed,
    /// The attacker hung up, as it wanted to.
    Left,
    /// The proxy took it for a client.
    LetIn,
}

/// Who is attacked, and what is known of it.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    pub address: SocketAddr,
    /// A user whom nobody else is, with a pool of its own, and its password.
    pub idler: (&'static str, &'static str),
}

const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];
const GSSENC_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 48];
/// How long an attacker that has logged in keeps what it has.
const HOLDS: Duration = Duration::from_secs(2);

impl Attack {
    /// Whether it may be that only time ends it.
    pub fn takes_time(self) -> bool {
        matches!(self, HalfStartup | Slowloris | EncryptionForEver | NeverSpeak | Vanished)
    }

    /// How many in a round of attacks are of this kind. Those that make a server work are few: what is measured is the
    /// proxy, and a login is anybody's right.
    pub fn weight(self) -> usize {
        match self {
            NeverRead => 1,
            WrongPassword | UnknownUser | Garbage => 6,
            _ => 3,
        }
    }

    /// Does it, until one of the two hangs up. A socket that fails is one that was closed.
    pub async fn wage(self, target: Target) -> io::Result<Ending> {
        let mut stream = connect(target.address).await?;
        let ending = self.go(&mut stream, target).await;
        Ok(ending.unwrap_or(Ending::Closed))
    }

    async fn go(self, stream: &mut TcpStream, target: Target) -> io::Result<Ending> {
        let hello = startup(V3_0, &[("user", "app"), ("database", "app")]);
        let half = &hello[..hello.len() / 2];
        match self {
            Garbage => stream.write_all(&garbage()).await?,
            TlsHello => stream.write_all(&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3, 0, 0, 0]).await?,
            HalfStartup => stream.write_all(half).await?,
            Slowloris => return drip(stream, &hello).await,
            LengthZero => stream.write_all(&[0; 8]).await?,
            LengthNegative => stream.write_all(&[0xff; 8]).await?,
            LengthHuge => {
                stream
                    .write_all(&[&[0x7f, 0xff, 0xff, 0xff, 0, 3, 0, 0][..], &[b'x'; 4096]].concat())
                    .await?;
            }
            Stuffed => stream.write_all(&[&SSL_REQUEST[..], &hello].concat()).await?,
            UnknownVersion => {
                let version = [2 << 16, 4 << 16, u32::MAX, 0][usize::from(rand::random::<u8>() % 4)];
                stream.write_all(&startup(version, &[("user", "app")])).await?;
            }
            EncryptionForEver => return ask_for_ever(stream).await,
            BrokenParameters => {
                let broken: &[u8] = [&b"user\0\xff\xfe\0\0"[..], b"user\0app", b"user\0app\0database\0"]
                    [usize::from(rand::random::<u8>() % 3)];
                let len = u32::try_from(broken.len() + 8).unwrap().to_be_bytes();
                stream.write_all(&[&len[..], &[0, 3, 0, 0], broken].concat()).await?;
            }
            WrongPassword => return guess(stream, "app").await,
            UnknownUser => return guess(stream, &format!("nobody_{:04x}", rand::random::<u16>())).await,
            BrokenSasl => return break_sasl(stream).await,
            PasswordHuge => {
                challenge(stream, "app").await?;
                let head = [&[b'p'][..], &100_000_000_u32.to_be_bytes()].concat();
                stream.write_all(&[&head[..], &vec![b'x'; 65_536]].concat()).await?;
            }
            QueryUnasked => {
                challenge(stream, "app").await?;
                stream.write_all(&query("select 1")).await?;
            }
            ConnectClose => return Ok(Ending::Left),
            NeverSpeak => {}
            Vanished => {
                challenge(stream, "app").await?;
            }
            Reset => {
                challenge(stream, "app").await?;
                socket2::SockRef::from(&*stream).set_linger(Some(Duration::ZERO))?;
                return Ok(Ending::Left);
            }
            HalfClosed => {
                stream.write_all(half).await?;
                stream.shutdown().await?;
            }
            CancelWrong => {
                let key: [u8; 8] = rand::random();
                stream.write_all(&[&[0, 0, 0, 16, 4, 210, 22, 46][..], &key].concat()).await?;
            }
            NeverRead => return never_read(stream, target.idler).await,
        }
        ending(stream).await
    }
}

/// From an address of its own among 127.0.0.2 to 127.0.0.251, so that what is held against an address is held against this one.
async fn connect(to: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(([127, 0, 0, 2 + rand::random::<u8>() % 250], 0).into())?;
    socket.connect(to).await
}

/// A length that may be one, or may not, and bytes of any kind.
fn garbage() -> Vec<u8> {
    let mut bytes: Vec<u8> =
        std::iter::repeat_with(rand::random).take(64 + usize::from(rand::random::<u8>()) * 16).collect();
    if rand::random() {
        bytes[..4].copy_from_slice(&64_u32.to_be_bytes());
    }
    bytes
}

/// The next message: its tag and body. The proxy sends no long ones before a login.
async fn message(stream: &mut TcpStream) -> io::Result<(u8, Vec<u8>)> {
    let tag = stream.read_u8().await?;
    let len = stream.read_u32().await? as usize;
    let len = len.checked_sub(4).filter(|len| *len <= 1 << 20).ok_or(io::ErrorKind::InvalidData)?;
    let mut body = vec![0; len];
    stream.read_exact(&mut body).await?;
    Ok((tag, body))
}

/// What the proxy makes of it.
async fn ending(stream: &mut TcpStream) -> io::Result<Ending> {
    loop {
        let (tag, body) = message(stream).await?;
        match tag {
            b'E' => {
                let code = body.split(|byte| *byte == 0).find_map(|field| field.strip_prefix(b"C"));
                let code = String::from_utf8_lossy(code.unwrap_or_default()).into_owned();
                // It hangs up after that, whatever it is still sent.
                while matches!(stream.read(&mut [0; 256]).await, Ok(1..)) {}
                return Ok(Ending::Refused(code));
            }
            b'Z' => return Ok(Ending::LetIn),
            b'R' if body.starts_with(&[0, 0, 0, 0]) => return Ok(Ending::LetIn),
            _ => {}
        }
    }
}

async fn drip(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<Ending> {
    for byte in bytes {
        stream.write_u8(*byte).await?;
        let pause = Duration::from_secs(1);
        if let Ok(ending) = tokio::time::timeout(pause, stream.read_u8()).await {
            return ending.map(|_| Ending::Closed);
        }
    }
    ending(stream).await
}

async fn ask_for_ever(stream: &mut TcpStream) -> io::Result<Ending> {
    loop {
        for request in [SSL_REQUEST, GSSENC_REQUEST] {
            stream.write_all(&request).await?;
            match stream.read_u8().await? {
                b'N' | b'G' => {}
                // It could have TLS now, and goes on in the clear.
                b'S' => stream.write_all(&SSL_REQUEST).await?,
                b'E' => return Ok(Ending::Refused("before the handshake".to_owned())),
                _ => return Err(io::ErrorKind::InvalidData.into()),
            }
        }
    }
}

/// Begins to log in, and returns what is asked for.
async fn challenge(stream: &mut TcpStream, user: &str) -> io::Result<()> {
    stream.write_all(&startup(V3_0, &[("user", user), ("database", "app")])).await?;
    match message(stream).await? {
        (b'R', _) => Ok(()),
        _ => Err(io::ErrorKind::ConnectionRefused.into()),
    }
}

fn initial(mechanism: &str, len: u32, first: &str) -> Vec<u8> {
    tagged(b'p', &[mechanism.as_bytes(), b"\0", &len.to_be_bytes(), first.as_bytes()].concat())
}

const FIRST: &str = "n,,n=,r=rOprNGfwEbeRWgbNEkqO";

/// The nonce of both, from the server's first message.
async fn nonce(stream: &mut TcpStream) -> io::Result<Result<String, Ending>> {
    let (tag, body) = message(stream).await?;
    if tag == b'E' {
        let code =
            body.split(|byte| *byte == 0).find_map(|field| field.strip_prefix(b"C")).unwrap_or_default();
        return Ok(Err(Ending::Refused(String::from_utf8_lossy(code).into_owned())));
    }
    let text = String::from_utf8_lossy(body.get(4..).unwrap_or_default()).into_owned();
    let nonce = text.split(',').find_map(|part| part.strip_prefix("r=")).unwrap_or_default();
    Ok(Ok(nonce.to_owned()))
}

/// Everything right but the proof, for which it costs nothing.
async fn guess(stream: &mut TcpStream, user: &str) -> io::Result<Ending> {
    use base64::Engine as _;
    challenge(stream, user).await?;
    stream.write_all(&initial("SCRAM-SHA-256", u32::try_from(FIRST.len()).unwrap(), FIRST)).await?;
    let nonce = match nonce(stream).await? {
        Ok(nonce) => nonce,
        Err(ending) => return Ok(ending),
    };
    let proof = base64::engine::general_purpose::STANDARD.encode(rand::random::<[u8; 32]>());
    stream.write_all(&tagged(b'p', format!("c=biws,r={nonce},p={proof}").as_bytes())).await?;
    ending(stream).await
}

async fn break_sasl(stream: &mut TcpStream) -> io::Result<Ending> {
    challenge(stream, "app").await?;
    let len = u32::try_from(FIRST.len()).unwrap();
    let way = rand::random::<u8>() % 6;
    let first = match way {
        0 => initial("SCRAM-SHA-1", len, FIRST),
        1 => initial("SCRAM-SHA-256", u32::MAX, ""),
        2 => initial("SCRAM-SHA-256", len, "y,,m=ext,n=\0,r=\u{e9}"),
        3 => tagged(b'p', b"no end"),
        _ => initial("SCRAM-SHA-256", len, FIRST),
    };
    stream.write_all(&first).await?;
    if way > 3 {
        let nonce = match nonce(stream).await? {
            Ok(nonce) => nonce,
            Err(ending) => return Ok(ending),
        };
        let last =
            if way == 4 { "c=biws,r=false,p=AAAA".to_owned() } else { format!("c=biws,r={nonce},p=%%%") };
        stream.write_all(&tagged(b'p', last.as_bytes())).await?;
    }
    ending(stream).await
}

async fn never_read(stream: &mut TcpStream, (user, password): (&str, &str)) -> io::Result<Ending> {
    challenge(stream, user).await?;
    let mut scram = ScramSha256::new(password.as_bytes(), ChannelBinding::unsupported());
    let first = String::from_utf8_lossy(scram.message()).into_owned();
    stream.write_all(&initial("SCRAM-SHA-256", u32::try_from(first.len()).unwrap(), &first)).await?;
    loop {
        let (tag, body) = message(stream).await?;
        match (tag, body.get(3)) {
            (b'R', Some(11)) => {
                scram.update(&body[4..])?;
                stream.write_all(&tagged(b'p', scram.message())).await?;
            }
            (b'Z', _) => break,
            (b'E', _) => return Ok(Ending::Refused("at login".to_owned())),
            _ => {}
        }
    }
    stream.write_all(&query("select repeat('x', 1000000) from generate_series(1, 100)")).await?;
    tokio::time::sleep(HOLDS).await;
    Ok(Ending::Left)
}
