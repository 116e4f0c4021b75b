//! Sockets and files, as far as they are known.

use super::clients::{BOTH, Doing, clients, ends, servers};
use super::{Cell, Column, Proxy, Row, Table, bytea, int4, int8, joined, row, text};

/// What PgBouncer has in its buffers. Here nobody counts that, so they are empty.
const BUFFERS: [Column; 7] = [
    int4("recv_pos"),
    int4("pkt_pos"),
    int4("pkt_remain"),
    int4("send_pos"),
    int4("send_remain"),
    int4("pkt_avail"),
    int4("send_avail"),
];
const COLUMNS: [Column; 25] = joined(BOTH, BUFFERS);

pub(super) const SOCKETS: Table = Table {
    name: "SOCKETS",
    columns: &COLUMNS,
    rows: |proxy| sockets(proxy, false),
    meaning: "clients and server connections in one",
};

pub(super) const ACTIVE_SOCKETS: Table = Table {
    name: "ACTIVE_SOCKETS",
    columns: &COLUMNS,
    rows: |proxy| sockets(proxy, true),
    meaning: "those of them that work or wait",
};

pub(super) const FDS: Table = Table {
    name: "FDS",
    columns: &[
        int4("fd"),
        text("task"),
        text("user"),
        text("database"),
        text("addr"),
        int4("port"),
        int8("cancel"),
        int4("link"),
        text("client_encoding"),
        text("std_strings"),
        text("datestyle"),
        text("timezone"),
        text("password"),
        bytea("scram_client_key"),
        bytea("scram_server_key"),
    ],
    rows: files,
    meaning: "open files of clients and server connections",
};

fn sockets(proxy: &Proxy, active: bool) -> Vec<Row> {
    const STATE: usize = 3;
    let clients = clients(proxy).into_iter().filter(|client| !active || client.doing() != Doing::Idle);
    let servers = servers(proxy).into_iter().filter(|server| !active || server.is_active());
    let clients = clients.map(|client| ("cl_", client.both()));
    let all = clients.chain(servers.map(|server| ("sv_", server.both())));
    all.map(|(prefix, mut row)| {
        if let Cell::Text(state) = &row[STATE] {
            row[STATE] = format!("{prefix}{state}").into();
        }
        row.extend(BUFFERS.map(|_| Cell::Null));
        row
    })
    .collect()
}

/// Keys and passwords are nobody's business, and what a session has set is known to the session only.
fn files(proxy: &Proxy) -> Vec<Row> {
    const UNSAID: usize = 7;
    let mut rows = Vec::new();
    for client in clients(proxy) {
        let Some(entry) = client.entry() else { continue };
        let (user, database) = entry.names();
        let [address, port, ..] = ends(entry.ends.as_ref());
        let link = client.server().and_then(|key| key.file);
        let (user, database) = (user.to_owned(), database.to_owned());
        rows.push(row![entry.file, "client", user, database, address, port, Cell::Null, link]);
    }
    for server in servers(proxy) {
        let [address, port, ..] = ends(server.key.ends.as_ref());
        let link = server.file_of_client();
        rows.push(row![
            server.key.file,
            "server",
            server.user.clone(),
            server.database.clone(),
            address,
            port,
            Cell::Null,
            link
        ]);
    }
    rows.into_iter().map(|row| [row, vec![Cell::Null; UNSAID]].concat()).collect()
}
