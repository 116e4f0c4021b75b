//! A client that speaks the protocol message by message, so that it can also speak it wrongly.
//!
//! It blocks, and panics when an answer does not come within the patience of the tests.

use std::collections::BTreeMap;
use std::io::{self, BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use postgres_protocol::authentication::sasl::{ChannelBinding, ScramSha256};
use socket2::{Domain, Type};

use super::PATIENCE;
use super::tls::{Encrypted, SSL_REQUEST, Speaks, encrypted};

/// Protocol 3.0.
pub const V3_0: u32 = 3 << 16;
/// Protocol 3.2.
pub const V3_2: u32 = (3 << 16) + 2;

/// A message of the server.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    pub tag: u8,
    pub body: Vec<u8>,
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let body = &self.body[..self.body.len().min(300)];
        write!(f, "{}({:?})", char::from(self.tag), String::from_utf8_lossy(body))
    }
}

impl Message {
    /// A field of an error or a notice.
    pub fn field(&self, name: u8) -> Option<String> {
        self.fields().remove(&name)
    }

    /// All fields of an error or a notice.
    pub fn fields(&self) -> BTreeMap<u8, String> {
        let fields = self.body.split(|b| *b == 0).filter(|field| !field.is_empty());
        fields.map(|field| (field[0], String::from_utf8_lossy(&field[1..]).into_owned())).collect()
    }

    /// The cells of a data row, as text.
    pub fn cells(&self) -> Vec<Option<String>> {
        let mut rest = &self.body[2..];
        let mut cells = Vec::new();
        while let Some((len, tail)) = rest.split_first_chunk::<4>() {
            let len = i32::from_be_bytes(*len);
            let (cell, tail) = tail.split_at(usize::try_from(len).unwrap_or(0));
            cells.push((len >= 0).then(|| String::from_utf8_lossy(cell).into_owned()));
            rest = tail;
        }
        cells
    }
}

/// What came back up to `ReadyForQuery`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer(pub Vec<Message>);

impl Answer {
    /// The tags in order, without notices and reported settings.
    pub fn tags(&self) -> String {
        self.0.iter().map(|m| char::from(m.tag)).filter(|tag| !matches!(tag, 'N' | 'S' | 'A')).collect()
    }

    /// SQLSTATE and text of the first error.
    pub fn error(&self) -> Option<(String, String)> {
        let error = self.0.iter().find(|m| m.tag == b'E')?;
        Some((error.field(b'C').unwrap(), error.field(b'M').unwrap()))
    }

    /// SQLSTATE of the first error, or nothing.
    pub fn code(&self) -> String {
        self.error().map(|(code, _)| code).unwrap_or_default()
    }

    /// Fails if there was an error.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.error(), None, "{self:?}");
        self
    }

    /// All rows.
    pub fn rows(&self) -> Vec<Vec<Option<String>>> {
        self.0.iter().filter(|m| m.tag == b'D').map(Message::cells).collect()
    }

    /// The first cell of the first row; "NULL" for NULL.
    #[track_caller]
    pub fn value(&self) -> String {
        assert_eq!(self.error(), None, "{self:?}");
        let rows = self.rows();
        let row = rows.first().unwrap_or_else(|| panic!("no row: {self:?}"));
        row[0].clone().unwrap_or_else(|| "NULL".to_owned())
    }

    /// Transaction status: `I`, `T` or `E`.
    pub fn status(&self) -> char {
        self.0.last().map_or('?', |m| char::from(m.body[0]))
    }
}

/// What a connection runs over.
enum Socket {
    Plain(TcpStream),
    Tls(Box<Encrypted>),
}

impl Read for Socket {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(bytes),
            Self::Tls(socket) => socket.read(bytes),
        }
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(bytes),
            Self::Tls(socket) => socket.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.flush(),
            Self::Tls(socket) => socket.flush(),
        }
    }
}

/// A connection.
pub struct Raw {
    stream: BufReader<Socket>,
    /// What the client was told about cancelling.
    pub pid: u32,
    pub secret: Vec<u8>,
    /// Settings the server has reported.
    pub reported: BTreeMap<String, String>,
    /// Everything said before the first `ReadyForQuery`.
    pub greeting: Vec<Message>,
}

impl Raw {
    /// Connects and says nothing yet.
    pub fn silent(address: SocketAddr) -> Self {
        Self::plain(TcpStream::connect_timeout(&address, PATIENCE).unwrap())
    }

    /// Connects from this address of the machine, such as 127.0.0.2, and says nothing yet.
    pub fn silent_from(source: IpAddr, address: SocketAddr) -> Self {
        let socket = socket2::Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::new(source, 0).into()).unwrap();
        socket.connect_timeout(&address.into(), PATIENCE).unwrap();
        Self::plain(socket.into())
    }

    /// Says nothing yet on a connection that is there.
    pub fn plain(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self::over(Socket::Plain(stream))
    }

    /// Over a connection in TLS, on which nothing else has been said yet.
    pub fn encrypted(stream: Encrypted) -> Self {
        Self::over(Socket::Tls(Box::new(stream)))
    }

    /// In TLS if the server has it. With `TIDEGATE_TEST_TLS` in the environment, all that log in are.
    fn encrypted_if_possible(address: SocketAddr) -> Self {
        let mut raw = Self::silent(address);
        raw.send(&SSL_REQUEST);
        if raw.byte() == b'N' {
            return raw;
        }
        let Socket::Plain(socket) = raw.stream.into_inner() else { unreachable!() };
        Self::encrypted(encrypted(socket, &Speaks::default(), "localhost").unwrap())
    }

    fn over(socket: Socket) -> Self {
        Self {
            stream: BufReader::new(socket),
            pid: 0,
            secret: Vec::new(),
            reported: BTreeMap::new(),
            greeting: Vec::new(),
        }
    }

    /// Logs in as `app` to the database `app`.
    #[track_caller]
    pub fn app(address: SocketAddr) -> Self {
        Self::app_with(address, &[])
    }

    /// Logs in as `app` with more start-up parameters.
    #[track_caller]
    pub fn app_with(address: SocketAddr, more: &[(&str, &str)]) -> Self {
        let parameters = [&[("user", "app"), ("database", "app")], more].concat();
        match Self::log_in(address, V3_0, &parameters, "secret") {
            Ok(raw) => raw,
            Err(error) => panic!("{error:?}"),
        }
    }

    /// Logs in, or returns the server's error.
    pub fn log_in(
        address: SocketAddr,
        version: u32,
        parameters: &[(&str, &str)],
        password: &str,
    ) -> Result<Self, Message> {
        let mut raw = if std::env::var_os("TIDEGATE_TEST_TLS").is_some() {
            Self::encrypted_if_possible(address)
        } else {
            Self::silent(address)
        };
        raw.send(&startup(version, parameters));
        raw.authenticate(password)?;
        Ok(raw)
    }

    /// Does what the server asks for after start-up.
    pub fn authenticate(&mut self, password: &str) -> Result<(), Message> {
        let mut scram = ScramSha256::new(password.as_bytes(), ChannelBinding::unsupported());
        loop {
            let message = self.read();
            self.greeting.push(message.clone());
            let body = &message.body;
            match message.tag {
                b'R' => match u32::from_be_bytes(body[..4].try_into().unwrap()) {
                    0 => {}
                    10 => {
                        let first = scram.message();
                        let mut answer = b"SCRAM-SHA-256\0".to_vec();
                        answer.extend(u32::try_from(first.len()).unwrap().to_be_bytes());
                        answer.extend(first);
                        self.send(&tagged(b'p', &answer));
                    }
                    11 => {
                        scram.update(&body[4..]).unwrap();
                        self.send(&tagged(b'p', scram.message()));
                    }
                    12 => scram.finish(&body[4..]).unwrap(),
                    other => panic!("authentication {other}"),
                },
                b'K' => {
                    self.pid = u32::from_be_bytes(body[..4].try_into().unwrap());
                    self.secret = body[4..].to_vec();
                }
                b'E' => return Err(message),
                b'Z' => return Ok(()),
                _ => {}
            }
        }
    }

    /// Sends bytes as they are.
    #[track_caller]
    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).unwrap();
        self.stream.get_mut().flush().unwrap();
    }

    /// Says in TLS that nothing more comes; what comes back can still be read.
    pub fn half_close(&mut self) {
        let Socket::Tls(socket) = self.stream.get_mut() else { panic!("it is not encrypted") };
        socket.conn.send_close_notify();
        socket.flush().unwrap();
    }

    /// Sends bytes; whether the server still takes them does not matter.
    pub fn send_anyway(&mut self, bytes: &[u8]) {
        let _ = self.stream.get_mut().write_all(bytes);
    }

    /// The next message.
    #[track_caller]
    pub fn read(&mut self) -> Message {
        self.try_read().unwrap_or_else(|error| panic!("no answer: {error}"))
    }

    /// The next message, or why there is none.
    pub fn try_read(&mut self) -> io::Result<Message> {
        let (tag, len) = self.head()?;
        let mut body = vec![0; len];
        self.stream.read_exact(&mut body)?;
        if tag == b'S' {
            let mut words = body.split(|b| *b == 0).map(|w| String::from_utf8_lossy(w).into_owned());
            self.reported.insert(words.next().unwrap_or_default(), words.next().unwrap_or_default());
        }
        Ok(Message { tag, body })
    }

    /// Tag and length of the body of the next message, whose body is left to the caller.
    pub fn head(&mut self) -> io::Result<(u8, usize)> {
        let mut head = [0; 5];
        self.stream.read_exact(&mut head)?;
        let len = u32::from_be_bytes(head[1..].try_into().unwrap()) as usize;
        Ok((head[0], len - 4))
    }

    /// Reads and drops `len` bytes.
    pub fn discard(&mut self, len: usize) {
        let dropped = io::copy(&mut (&mut self.stream).take(len as u64), &mut io::sink()).unwrap();
        assert_eq!(dropped, len as u64, "the connection ended in the middle of a message");
    }

    /// One byte, such as the answer to a request for encryption.
    pub fn byte(&mut self) -> u8 {
        let mut byte = [0];
        self.stream.read_exact(&mut byte).unwrap();
        byte[0]
    }

    /// What comes until the server hangs up.
    #[track_caller]
    pub fn until_closed(&mut self) -> Vec<Message> {
        let mut messages = Vec::new();
        loop {
            match self.try_read() {
                Ok(message) => messages.push(message),
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    panic!("the connection is still open after {messages:?}")
                }
                Err(_) => return messages,
            }
        }
    }

    /// Every byte that comes until the server hangs up, whichever way.
    #[track_caller]
    pub fn everything(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        match self.stream.read_to_end(&mut bytes) {
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                panic!("the connection is still open after {:?}", String::from_utf8_lossy(&bytes))
            }
            _ => bytes,
        }
    }

    /// What comes up to `ReadyForQuery`. When the server asks for COPY data it gets none.
    #[track_caller]
    pub fn answer(&mut self) -> Answer {
        let mut messages = Vec::new();
        loop {
            messages.push(self.read());
            if messages.last().is_some_and(|m| m.tag == b'Z') {
                return Answer(messages);
            }
        }
    }

    /// What comes up to and including the first message with one of these tags.
    #[track_caller]
    pub fn until(&mut self, tags: &[u8]) -> Answer {
        let mut messages = Vec::new();
        loop {
            messages.push(self.read());
            if messages.last().is_some_and(|m| tags.contains(&m.tag)) {
                return Answer(messages);
            }
        }
    }

    /// A simple query.
    #[track_caller]
    pub fn query(&mut self, sql: &str) -> Answer {
        self.send(&query(sql));
        self.answer()
    }

    /// A simple query that must succeed, and its first value if there is one.
    #[track_caller]
    pub fn ok(&mut self, sql: &str) -> Answer {
        self.query(sql).ok()
    }

    /// A statement through the unnamed prepared statement and portal.
    #[track_caller]
    pub fn extended(&mut self, sql: &str, parameters: &[&str]) -> Answer {
        let messages = [parse("", sql), bind("", "", parameters), describe(b'P', ""), execute(""), sync()];
        self.send(&messages.concat());
        self.answer()
    }

    /// Statements without parameters, each through the unnamed prepared statement and portal, with one Sync at the end.
    #[track_caller]
    pub fn pipeline<'a>(&mut self, statements: impl IntoIterator<Item = &'a str>) -> Answer {
        for sql in statements {
            self.send(&[parse("", sql), bind("", "", &[]), describe(b'P', ""), execute("")].concat());
        }
        self.send(&sync());
        self.answer()
    }

    /// Runs a statement that was prepared under a name.
    #[track_caller]
    pub fn run(&mut self, name: &str, parameters: &[&str]) -> Answer {
        self.send(&[bind("", name, parameters), execute(""), sync()].concat());
        self.answer()
    }

    /// Says good-bye.
    pub fn terminate(mut self) {
        self.send_anyway(&tagged(b'X', &[]));
    }

    /// The socket.
    pub fn socket(&self) -> &TcpStream {
        match self.stream.get_ref() {
            Socket::Plain(socket) => socket,
            Socket::Tls(socket) => &socket.sock,
        }
    }

    /// The answer to what runs there, which is cancelled again and again: it may not have begun when the first request arrives.
    pub fn cancelled(&mut self, address: SocketAddr) -> Answer {
        let (pid, secret, done) = (self.pid, self.secret.clone(), AtomicBool::new(false));
        thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    Self::cancel(address, pid, &secret);
                    thread::sleep(Duration::from_millis(20));
                }
            });
            let answer = self.answer();
            done.store(true, Ordering::Relaxed);
            answer
        })
    }

    /// Asks for what this session runs to be cancelled, and waits until the request has been dealt with.
    pub fn cancel(address: SocketAddr, pid: u32, secret: &[u8]) {
        let mut raw = Self::silent(address);
        let mut packet = u32::try_from(12 + secret.len()).unwrap().to_be_bytes().to_vec();
        packet.extend(80_877_102_u32.to_be_bytes());
        packet.extend(pid.to_be_bytes());
        packet.extend(secret);
        raw.send(&packet);
        raw.until_closed();
    }
}

/// A start-up packet.
pub fn startup(version: u32, parameters: &[(&str, &str)]) -> Vec<u8> {
    let mut body = version.to_be_bytes().to_vec();
    for (name, value) in parameters {
        body.extend([name.as_bytes(), b"\0", value.as_bytes(), b"\0"].concat());
    }
    body.push(0);
    [&u32::try_from(body.len() + 4).unwrap().to_be_bytes()[..], &body].concat()
}

/// Any message.
pub fn tagged(tag: u8, body: &[u8]) -> Vec<u8> {
    [&[tag][..], &u32::try_from(body.len() + 4).unwrap().to_be_bytes(), body].concat()
}

/// Query.
pub fn query(sql: &str) -> Vec<u8> {
    tagged(b'Q', &[sql.as_bytes(), b"\0"].concat())
}

/// Parse, without parameter types.
pub fn parse(name: &str, sql: &str) -> Vec<u8> {
    tagged(b'P', &[name.as_bytes(), b"\0", sql.as_bytes(), b"\0\0\0"].concat())
}

/// Bind, everything as text.
pub fn bind(portal: &str, statement: &str, parameters: &[&str]) -> Vec<u8> {
    let mut body = [portal.as_bytes(), b"\0", statement.as_bytes(), b"\0\0\0"].concat();
    body.extend(u16::try_from(parameters.len()).unwrap().to_be_bytes());
    for parameter in parameters {
        body.extend(u32::try_from(parameter.len()).unwrap().to_be_bytes());
        body.extend(parameter.as_bytes());
    }
    body.extend([0, 0]);
    tagged(b'B', &body)
}

/// Describe a statement (`S`) or portal (`P`).
pub fn describe(kind: u8, name: &str) -> Vec<u8> {
    tagged(b'D', &[&[kind][..], name.as_bytes(), b"\0"].concat())
}

/// Close a statement (`S`) or portal (`P`).
pub fn close(kind: u8, name: &str) -> Vec<u8> {
    tagged(b'C', &[&[kind][..], name.as_bytes(), b"\0"].concat())
}

/// Execute without a limit.
pub fn execute(portal: &str) -> Vec<u8> {
    execute_some(portal, 0)
}

/// Execute for at most `rows` rows.
pub fn execute_some(portal: &str, rows: u32) -> Vec<u8> {
    tagged(b'E', &[portal.as_bytes(), b"\0", &rows.to_be_bytes()].concat())
}

/// Sync.
pub fn sync() -> Vec<u8> {
    tagged(b'S', &[])
}

/// Flush.
pub fn flush() -> Vec<u8> {
    tagged(b'H', &[])
}
