//! The line to the proxy: its documents, as they come.

use std::io::{self, BufRead};
use std::net::SocketAddr;
use std::sync::mpsc::SyncSender;
use std::thread;
use std::time::Duration;

use crate::admin::status::Status;
use crate::cli::remote;
use crate::config::Secret;

/// Pause before a proxy that has been lost is asked again.
const AGAIN: Duration = Duration::from_secs(1);

/// What is heard of the proxy.
#[derive(Debug)]
pub(super) enum News {
    /// Its state.
    Document(Box<Status>),
    /// It says nothing any more; it is asked again.
    Lost(String),
    /// It says no, and will not change its mind.
    Refused(String),
    /// A signal has come: not of the proxy, but no less news.
    Interrupted,
}

/// Where the proxy is, and what it is shown.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) admin: SocketAddr,
    pub(super) token: Option<Secret>,
}

impl Line {
    /// Reads documents for as long as `more` says so, or the proxy sends some.
    pub(super) fn read(&self, mut more: impl FnMut(Status) -> bool) -> io::Result<()> {
        let body = remote::open(self.admin, self.token.as_ref(), "GET", "/events")?;
        for line in body.lines() {
            if let Some(document) = line?.strip_prefix("data: ")
                && !more(understood(document)?)
            {
                return Ok(());
            }
        }
        Ok(())
    }

    /// The first document.
    pub(super) fn first(&self) -> io::Result<Status> {
        let mut first = None;
        self.read(|status| {
            first = Some(status);
            false
        })?;
        first.ok_or_else(|| io::Error::new(io::ErrorKind::UnexpectedEof, "it has sent nothing"))
    }

    /// Reads documents in a thread of its own, again and again, until nobody wants them any more.
    pub(super) fn follow(self, news: SyncSender<News>) -> Result<(), String> {
        let follow = move || {
            loop {
                let ended = self.read(|status| news.send(News::Document(Box::new(status))).is_ok());
                let told = match ended {
                    Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                        news.send(News::Refused(self.complaint(&error)))
                    }
                    Err(error) => news.send(News::Lost(error.to_string())),
                    Ok(()) => news.send(News::Lost("it has ended the connection".to_owned())),
                };
                if told.is_err() {
                    return;
                }
                thread::park_timeout(AGAIN);
            }
        };
        let named = thread::Builder::new().name("line".to_owned());
        named.spawn(follow).map(drop).map_err(|error| format!("cannot start a thread: {error}"))
    }

    /// What to tell whoever has asked.
    pub(super) fn complaint(&self, error: &io::Error) -> String {
        remote::complaint(self.admin, error)
    }
}

fn understood(document: &str) -> io::Result<Status> {
    let invalid = |text: String| io::Error::new(io::ErrorKind::InvalidData, text);
    let status: Status = serde_json::from_str(document).map_err(|error| {
        invalid(format!("its document is not understood ({error}); take the tidegate of its version"))
    })?;
    if status.format == Status::FORMAT {
        return Ok(status);
    }
    Err(invalid(format!(
        "its document has the format {}, and this program knows {}; take the tidegate of its version",
        status.format,
        Status::FORMAT
    )))
}
