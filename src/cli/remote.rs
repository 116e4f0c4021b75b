//! `tidegate report` and `tidegate learned`: questions to the admin address of a running proxy.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

use zeroize::Zeroizing;

use super::args::{AdminArgs, LearnedArgs};
use super::environment::Token;
use crate::config::{Secret, SecretVariable, read_variable_file};

/// Longest wait for the proxy.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest head of an answer, and the longest refusal, that is read, in bytes.
const LONGEST: u64 = 16 * 1024;

/// Prints what a running proxy has decided.
pub fn report(args: &AdminArgs) -> ExitCode {
    show(args, "GET", "/report", "")
}

/// Prints, or clears, what a running proxy has learned from replicas that refused.
pub fn learned(args: &LearnedArgs) -> ExitCode {
    let method = if args.clear { "DELETE" } else { "GET" };
    show(
        &args.admin,
        method,
        "/learned",
        "nothing: no replica has refused a statement since the catalog was read",
    )
}

fn show(args: &AdminArgs, method: &str, path: &str, if_empty: &str) -> ExitCode {
    let admin = args.admin;
    let token = match token(&args.token) {
        Ok(token) => token,
        Err(error) => {
            eprintln!("tidegate: {error}");
            return ExitCode::FAILURE;
        }
    };
    match ask(admin, token.as_ref(), method, path) {
        Ok(text) if text.is_empty() => println!("{if_empty}"),
        Ok(text) => print!("{text}"),
        Err(error) => {
            eprintln!("tidegate: {}", complaint(admin, &error));
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// What to tell whoever has asked, and what to do.
pub(super) fn complaint(admin: SocketAddr, error: &io::Error) -> String {
    let advice = match error.kind() {
        io::ErrorKind::PermissionDenied => "",
        _ => ". Is it running, and is this its admin address (--admin)?",
    };
    format!("the proxy cannot be asked at {admin}: {error}{advice}")
}

/// What is to be shown to the proxy.
pub(super) fn token(token: &Token) -> Result<Option<Secret>, String> {
    const VARIABLE: SecretVariable = SecretVariable::AdminToken;
    match token {
        Token::None => Ok(None),
        Token::Is(token) => Ok(Some(token.clone())),
        Token::In(path) => read_variable_file(VARIABLE, path).map(Some),
        Token::Twice => {
            Err(format!("{} and {} are both given; set one", VARIABLE.name(), VARIABLE.file_name()))
        }
    }
}

/// The whole answer to a request.
fn ask(admin: SocketAddr, token: Option<&Secret>, method: &str, path: &str) -> io::Result<String> {
    let mut answer = String::new();
    open(admin, token, method, path)?.read_to_string(&mut answer)?;
    Ok(answer)
}

/// One request of HTTP/1.0, after which the connection ends: all that is needed here. What is returned is where the
/// answer's body begins; nothing that comes later than [`PATIENCE`] after what came before is waited for.
pub(super) fn open(
    admin: SocketAddr,
    token: Option<&Secret>,
    method: &str,
    path: &str,
) -> io::Result<BufReader<TcpStream>> {
    let mut stream = TcpStream::connect_timeout(&admin, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut request = Zeroizing::new(String::with_capacity(2048));
    request.extend([method, " ", path, " HTTP/1.0\r\nHost: ", &admin.to_string(), "\r\n"]);
    // What is no token would end the line; the proxy has none such.
    if let Some(token) = token.filter(|token| token.expose().bytes().all(|byte| byte.is_ascii_graphic())) {
        request.extend(["Authorization: Bearer ", token.expose(), "\r\n"]);
    }
    request.push_str("\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = BufReader::new(stream);
    let status = status(&mut answer)?;
    if status == "200" {
        return Ok(answer);
    }
    let mut body = String::new();
    answer.take(LONGEST).read_to_string(&mut body)?;
    Err(match status.as_str() {
        "401" => io::Error::new(
            io::ErrorKind::PermissionDenied,
            "it wants its token, and was shown none or a wrong one: set TIDEGATE_ADMIN_TOKEN or TIDEGATE_ADMIN_TOKEN_FILE",
        ),
        "403" | "429" => io::Error::new(io::ErrorKind::PermissionDenied, body.trim().to_owned()),
        "503" => io::Error::other(body.trim().to_owned()),
        status => io::Error::other(format!("HTTP status {status}")),
    })
}

/// Reads the head of an answer. Returns its status.
fn status(answer: &mut BufReader<TcpStream>) -> io::Result<String> {
    let malformed = || io::Error::new(io::ErrorKind::InvalidData, "that is no answer of a proxy");
    let mut head = String::new();
    let mut limited = answer.take(LONGEST);
    while !head.ends_with("\r\n\r\n") {
        if limited.read_line(&mut head)? == 0 {
            return Err(malformed());
        }
    }
    Some(&head)
        .filter(|head| head.starts_with("HTTP/"))
        .and_then(|head| head.split_whitespace().nth(1))
        .map(str::to_owned)
        .ok_or_else(malformed)
}
