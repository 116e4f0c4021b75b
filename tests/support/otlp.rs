//! A collector of OpenTelemetry that keeps what it is sent by OTLP over HTTP. It reads protobuf by the numbers of the
//! specification, apart from how the proxy writes it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// A span as it came.
#[derive(Clone, Debug, Default)]
pub struct Span {
    /// In hexadecimal, like the other two.
    pub trace: String,
    pub id: String,
    /// Empty if there is none.
    pub parent: String,
    pub name: String,
    pub kind: u64,
    /// Nanoseconds since 1970.
    pub start: u64,
    pub end: u64,
    pub attributes: BTreeMap<String, String>,
    /// 2: an error.
    pub status: u64,
}

/// A collector. What it was sent stays until it is dropped.
pub struct Collector {
    address: SocketAddr,
    bodies: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Collector {
    /// Listens from now on; its thread ends with the process.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let bodies = Arc::<Mutex<Vec<Vec<u8>>>>::default();
        let kept = Arc::clone(&bodies);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if let Some(body) = serve(stream) {
                    kept.lock().unwrap().push(body);
                }
            }
        });
        Self { address, bodies }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it was sent.
    pub fn spans(&self) -> Vec<Span> {
        let bodies = self.bodies.lock().unwrap();
        let scopes = bodies.iter().flat_map(|body| inside(body, 1)).flat_map(|resource| inside(resource, 2));
        scopes.flat_map(|scope| inside(scope, 2)).map(span).collect()
    }

    /// An attribute of the resource that has sent it.
    pub fn resource(&self, key: &str) -> String {
        let bodies = self.bodies.lock().unwrap();
        let resources =
            bodies.iter().flat_map(|body| inside(body, 1)).flat_map(|resource| inside(resource, 1));
        let found = resources.map(|resource| attributes(resource, 1)).find_map(|mut all| all.remove(key));
        found.unwrap_or_default()
    }

    /// Whether it was sent this text, wherever it stood.
    pub fn received(&self, text: &str) -> bool {
        let bodies = self.bodies.lock().unwrap();
        bodies.iter().any(|body| body.windows(text.len()).any(|part| part == text.as_bytes()))
    }
}

/// Reads a POST and answers it. Returns its body.
fn serve(stream: TcpStream) -> Option<Vec<u8>> {
    let mut reader = BufReader::new(stream);
    let (mut line, mut length) = (String::new(), 0);
    reader.read_line(&mut line).ok()?;
    let is_expected = line.starts_with("POST /v1/traces HTTP/1.1");
    let mut is_protobuf = false;
    while line.trim() != "" {
        line.clear();
        reader.read_line(&mut line).ok()?;
        let (name, value) = line.trim().split_once(": ").unwrap_or_default();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().ok()?,
            "content-type" => is_protobuf = value == "application/x-protobuf",
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let status = if is_expected && is_protobuf { "200 OK" } else { "400 Bad Request" };
    let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    reader.get_mut().write_all(answer.as_bytes()).ok()?;
    (is_expected && is_protobuf).then_some(body)
}

/// A value on the wire. <https://protobuf.dev/programming-guides/encoding/>
enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let (mut number, mut shift) = (0, 0);
    loop {
        let (byte, rest) = bytes.split_first().expect("a varint ends");
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            return number;
        }
    }
}

/// The fields of a message, by number.
fn fields(mut bytes: &[u8]) -> Vec<(u64, Value<'_>)> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        let value = match key & 7 {
            0 => Value::Number(varint(&mut bytes)),
            1 => {
                let (eight, rest) = bytes.split_first_chunk::<8>().expect("eight bytes");
                bytes = rest;
                Value::Number(u64::from_le_bytes(*eight))
            }
            2 => {
                let length = usize::try_from(varint(&mut bytes)).unwrap();
                let (inside, rest) = bytes.split_at(length);
                bytes = rest;
                Value::Bytes(inside)
            }
            other => panic!("wire type {other}"),
        };
        found.push((key >> 3, value));
    }
    found
}

/// The messages in a field.
fn inside(bytes: &[u8], number: u64) -> Vec<&[u8]> {
    let messages = fields(bytes).into_iter().filter(|(field, _)| *field == number);
    messages
        .filter_map(|(_, value)| if let Value::Bytes(bytes) = value { Some(bytes) } else { None })
        .collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// `KeyValue`s in a field.
fn attributes(bytes: &[u8], number: u64) -> BTreeMap<String, String> {
    let read = |pair: &[u8]| {
        let key = text(inside(pair, 1)[0]);
        let value = match fields(inside(pair, 2)[0]).pop() {
            Some((1, Value::Bytes(bytes))) => text(bytes),
            Some((3, Value::Number(number))) => number.to_string(),
            Some((4, Value::Number(bits))) => f64::from_bits(bits).to_string(),
            _ => panic!("a value of {key}"),
        };
        (key, value)
    };
    inside(bytes, number).into_iter().map(read).collect()
}

fn span(bytes: &[u8]) -> Span {
    let mut span = Span { attributes: attributes(bytes, 9), ..Span::default() };
    for field in fields(bytes) {
        match field {
            (1, Value::Bytes(id)) => span.trace = hex(id),
            (2, Value::Bytes(id)) => span.id = hex(id),
            (4, Value::Bytes(id)) => span.parent = hex(id),
            (5, Value::Bytes(name)) => span.name = text(name),
            (6, Value::Number(kind)) => span.kind = kind,
            (7, Value::Number(nanos)) => span.start = nanos,
            (8, Value::Number(nanos)) => span.end = nanos,
            (15, Value::Bytes(status)) => {
                let codes = fields(status).into_iter().filter(|(number, _)| *number == 3);
                span.status =
                    codes.filter_map(|(_, v)| if let Value::Number(n) = v { Some(n) } else { None }).sum();
            }
            _ => {}
        }
    }
    span
}
