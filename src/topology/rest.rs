//! One question by HTTP, bounded in size and time.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Collected, Empty, Limited};
use hyper::header::{ACCEPT, CONNECTION, HOST};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::config::{Host, NodeSettings};

/// Longest wait for an answer, connecting included.
const PATIENCE: Duration = Duration::from_secs(2);
/// Longest answer. A member takes some 300 bytes.
const LONGEST: usize = 1 << 20;

/// Where an HTTP server is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RestHost {
    host: String,
    port: u16,
}

/// Why there was no answer that can be used.
#[derive(Debug, thiserror::Error)]
pub enum RestError {
    /// It cannot be connected to, or the connection broke.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// It speaks something else than HTTP; or HTTPS.
    #[error("it does not answer by HTTP ({0}); HTTPS is not available in this version")]
    Http(#[from] hyper::Error),
    /// The status is not 200.
    #[error("it answered {0}")]
    Status(StatusCode),
    /// The answer broke off, or is too long.
    #[error("its answer cannot be read ({0})")]
    Body(String),
    /// It took too long.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
}

impl RestHost {
    /// The address of a server, from its settings; `None` unless it is reached by TCP.
    pub fn of(node: &NodeSettings) -> Option<Self> {
        match &node.host {
            Host::Tcp(host) => Some(Self { host: host.clone(), port: node.port }),
            Host::Unix(_) => None,
        }
    }

    /// The address in a URL `http://host:port/…`; `None` if it is another one.
    pub fn in_url(url: &str) -> Option<Self> {
        let rest = url.strip_prefix("http://")?;
        let authority = rest.split(['/', '?']).next()?;
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
            _ => (authority, 80),
        };
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        Self::of(&NodeSettings::tcp(host, port)?)
    }

    /// What it answers to `GET path`.
    pub(super) async fn get(&self, path: &str) -> Result<Bytes, RestError> {
        match tokio::time::timeout(PATIENCE, self.ask(path)).await {
            Ok(answer) => answer,
            Err(_) => Err(RestError::Timeout(PATIENCE)),
        }
    }

    async fn ask(&self, path: &str) -> Result<Bytes, RestError> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        // Ends with this question, also when that is cancelled.
        let mut driver = JoinSet::new();
        driver.spawn(connection);
        let request = Request::get(path)
            .header(HOST, self.to_string())
            .header(ACCEPT, "application/json")
            .header(CONNECTION, "close")
            .body(Empty::<Bytes>::new())
            .map_err(|error| RestError::Body(error.to_string()))?;
        let answer = sender.send_request(request).await?;
        if answer.status() != StatusCode::OK {
            return Err(RestError::Status(answer.status()));
        }
        let body = Limited::new(answer.into_body(), LONGEST).collect().await;
        body.map(Collected::to_bytes).map_err(|error| RestError::Body(error.to_string()))
    }
}

/// `patroni1:8008`, `[::1]:8008`.
impl fmt::Display for RestHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_members() {
        let table = [
            ("http://127.0.0.1:8008/patroni", Some("127.0.0.1:8008")),
            ("http://[::1]:8008/patroni", Some("[::1]:8008")),
            ("http://[::1]/patroni", Some("[::1]:80")),
            ("http://p1", Some("p1:80")),
            ("https://p1:8008/patroni", None),
            ("http://p1:x/", None),
            ("http:///", None),
            ("", None),
        ];
        for (url, expected) in table {
            assert_eq!(RestHost::in_url(url).map(|host| host.to_string()).as_deref(), expected, "{url}");
        }
    }
}
