//! Whether a client was told what a server of its own would have told it.

use std::collections::BTreeMap;

use bytes::BytesMut;

use super::script::{Leaves, Script};
use super::server::Server;
use crate::wire::{Backend, ErrorFields, backend_message, body, parameter_status};

/// What a client was told, in the order in which it matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// As it came.
    Message(Backend, Vec<u8>),
    /// Severity and SQLSTATE: the words may be the proxy's.
    Error(String, String),
    /// The server is ready, in this state, and the reported settings are these.
    Ready(Vec<u8>, BTreeMap<String, String>),
}

/// Reads what a server tells.
#[derive(Debug, Default)]
pub(super) struct Ear {
    inbox: BytesMut,
    settings: BTreeMap<String, String>,
    pub(super) told: Vec<Told>,
    /// What it was told is no message.
    pub(super) is_deaf: bool,
}

impl Ear {
    pub(super) fn hear(&mut self, bytes: &[u8]) {
        self.inbox.extend_from_slice(bytes);
        while !self.is_deaf {
            match backend_message(&self.inbox) {
                Ok(Some(header)) if header.len <= self.inbox.len() => {
                    let message = self.inbox.split_to(header.len);
                    self.message(header.kind, body(&message, header.len));
                }
                Ok(_) => return,
                Err(_) => self.is_deaf = true,
            }
        }
    }

    fn message(&mut self, kind: Backend, body: &[u8]) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match kind {
            Backend::ParameterStatus => {
                if let Ok((name, value)) = parameter_status(body) {
                    self.settings.insert(text(name), text(value));
                }
            }
            // What else there is to say, and the key to cancel, is between the proxy and its client.
            Backend::NoticeResponse | Backend::BackendKeyData => {}
            Backend::ErrorResponse => {
                let fields = ErrorFields::read(body);
                self.told.push(Told::Error(text(fields.severity), text(fields.code)));
            }
            Backend::ReadyForQuery => self.told.push(Told::Ready(body.to_vec(), self.settings.clone())),
            kind => self.told.push(Told::Message(kind, body.to_vec())),
        }
    }
}

/// What a client is to be told.
#[allow(clippy::struct_excessive_bools, reason = "independent facts of what it says")]
#[derive(Debug)]
pub(super) struct Expected {
    pub(super) told: Vec<Told>,
    /// How much of it comes in any case, if the client has said something that is no message.
    pub(super) certain: usize,
    /// The same, if the proxy has looked at what a server skips.
    in_doubt: Option<usize>,
    /// It has said good-bye, or something that is no message: its session is over by itself.
    pub(super) ends: bool,
    is_malformed: bool,
    /// There may be a READ ONLY transaction.
    has_read_only: bool,
}

impl Expected {
    /// What a server of its own tells it.
    pub(super) fn of(script: &Script) -> Self {
        let mut server = Server::new(&script.startup, None);
        let (mut out, mut ear, mut inbox) = (BytesMut::new(), Ear::default(), script.sends.clone());
        server.greet(&crate::wire::CancelKey { pid: 0, secret: vec![0; 4] }, &mut out);
        server.feed(&mut inbox, &mut out);
        ear.hear(&out);
        let until_ready = |told: &[Told]| {
            told.iter().rposition(|told| matches!(told, Told::Ready(..))).map_or(0, |at| at + 1)
        };
        let in_doubt = server.doubt.map(|bytes| {
            let mut before = Ear::default();
            before.hear(&out[..bytes]);
            until_ready(&before.told)
        });
        // A good-bye behind half of a message is none.
        let in_doubt = in_doubt.or((!inbox.is_empty()).then(|| until_ready(&ear.told)));
        // What a message that never ends keeps from being sent on is not waited for either.
        let is_open = server.malformed || server.is_unsynced() || !inbox.is_empty();
        let certain = if is_open { until_ready(&ear.told) } else { ear.told.len() };
        let (ends, is_malformed) = (server.over, server.malformed);
        // Behind half of a message, the good-bye may be the other half.
        if !inbox.is_empty() && script.leaves == Leaves::InOrder {
            inbox.extend_from_slice(&Script::goodbye());
            out.clear();
            server.feed(&mut inbox, &mut out);
            ear.hear(&out);
        }
        let has_read_only = script.sends.windows(9).any(|part| part == b"read only");
        Self { has_read_only, told: ear.told, certain, in_doubt, ends, is_malformed }
    }

    /// What is wrong with what it was told, if anything is.
    pub(super) fn objection(&self, script: &Script, heard: &Ear) -> Option<String> {
        if heard.is_deaf {
            return Some("it was told something that is no message".to_owned());
        }
        let mut told = &heard.told[..];
        let (mut certain, mut last) = (self.certain, None);
        if let Some(Told::Error(severity, code)) = told.last()
            && severity == "FATAL"
        {
            last = Some(code.as_str());
        }
        // In docs/limits.md: what needs the primary, in a READ ONLY transaction on a replica, in a segment that ends with Flush;
        // and messages that are too long for the proxy.
        let is_limit = matches!(last, Some("25006" | "54000"));
        let is_doubtful = last == Some("08P01") && self.in_doubt.is_some();
        if is_limit {
            certain = 0;
        } else if let Some(in_doubt) = self.in_doubt.filter(|_| is_doubtful) {
            certain = certain.min(in_doubt);
        }
        if self.is_malformed && last.is_some() || is_limit || is_doubtful {
            told = &told[..told.len() - 1];
        }
        let same =
            told.iter().zip(&self.told).take_while(|(told, expected)| are_alike(told, expected)).count();
        // In docs/limits.md: what needs the primary, in a READ ONLY transaction on a replica; what a failed transaction keeps
        // from being described; and a portal's name after a pipeline has moved. From here on both differ.
        let describes = matches!(self.told.get(same), Some(Told::Message(Backend::ParameterDescription, _)));
        let is_limited = match told.get(same) {
            Some(Told::Error(_, code)) => {
                code == "25006" && self.has_read_only || code == "25P02" && describes
            }
            Some(Told::Message(Backend::BindComplete, _)) => {
                matches!(self.told.get(same), Some(Told::Error(_, code)) if code == "42P03")
            }
            _ => false,
        };
        if is_limited {
            return None;
        }
        if same < told.len() {
            return Some(format!(
                "answer {same} is {:?}\nand should be {:?}\nafter {:?}",
                told.get(same),
                self.told.get(same),
                &told[same.saturating_sub(3)..same]
            ));
        }
        if script.leaves == Leaves::InOrder && same < certain {
            return Some(format!("it still waits for answer {same}: {:?}", self.told.get(same)));
        }
        None
    }
}

/// In docs/limits.md: a statement that is no SQL, or a SAVEPOINT in a failed transaction, under a name that is given; and a Bind
/// that cannot be read, in a failed transaction. PostgreSQL finds the one fault first, the proxy the other.
fn are_alike(told: &Told, expected: &Told) -> bool {
    let code = |told: &Told| match told {
        Told::Error(_, code) => code.clone(),
        _ => String::new(),
    };
    let both = (&*code(told), &*code(expected));
    told == expected || matches!(both, ("42P05", "42601" | "25P02") | ("25P02", "08P01"))
}

/// What of `others` is in the bytes a client was told.
pub(super) fn foreign<'a>(raw: &[u8], others: impl Iterator<Item = &'a str>) -> Option<String> {
    let has = |tag: &&str| raw.windows(tag.len()).any(|part| part == tag.as_bytes());
    let mut others = others;
    others.find(has).map(|tag| format!("it was told something of {tag}"))
}
