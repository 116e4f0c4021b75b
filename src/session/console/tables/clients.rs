//! Who is connected: clients, and the server connections that work for them.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::inventory::{databases, node_of, pools};
use super::{Cell, Column, Row, Table, int4, joined, moment, present, row, seconds, text};
use crate::net::Ends;
use crate::pool::Pool;
use crate::server::ServerKey;
use crate::session::cancel::Slot;
use crate::session::proxy::Proxy;
use crate::session::replication::Kind;
use crate::session::roster::{Entry, Who};

/// What PgBouncer shows of clients and servers alike.
pub(super) const BOTH: [Column; 18] = [
    text("type"),
    text("user"),
    text("database"),
    text("state"),
    text("addr"),
    int4("port"),
    text("local_addr"),
    int4("local_port"),
    text("connect_time"),
    text("request_time"),
    int4("wait"),
    int4("wait_us"),
    int4("close_needed"),
    text("ptr"),
    text("link"),
    int4("remote_pid"),
    text("tls"),
    text("application_name"),
];

const OWN_OF_CLIENTS: [Column; 4] = [text("replication"), int4("id"), text("node"), int4("server_pid")];
const OWN_OF_SERVERS: [Column; 1] = [text("node")];

pub(super) const CLIENTS: Table = Table {
    name: "CLIENTS",
    columns: &joined::<18, 4, 22>(BOTH, OWN_OF_CLIENTS),
    rows: |proxy| clients(proxy).iter().map(PresentClient::row).collect(),
    meaning: "clients, and the server connection that works for each",
};

pub(super) const SERVERS: Table = Table {
    name: "SERVERS",
    columns: &joined::<18, 1, 19>(BOTH, OWN_OF_SERVERS),
    rows: |proxy| servers(proxy).iter().map(OpenServer::row).collect(),
    meaning: "server connections, and the client that each works for",
};

/// What somebody does at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doing {
    Active,
    Waiting,
    Idle,
}

impl Doing {
    fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Waiting => "waiting",
            Self::Idle => "idle",
        }
    }
}

/// Somebody who is logged in.
pub(super) struct PresentClient {
    id: u32,
    slot: Arc<Slot>,
    link: Option<(Arc<Pool>, Arc<ServerKey>)>,
}

/// All who are, by their numbers.
pub(super) fn clients(proxy: &Proxy) -> Vec<PresentClient> {
    let client = |(id, slot): (u32, Arc<Slot>)| PresentClient { id, link: slot.link(), slot };
    present(proxy).into_iter().map(client).collect()
}

impl PresentClient {
    pub(super) fn entry(&self) -> Option<&Entry> {
        self.slot.entry()
    }

    pub(super) fn doing(&self) -> Doing {
        match &self.link {
            Some(_) => Doing::Active,
            None if self.slot.waited().is_some() => Doing::Waiting,
            None => Doing::Idle,
        }
    }

    /// The server connection that works for it.
    pub(super) fn server(&self) -> Option<&ServerKey> {
        self.link.as_ref().map(|(_, key)| &**key)
    }

    /// What both kinds of tables show of it.
    pub(super) fn both(&self) -> Row {
        let Some(entry) = self.entry() else { return vec![Cell::Null; BOTH.len()] };
        let (user, database) = entry.names();
        let asked = self.slot.asked().and_then(|ago| SystemTime::now().checked_sub(ago));
        let [wait, wait_us] = seconds(self.slot.waited().unwrap_or_default());
        let [address, port, local, local_port] = ends(entry.ends.as_ref());
        row![
            if entry.replication.is_some() { "R" } else { "C" },
            user.to_owned(),
            database.to_owned(),
            self.doing().word(),
            address,
            port,
            local,
            local_port,
            moment(entry.since),
            moment(asked.unwrap_or(entry.since)),
            wait,
            wait_us,
            false,
            client_ptr(self.id),
            self.server().map(server_ptr).unwrap_or_default(),
            entry.process.unwrap_or(0),
            entry.tls.as_deref().unwrap_or_default().to_owned(),
            entry.application.to_string(),
        ]
    }

    fn row(&self) -> Row {
        let entry = self.entry();
        let node = match (entry.map(|entry| &entry.who), &self.link) {
            (Some(Who::Client(database, user)), Some((pool, _))) => node_of(database, user, pool),
            _ => String::new(),
        };
        let replication = match entry.and_then(|entry| entry.replication) {
            None => "none",
            Some(Kind::Logical) => "logical",
            Some(Kind::Physical) => "physical",
        };
        let mut row = self.both();
        row.extend(row![replication, self.id, node, self.server().map(|key| key.pid)]);
        row
    }
}

/// A server connection.
pub(super) struct OpenServer {
    pub(super) user: String,
    pub(super) database: String,
    pub(super) key: Arc<ServerKey>,
    node: String,
    pool: Arc<Pool>,
    client: Option<ServedClient>,
}

/// The client that a server connection works for.
struct ServedClient {
    id: u32,
    file: Option<u32>,
    application: String,
    asked: Option<Duration>,
    is_cancelled: bool,
}

/// Those that work for a client, then those that are idle.
pub(super) fn servers(proxy: &Proxy) -> Vec<OpenServer> {
    let mut all: Vec<OpenServer> = clients(proxy).iter().filter_map(at_work).collect();
    for database in databases(proxy) {
        for share in pools(&database) {
            all.extend(share.pool.idle().into_iter().map(|key| OpenServer {
                user: share.user.name.clone(),
                database: database.settings.name.clone(),
                key,
                node: share.node.name.clone(),
                pool: Arc::clone(&share.pool),
                client: None,
            }));
        }
    }
    all
}

fn at_work(client: &PresentClient) -> Option<OpenServer> {
    let (pool, key) = client.link.clone()?;
    let entry = client.entry()?;
    let Who::Client(database, user) = &entry.who else { return None };
    Some(OpenServer {
        user: user.name.clone(),
        database: database.settings.name.clone(),
        node: node_of(database, user, &pool),
        key,
        pool,
        client: Some(ServedClient {
            id: client.id,
            file: entry.file,
            application: entry.application.to_string(),
            asked: client.slot.asked(),
            is_cancelled: client.slot.is_cancelling(),
        }),
    })
}

impl OpenServer {
    /// Whether it works for a client.
    pub(super) fn is_active(&self) -> bool {
        self.client.is_some()
    }

    /// The file of the client that it works for.
    pub(super) fn file_of_client(&self) -> Option<u32> {
        self.client.as_ref()?.file
    }

    /// What both kinds of tables show of it.
    pub(super) fn both(&self) -> Row {
        let key = &self.key;
        let asked = self.client.as_ref().and_then(|client| client.asked);
        let asked = asked.and_then(|ago| SystemTime::now().checked_sub(ago));
        let state = match &self.client {
            None => "idle",
            Some(client) if client.is_cancelled => "being_canceled",
            Some(_) => "active",
        };
        let [address, port, local, local_port] = ends(key.ends.as_ref());
        row![
            "S",
            self.user.clone(),
            self.database.clone(),
            state,
            address,
            port,
            local,
            local_port,
            moment(key.since),
            // A client may have asked before there was this connection to work for it.
            moment(asked.map_or(key.since, |asked| asked.max(key.since))),
            0_u32,
            0_u32,
            self.pool.is_outdated(key),
            server_ptr(key),
            self.client.as_ref().map(|client| client_ptr(client.id)).unwrap_or_default(),
            key.pid,
            key.tls.as_deref().unwrap_or_default().to_owned(),
            self.client.as_ref().map(|client| client.application.clone()).unwrap_or_default(),
        ]
    }

    fn row(&self) -> Row {
        let mut row = self.both();
        row.push(self.node.clone().into());
        row
    }
}

/// The two ends of a connection: addresses and ports.
pub(super) fn ends(ends: Option<&Ends>) -> [Cell; 4] {
    let address = |ip: IpAddr| Cell::from(ip.to_string());
    match ends {
        Some(ends) => {
            [address(ends.peer), ends.peer_port.into(), address(ends.local), ends.local_port.into()]
        }
        // As PgBouncer calls it.
        None => ["unix".into(), 0_u32.into(), "unix".into(), 0_u32.into()],
    }
}

/// What tells a client from everything else that is connected.
fn client_ptr(id: u32) -> String {
    format!("c{id}")
}

/// The same of a server connection: the number of its file.
fn server_ptr(key: &ServerKey) -> String {
    key.file.map(|file| format!("s{file}")).unwrap_or_default()
}
