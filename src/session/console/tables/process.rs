//! The process: what it is, what it holds, whom it knows.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::inventory::{databases, pools};
use super::{Proxy, Row, Table, int4, int8, present, row, text};
use crate::config::Host;
use crate::session::gate::Passage;

pub(super) const VERSION: Table = Table {
    name: "VERSION",
    columns: &[text("version")],
    rows: |_| vec![row![OURS]],
    meaning: "the version of Tidegate",
};

const OURS: &str = concat!("Tidegate ", env!("CARGO_PKG_VERSION"));

/// For those who have asked for the console by PgBouncer's name: tools take the first number for PgBouncer's version, so
/// that comes first whose tables these are like.
pub(super) fn version_for_pgbouncers_tools() -> Row {
    row![format!("PgBouncer 1.18.0 ({OURS})")]
}

pub(super) const LISTS: Table = Table {
    name: "LISTS",
    columns: &[text("list"), int4("items")],
    rows: lists,
    meaning: "how many there are of what",
};

pub(super) const MEM: Table = Table {
    name: "MEM",
    columns: &[text("name"), int4("size"), int4("used"), int4("free"), int4("memtotal")],
    rows: memory,
    meaning: "bytes that are kept of statements, marks and catalogs, about",
};

pub(super) const STATE: Table = Table {
    name: "STATE",
    columns: &[text("key"), text("value")],
    rows: state,
    meaning: "whether statements pass, and new clients are welcome",
};

pub(super) const PEERS: Table = Table {
    name: "PEERS",
    columns: &[int4("peer_id"), text("host"), int4("port"), int4("pool_size")],
    rows: |proxy| {
        let row = |peer: crate::config::PeerSettings| {
            row![peer.id.number(), peer.host.to_string(), peer.port, crate::session::peers::AT_ONCE]
        };
        proxy.peers.all().into_iter().map(row).collect()
    },
    meaning: "other instances, to which cancel requests are passed on",
};

pub(super) const DNS_HOSTS: Table = Table {
    name: "DNS_HOSTS",
    columns: &[text("hostname"), int8("ttl"), text("addrs")],
    rows: hosts,
    meaning: "names of servers, and the addresses they led to",
};

pub(super) const DNS_ZONES: Table = Table {
    name: "DNS_ZONES",
    columns: &[text("zonename"), int8("serial"), int4("count")],
    rows: |_| Vec::new(),
    meaning: "empty: zones are the resolver's affair",
};

fn lists(proxy: &Proxy) -> Vec<Row> {
    let all = databases(proxy);
    let users: std::collections::BTreeSet<String> =
        all.iter().flat_map(|database| database.all_users()).map(|user| user.name.clone()).collect();
    let pools: Vec<_> = all.iter().flat_map(|database| pools(database)).collect();
    let servers: usize = pools.iter().map(|share| share.pool.counts().0).sum();
    vec![
        row!["databases", all.len()],
        row!["users", users.len()],
        row!["pools", pools.len()],
        row!["free_clients", 0_u32],
        row!["used_clients", present(proxy).len()],
        row!["login_clients", proxy.admission.unproven()],
        row!["free_servers", 0_u32],
        row!["used_servers", servers],
        row!["dns_names", hosts(proxy).len()],
        row!["dns_zones", 0_u32],
        row!["dns_queries", 0_u32],
        row!["dns_pending", 0_u32],
        row!["nodes", all.iter().map(|database| database.cluster.nodes().len()).sum::<usize>()],
        row!["pins", proxy.pins.all().len()],
        row!["peers", proxy.peers.all().len()],
    ]
}

/// Of how many there are, and the bytes of them all.
fn memory(proxy: &Proxy) -> Vec<Row> {
    let all = databases(proxy);
    let catalogs: Vec<_> = all.iter().map(|database| database.cluster.catalog.figures()).collect();
    let marks: usize = all.iter().map(|database| database.cluster.marks.bytes()).sum();
    let (objects, bytes) = (
        catalogs.iter().map(|catalog| catalog.objects).sum(),
        catalogs.iter().map(|catalog| catalog.bytes).sum(),
    );
    let row = |name: &'static str, (used, bytes): (usize, usize)| {
        row![name, bytes.checked_div(used).unwrap_or(0), used, 0_u32, bytes]
    };
    vec![
        row("shape_cache", proxy.known_shapes()),
        row("statement_cache", proxy.known_texts()),
        row("marks", (all.len(), marks)),
        row("catalog", (objects, bytes)),
    ]
}

fn state(proxy: &Proxy) -> Vec<Row> {
    let all = databases(proxy);
    let is_paused = !all.is_empty() && all.iter().all(|database| database.gate.passage() != Passage::Open);
    let word = |is_so| if is_so { "yes" } else { "no" };
    vec![
        row!["active", word(!is_paused)],
        row!["paused", word(is_paused)],
        row!["suspended", "no"],
        row!["accepting", word(proxy.door.is_open())],
        row!["upgrading", word(proxy.door.is_shared())],
    ]
}

/// Names that were looked up ahead, with what they led to.
fn hosts(proxy: &Proxy) -> Vec<Row> {
    let mut names: BTreeMap<String, (Option<u64>, Vec<IpAddr>)> = BTreeMap::new();
    for database in databases(proxy) {
        let interval = database.settings.topology.dns_interval.map(|interval| interval.as_secs());
        for node in database.cluster.nodes().iter() {
            let (Host::Tcp(name), Some(address)) = (&node.settings.host, node.settings.address) else {
                continue;
            };
            let (ttl, addresses) = names.entry(name.clone()).or_default();
            *ttl = interval.or(*ttl);
            if !addresses.contains(&address.ip()) {
                addresses.push(address.ip());
            }
        }
    }
    let row = |(name, (ttl, mut addresses)): (String, (Option<u64>, Vec<IpAddr>))| {
        addresses.sort_unstable();
        let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        row![name, ttl, addresses.join(",")]
    };
    names.into_iter().map(row).collect()
}
