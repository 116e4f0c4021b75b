//! Many clients, and large messages, in little memory.

use std::time::{Duration, Instant};

use super::support::proxy::RunningProxy;
use super::support::raw::{Raw, bind, describe, execute, parse, query, sync, tagged};
use super::{proxy, schema, support, wait_both};

/// A line of `/proc/PID/status`, in KiB.
pub(super) fn memory(proxy: &RunningProxy, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", proxy.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Most memory in use while `work` went on, in KiB, above what was in use before.
fn peak(proxy: &RunningProxy, work: impl FnOnce()) -> u64 {
    // 5 resets the peak.
    std::fs::write(format!("/proc/{}/clear_refs", proxy.pid()), "5").unwrap();
    let before = memory(proxy, "VmRSS");
    let begin = Instant::now();
    work();
    let above = memory(proxy, "VmHWM").saturating_sub(before);
    println!(
        "peak {:.1} MiB above {:.1} MiB, {:?}",
        above as f64 / 1024.0,
        before as f64 / 1024.0,
        begin.elapsed()
    );
    above
}

const LIMIT: u64 = 64 * 1024;
const GIB: usize = 1 << 30;

/// The stack of a server allows no row over 1 GiB, header and all.
const ROW: usize = 1_000_000_000;

#[test]
fn large_rows_copies_and_parameters_pass_in_little_memory() {
    let schema = schema();
    let proxy = proxy("tidegate_client_auth=trust");
    wait_both(&proxy);
    let mut raw = Raw::app(proxy.address());
    raw.socket().set_read_timeout(Some(Duration::from_secs(100))).unwrap();
    raw.ok(&format!("create unlogged table {schema}.t (x text)"));
    for hint in ["", "/* tidegate: intent=primary */"] {
        let sql = format!("select repeat('x', {ROW}) {hint}");
        let above = peak(&proxy, || {
            raw.send(&query(&sql));
            assert_eq!(raw.read().tag, b'T');
            let (tag, len) = raw.head().unwrap();
            assert_eq!((tag, len), (b'D', ROW + 6));
            raw.discard(len);
            assert_eq!(raw.answer().tags(), "CZ");
        });
        assert!(above < LIMIT, "a row of 1 GB: {above} KiB");
    }
    let above = peak(&proxy, || {
        raw.send(&query("copy (select repeat('x', 1048575) from generate_series(1, 1024)) to stdout"));
        let (mut bytes, mut seen) = (0, String::new());
        loop {
            let (tag, len) = raw.head().unwrap();
            raw.discard(len);
            if tag == b'd' {
                bytes += len;
            } else {
                seen.push(tag.into());
            }
            if tag == b'Z' {
                break;
            }
        }
        assert_eq!((bytes, seen.as_str()), (GIB, "HcCZ"));
    });
    assert!(above < LIMIT, "COPY of 1 GiB out: {above} KiB");
    let line = [vec![b'x'; (1 << 20) - 1], b"\n".to_vec()].concat();
    let above = peak(&proxy, || {
        raw.send(&query(&format!("copy {schema}.t from stdin")));
        assert_eq!(raw.read().tag, b'G');
        let message = tagged(b'd', &line);
        for _ in 0..GIB / line.len() {
            raw.send(&message);
        }
        raw.send(&tagged(b'c', &[]));
        assert_eq!(raw.answer().ok().tags(), "CZ");
    });
    assert!(above < LIMIT, "COPY of 1 GiB in: {above} KiB");
    assert_eq!(raw.ok(&format!("select count(*) from {schema}.t")).value(), "1024");
    raw.ok(&format!("drop table {schema}.t"));
    let above = peak(&proxy, || {
        let len = 600_000_000_usize;
        raw.send(&[parse("", "select length($1::text)"), describe(b'S', "")].concat());
        let mut body = b"\0\0\0\0\0\x01".to_vec();
        body.extend(u32::try_from(len).unwrap().to_be_bytes());
        let mut head = vec![b'B'];
        head.extend(u32::try_from(4 + body.len() + len + 2).unwrap().to_be_bytes());
        raw.send(&[head, body].concat());
        let piece = vec![b'y'; 1_000_000];
        for _ in 0..len / piece.len() {
            raw.send(&piece);
        }
        raw.send(&[&[0, 0][..], &execute(""), &sync()].concat());
        assert_eq!(raw.answer().value(), len.to_string());
    });
    assert!(above < LIMIT, "a parameter of 600 MB: {above} KiB");
    assert_eq!(raw.ok("select 1").value(), "1");
}

#[test]
fn two_thousand_clients_share_twenty_server_connections() {
    const CLIENTS: usize = 2_000;
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let files: usize = files.split_whitespace().nth(3).unwrap().parse().unwrap_or(usize::MAX);
    if files < CLIENTS + 500 {
        println!("skipped: only {files} files may be open at a time (ulimit -n)");
        return;
    }
    let proxy = proxy("tidegate_client_auth=trust&connection_limit=20");
    wait_both(&proxy);
    let address = proxy.address();
    let before = memory(&proxy, "VmRSS");
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| Raw::app(address)).collect();
    let idle = memory(&proxy, "VmRSS");
    let each = |grown: u64| grown as f64 / CLIENTS as f64;
    println!("{:.1} KiB per client that has just logged in", each(idle - before));
    assert!((proxy.metric("tidegate_clients", &[]) - CLIENTS as f64).abs() < 1.5);
    // All at once.
    let message = [parse("s", "select $1::int + 1"), bind("", "s", &["41"]), execute(""), sync()].concat();
    clients.iter_mut().for_each(|client| client.send(&message));
    for client in &mut clients {
        assert_eq!(client.answer().value(), "42");
    }
    clients.iter_mut().for_each(|client| client.send(&query("begin; select 7; commit")));
    for client in &mut clients {
        assert_eq!(client.answer().value(), "7");
    }
    let used = memory(&proxy, "VmRSS");
    println!("{:.1} KiB per client that is idle after some statements", each(used - before));
    let text = proxy.metrics();
    for pool in text.lines().filter(|l| l.starts_with("tidegate_pool_connections{")) {
        let pool = pool.split_once("pool=\"").unwrap().1.split_once('"').unwrap().0;
        let label = format!("pool=\"{pool}\"");
        let open = support::metrics::sum(&text, "tidegate_pool_connections", &[&label]);
        assert!(open <= 20.0, "{pool}: {open}");
    }
    assert!(each(used - before) < 64.0);
}
