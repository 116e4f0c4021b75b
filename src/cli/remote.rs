//! `tidegate report` and `tidegate learned`: questions to the admin address of a running proxy.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

use zeroize::Zeroizing;

use super::args::{AdminArgs, LearnedArgs};
use super::environment::Token;
use crate::config::{Secret, SecretVariable, read_variable_file};

/// Longest wait for the proxy.
const PATIENCE: Duration = Duration::from_secs(5);

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
            eprintln!(
                "tidegate: the proxy cannot be asked at {admin}: {error}. Is it running, and is this its admin address \
                 (--admin)?"
            );
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// What is to be shown to the proxy.
fn token(token: &Token) -> Result<Option<Secret>, String> {
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

/// One request of HTTP/1.0, after which the connection ends: all that is needed here.
fn ask(admin: SocketAddr, token: Option<&Secret>, method: &str, path: &str) -> io::Result<String> {
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
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let malformed = || io::Error::new(io::ErrorKind::InvalidData, "that is no answer of a proxy");
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(malformed)?;
    let status = head.split_whitespace().nth(1).ok_or_else(malformed)?;
    match status {
        "200" => Ok(body.to_owned()),
        "401" => Err(io::Error::other(
            "it wants its token, and was shown none or a wrong one: set TIDEGATE_ADMIN_TOKEN or TIDEGATE_ADMIN_TOKEN_FILE",
        )),
        "403" | "429" => Err(io::Error::other(body.trim().to_owned())),
        status => Err(io::Error::other(format!("HTTP status {status}"))),
    }
}
