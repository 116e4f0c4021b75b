//! One side that is slow stops the other: the proxy holds little meanwhile, and serves everybody else.

use std::io::{ErrorKind, Write};
use std::time::{Duration, Instant};

use tidegate::local::LocalNode;

use super::large::memory;
use super::support::proxy::RunningProxy;
use super::support::raw::{Raw, bind, close, describe, execute, flush, parse, query, sync, tagged};
use super::{proxy, schema, shared, support, wait_both};

const PRIMARY: &str = "/* tidegate: intent=primary */";
/// What the proxy may hold for a peer that has stopped, in KiB: a few buffers, and what the allocator makes of them.
const HELD: u64 = 1024;
/// What it may hold of a pipeline that nothing ends, in KiB: 256 are listed and passed on at a time.
const HELD_OPEN: u64 = 4 * 1024;
/// Nothing moves any more when nothing has moved for so long.
const STILL: Duration = Duration::from_millis(500);
/// Bytes that the system may hold between a client that has stopped and a server, both ways.
const IN_SOCKETS: usize = 64 << 20;
const MIB: usize = 1 << 20;

/// A client among many, who has nothing to do with the slow one.
struct Neighbour {
    raw: Raw,
    usual: Duration,
}

impl Neighbour {
    fn of(proxy: &RunningProxy) -> Self {
        wait_both(proxy);
        let mut neighbour = Self { raw: Raw::app(proxy.address()), usual: Duration::ZERO };
        neighbour.median();
        neighbour.usual = neighbour.median();
        neighbour
    }

    /// Time of one select in the middle of 200: what else the machine does spoils some, not most of them.
    fn median(&mut self) -> Duration {
        let mut times: Vec<_> = ["", PRIMARY]
            .repeat(100)
            .into_iter()
            .map(|hint| {
                let begun = Instant::now();
                self.raw.ok(&format!("select 1 {hint}"));
                begun.elapsed()
            })
            .collect();
        times.sort();
        times[times.len() / 2]
    }

    /// Fails if service is much slower than it was.
    fn is_served_as_usual(&mut self, meanwhile: &str) {
        let time = self.median();
        println!("{meanwhile}: a select takes {time:?}, usually {:?}", self.usual);
        let bound = self.usual * 5 + Duration::from_millis(10);
        assert!(time < bound, "{meanwhile}: {time:?}, usually {:?}", self.usual);
    }
}

/// Waits until the proxy does next to nothing. One that spins never rests, however busy the machine is.
fn wait_rests(proxy: &RunningProxy, meanwhile: &str) {
    const WINDOW: Duration = Duration::from_millis(200);
    support::wait_until(&format!("the proxy rests while {meanwhile}"), || {
        let before = cpu(proxy);
        std::thread::sleep(WINDOW);
        cpu(proxy).saturating_sub(before) < WINDOW / 10
    });
}

/// CPU time of all threads.
fn cpu(proxy: &RunningProxy) -> Duration {
    let threads = std::fs::read_dir(format!("/proc/{}/task", proxy.pid())).unwrap();
    let of = |thread: std::fs::DirEntry| {
        let text = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    };
    Duration::from_nanos(threads.filter_map(|thread| of(thread.unwrap())).sum())
}

/// Fails if the proxy holds more than `most` KiB above `before`.
fn held(proxy: &RunningProxy, before: u64, most: u64, what: &str) {
    let grown = memory(proxy, "VmRSS").saturating_sub(before);
    println!("{what}: {grown} KiB above {before} KiB");
    assert!(grown < most, "{what}: {grown} KiB");
}

/// Sends `message` again and again until nobody takes any more, or `most` bytes are sent; returns how many were.
fn stuff(raw: &Raw, message: &[u8], most: usize) -> usize {
    let mut socket = raw.socket();
    socket.set_write_timeout(Some(STILL)).unwrap();
    let mut sent = 0;
    while sent < most {
        let rest = &message[sent % message.len()..];
        match socket.write(&rest[..rest.len().min(most - sent)]) {
            Ok(some) => sent += some,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => break,
            Err(error) => panic!("after {sent} bytes: {error}"),
        }
    }
    socket.set_write_timeout(Some(support::PATIENCE)).unwrap();
    sent
}

/// Waits until the statement with this comment waits for `event`, wherever it runs, and the proxy with it.
fn wait_stands(proxy: &RunningProxy, comment: &str, event: &str) {
    let sql = format!(
        "select count(*) from pg_stat_activity where query like '%{comment}%' and pid <> pg_backend_pid() \
         and state = 'active' and wait_event = '{event}'"
    );
    let waits = |node: &LocalNode| node.psql(&sql).unwrap().trim() == "1";
    support::wait_until("a server waits", || {
        let cluster = shared();
        cluster.replicas().iter().chain([cluster.primary()]).any(waits)
    });
    wait_rests(proxy, "a server waits");
}

fn comment() -> String {
    format!("slow_{:08x}", rand::random::<u32>())
}

#[test]
fn a_client_that_stops_reading_is_waited_for() {
    const ROWS: usize = 1_100;
    let proxy = proxy("tidegate_client_auth=trust");
    let mut neighbour = Neighbour::of(&proxy);
    for hint in ["", PRIMARY] {
        let comment = comment();
        let rows = |rows| {
            query(&format!("select repeat('x', {MIB}) from generate_series(1, {rows}) /*{comment}*/ {hint}"))
        };
        let mut slow = Raw::app(proxy.address());
        slow.send(&rows(5));
        slow.answer().ok();
        let before = memory(&proxy, "VmRSS");
        slow.send(&rows(ROWS));
        assert_eq!(slow.read().tag, b'T');
        for _ in 0..3 {
            assert_eq!(slow.read().cells()[0].as_ref().unwrap().len(), MIB);
        }
        wait_stands(&proxy, &comment, "ClientWrite");
        held(&proxy, before, HELD, "a client has stopped reading");
        neighbour.is_served_as_usual("a client has stopped reading");
        held(&proxy, before, HELD, "a client has stopped reading for longer");
        for row in 3..ROWS {
            let (tag, len) = slow.head().unwrap();
            assert_eq!((tag, len), (b'D', MIB + 6), "row {row}");
            slow.discard(len);
        }
        assert_eq!(slow.answer().tags(), "CZ");
        held(&proxy, before, HELD, "the client has everything");
    }
}

#[test]
fn a_server_that_stops_taking_copy_data_is_waited_for() {
    const LINES: usize = 220;
    let table = format!("{}.slow", schema());
    let key = rand::random::<u32>();
    let proxy = proxy("tidegate_client_auth=trust");
    let mut neighbour = Neighbour::of(&proxy);
    // The first row waits for the lock.
    shared()
        .primary()
        .psql(&format!(
            "create unlogged table {table} (x text); grant all on {table} to app;
             create function {table}() returns trigger language plpgsql as
             $$ begin perform pg_advisory_xact_lock({key}); return new; end $$;
             create trigger slow before insert on {table} for each row execute function {table}()"
        ))
        .unwrap();
    let mut holder = Raw::app(([127, 0, 0, 1], shared().primary().port()).into());
    let line = tagged(b'd', &[vec![b'x'; MIB], b"\n".to_vec()].concat());
    let comment = comment();
    let mut client = Raw::app(proxy.address());
    let copy = |client: &mut Raw, lines: usize, between: &mut dyn FnMut()| {
        client.send(&query(&format!("copy {table} from stdin /*{comment}*/")));
        assert_eq!(client.read().tag, b'G');
        let all = line.len() * lines;
        let sent = stuff(client, &line, all);
        between();
        let within = sent % line.len();
        if within > 0 {
            client.send(&line[within..]);
        }
        (sent.div_ceil(line.len())..lines).for_each(|_| client.send(&line));
        client.send(&tagged(b'c', &[]));
        assert_eq!(client.answer().ok().tags(), "CZ");
        sent
    };
    copy(&mut client, 20, &mut || {});
    holder.ok(&format!("select pg_advisory_lock({key})"));
    let before = memory(&proxy, "VmRSS");
    let sent = copy(&mut client, LINES, &mut || {
        wait_stands(&proxy, &comment, "advisory");
        held(&proxy, before, HELD, "a server takes nothing");
        neighbour.is_served_as_usual("a server takes nothing");
        held(&proxy, before, HELD, "a server takes nothing for longer");
        holder.ok(&format!("select pg_advisory_unlock({key})"));
    });
    println!("{} MiB were sent before the client had to wait", sent / MIB);
    assert!(sent < IN_SOCKETS, "{sent} bytes");
    held(&proxy, before, HELD, "the server has everything");
    assert_eq!(client.ok(&format!("select count(*) from {table}")).value(), (LINES + 20).to_string());
    client.ok(&format!("drop table {table}"));
}

#[test]
fn a_client_that_asks_and_never_reads_is_not_asked_for_more() {
    let proxy = proxy("tidegate_client_auth=trust");
    let mut neighbour = Neighbour::of(&proxy);
    let read = "select repeat('x', 1000)";
    let statement = [parse("", read), bind("", "", &[]), describe(b'P', ""), execute("")].concat();
    let cases = [
        ("Sync", "", sync(), HELD),
        ("Sync in a transaction", "begin", sync(), HELD),
        ("simple queries", "", query(read), HELD),
        ("statements with a Sync each", "", [statement.clone(), sync()].concat(), HELD),
        ("statements with a Flush each", "", [statement.clone(), flush()].concat(), HELD),
        ("statements that nothing ends", "", statement, HELD_OPEN),
        ("Close that nothing ends", "", close(b'S', "nobody"), HELD_OPEN),
        ("what the proxy answers itself", "", query("show tidegate.last_route"), HELD),
    ];
    for (what, first, message, most) in cases {
        let before = memory(&proxy, "VmRSS");
        let mut client = Raw::app(proxy.address());
        socket2::SockRef::from(client.socket()).set_recv_buffer_size(64 * 1024).unwrap();
        if !first.is_empty() {
            client.ok(first);
        }
        let sent = stuff(&client, &message.repeat(64 * 1024 / message.len()), 2 * IN_SOCKETS);
        println!("{what}: {} KiB were taken", sent / 1024);
        assert!(sent < IN_SOCKETS, "{what}: {sent} bytes were taken");
        wait_rests(&proxy, what);
        held(&proxy, before, most, what);
        neighbour.is_served_as_usual(what);
        held(&proxy, before, most, what);
        drop(client);
        support::wait_until("it is gone", || proxy.metric("tidegate_clients", &[]) < 1.5);
    }
}

#[test]
fn what_a_long_pipeline_has_taken_is_given_back() {
    const CLIENTS: u64 = 20;
    let proxy = proxy("tidegate_client_auth=trust");
    wait_both(&proxy);
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| Raw::app(proxy.address())).collect();
    let messages = [close(b'S', "nobody").repeat(32_000), sync()].concat();
    let run = [bind("", "s", &[]), execute("")].concat().repeat(5_000);
    let statements = [parse("s", "select 1"), run, sync()].concat();
    let pipeline = |client: &mut Raw| {
        client.send(&messages);
        client.answer().ok();
        client.send(&statements);
        client.answer().ok();
    };
    pipeline(&mut Raw::app(proxy.address()));
    let before = memory(&proxy, "VmRSS");
    clients.iter_mut().for_each(pipeline);
    let each = memory(&proxy, "VmRSS").saturating_sub(before) / CLIENTS;
    println!("{each} KiB for each client");
    assert!(each < 64, "{each} KiB");
}
