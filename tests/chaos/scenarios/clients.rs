//! Clients vanish, and the network between them and the proxy is cut.

use std::time::{Duration, Instant};

use super::{UNNOTICED, full, short};
use crate::link::{Entry, Flow};
use crate::progress::KINDS;
use crate::rig::Rig;
use crate::scene::{Errors, Scenario, Scene};
use crate::stage::Stage;
use crate::support::raw::{Raw, V3_0, bind, execute, flush, parse, query, startup, sync, tagged};

/// Whoever is connected is hung up on.
const ONCE: [Errors; 3] = [Errors::One; 3];

pub fn scenarios() -> [Scenario; 3] {
    [
        short("clients-vanish", "other clients vanish in every state of the protocol", UNNOTICED, vanish),
        full("clients-reset", "all connections of clients are reset, and new ones refused", ONCE, reset),
        full("clients-silent", "all clients fall silent, and are reset", ONCE, silent),
    ]
}

/// How far a client comes before it vanishes.
struct Point {
    /// Sent and answered.
    before: &'static [&'static str],
    /// Sent at the last.
    last: fn() -> Vec<u8>,
    /// What it waits for then.
    until: &'static [u8],
}

const WRITE: &str = "insert into scratch values (1)";
const ENDLESS: &str = "select repeat('x', 1000), generate_series(1, 100000000)";
const LONG: &str = "select pg_sleep(60)";

const POINTS: [Point; 14] = [
    Point { before: &[], last: Vec::new, until: b"" },
    // A part of a message.
    Point { before: &[], last: || query(WRITE)[..9].to_vec(), until: b"" },
    Point { before: &[], last: || parse("", WRITE), until: b"" },
    Point { before: &[], last: || [parse("s", WRITE), flush()].concat(), until: b"1" },
    Point { before: &[], last: || [parse("", WRITE), bind("", "", &[]), flush()].concat(), until: b"2" },
    Point {
        before: &[],
        last: || [parse("", WRITE), bind("", "", &[]), execute(""), flush()].concat(),
        until: b"C",
    },
    Point { before: &["begin", WRITE], last: Vec::new, until: b"" },
    Point { before: &["begin", WRITE], last: || query("selec"), until: b"Z" },
    Point { before: &["begin", "declare c cursor for select 1", "listen x"], last: Vec::new, until: b"" },
    Point { before: &["select pg_advisory_lock(4711)"], last: Vec::new, until: b"" },
    Point { before: &["begin"], last: || query("copy scratch from stdin"), until: b"G" },
    Point { before: &[], last: || query("copy scratch from stdin"), until: b"G" },
    Point { before: &[], last: || query(ENDLESS), until: b"D" },
    Point {
        before: &[],
        last: || [parse("", LONG), bind("", "", &[]), execute(""), sync()].concat(),
        until: b"",
    },
];

fn vanish(scene: &Scene<'_>, rig: &Rig) {
    let node = rig.node(rig.reigning());
    node.psql("create table if not exists scratch (n int); alter table scratch owner to app").unwrap();
    scene.fault(|| ());
    let begun = Instant::now();
    let mut rounds = 0;
    while begun.elapsed() < scene.length() || rounds == 0 {
        for point in &POINTS {
            for resets in [false, true] {
                vanish_at(rig, point, resets);
            }
        }
        log_in_partly(rig);
        rounds += 1;
    }
    scene.go_on(&KINDS);
    // Flushed and not synced, half sent, not committed: none of it was done.
    scene.expect("nobody works for those who have gone", || {
        let left = "select (select count(*) from pg_locks where locktype = 'advisory' and objid = 4711)
            + (select count(*) from pg_stat_activity where usename = 'app' and query like '%pg_sleep%' and state = 'active')";
        node.psql(left).unwrap().trim() == "0"
    });
    let rows = node.psql("select count(*) from scratch").unwrap();
    if rows.trim() != "0" {
        scene.complain(format!("{} rows that nobody has committed are there", rows.trim()));
    }
}

fn vanish_at(rig: &Rig, point: &Point, resets: bool) {
    let mut raw = Raw::app(rig.proxy().address());
    for sql in point.before {
        raw.ok(sql);
    }
    raw.send(&(point.last)());
    if !point.until.is_empty() {
        raw.until(point.until);
    }
    if resets {
        socket2::SockRef::from(raw.socket()).set_linger(Some(Duration::ZERO)).unwrap();
    }
}

/// Clients that vanish before they are in.
fn log_in_partly(rig: &Rig) {
    let packet = startup(V3_0, &[("user", "app"), ("database", "app")]);
    let first = tagged(b'p', b"SCRAM-SHA-256\0\0\0\0\x10n,,n=,r=0123456789");
    for sent in [&[][..], &packet[..3], &packet[..packet.len() - 1], &packet, &[&packet[..], &first].concat()]
    {
        let mut raw = Raw::silent(rig.proxy().address());
        raw.send(sent);
    }
}

fn reset(scene: &Scene<'_>, rig: &Rig) {
    scene.fault(|| {
        rig.front.entry(Entry::Reset);
        rig.front.reset();
    });
    scene.hold();
    rig.front.heal();
    scene.return_after(Instant::now(), &KINDS);
}

fn silent(scene: &Scene<'_>, rig: &Rig) {
    scene.fault(|| rig.front.flow(Flow::Silent, Flow::Silent));
    scene.hold();
    rig.front.reset();
    rig.front.heal();
    scene.return_after(Instant::now(), &KINDS);
}
