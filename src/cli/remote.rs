//! `tidegate report` and `tidegate learned`: questions to the admin address of a running proxy.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

use super::args::{AdminArgs, LearnedArgs};

/// Longest wait for the proxy.
const PATIENCE: Duration = Duration::from_secs(5);

/// Prints what a running proxy has decided.
pub fn report(args: &AdminArgs) -> ExitCode {
    show(args.admin, "GET", "/report", "")
}

/// Prints, or clears, what a running proxy has learned from replicas that refused.
pub fn learned(args: &LearnedArgs) -> ExitCode {
    let method = if args.clear { "DELETE" } else { "GET" };
    show(
        args.admin.admin,
        method,
        "/learned",
        "nothing: no replica has refused a statement since the catalog was read",
    )
}

fn show(admin: SocketAddr, method: &str, path: &str, if_empty: &str) -> ExitCode {
    match ask(admin, method, path) {
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

/// One request of HTTP/1.0, after which the connection ends: all that is needed here.
fn ask(admin: SocketAddr, method: &str, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&admin, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "{method} {path} HTTP/1.0\r\nHost: {admin}\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let malformed = || io::Error::new(io::ErrorKind::InvalidData, "that is no answer of a proxy");
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(malformed)?;
    let status = head.split_whitespace().nth(1).ok_or_else(malformed)?;
    if status == "200" { Ok(body.to_owned()) } else { Err(io::Error::other(format!("HTTP status {status}"))) }
}
