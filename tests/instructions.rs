//! How many instructions of the proxy's worker a transaction takes. Unlike its time they can be counted to the percent
//! on a machine that is busy with other things, so that a hot path that has become longer is seen by a test.
//!
//! The proxy of this profile runs under valgrind's callgrind, between one client and a real cluster. Only the workers'
//! threads are counted: what the monitor asks meanwhile depends on the time. The limits are in
//! `instructions/limits.txt`; `make instructions` shows the counts, and `make instructions ARGS=--update` writes
//! them there.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "instructions/callgrind.rs"]
mod callgrind;
#[path = "instructions/exchanges.rs"]
mod exchanges;
#[path = "instructions/limits.rs"]
mod limits;
mod support;

use std::fmt::Write as _;
use std::io::Write as _;

use callgrind::Callgrind;
use exchanges::{EXCHANGES, Exchange, is_open};
use limits::{Limits, Verdict, percent};
use support::proxy::{RunningProxy, Tidegate};
use support::raw::Raw;

/// Transactions before the counting begins: caches are filled and connections opened.
const WARM_UP: u64 = 50;
/// Transactions that are counted.
const COUNTED: u64 = 200;

#[test]
fn transactions_take_no_more_instructions_than_before() {
    match callgrind::is_usable() {
        Ok(()) => judge(&counts()),
        Err(why) => say(&format!("skipped: instructions per transaction were not counted: {why}")),
    }
}

fn counts() -> [(&'static str, u64); EXCHANGES.len()] {
    let folder = tempfile::tempdir().unwrap();
    let cluster = support::cluster();
    cluster.primary().psql(exchanges::TABLE).unwrap();
    cluster.wait_caught_up().unwrap();
    let valgrind = callgrind::arguments(folder.path());
    let proxy = Tidegate::before(cluster)
        .args(["--workers", "1"])
        .under("valgrind", valgrind.iter().map(String::as_str))
        .start();
    let callgrind = Callgrind::of(proxy.pid(), folder.path());
    let mut client = Raw::app(proxy.address());
    exchanges::prepare(&mut client);
    callgrind.begin();
    EXCHANGES.map(|exchange| (exchange.name, count(&proxy, &callgrind, &mut client, &exchange)))
}

/// Instructions of one transaction.
fn count(proxy: &RunningProxy, callgrind: &Callgrind, client: &mut Raw, exchange: &Exchange) -> u64 {
    support::wait_until("reads run on a replica", || is_open(client));
    for _ in 0..WARM_UP {
        exchange.run(client);
    }
    let on_replicas = || proxy.metric("tidegate_statements_total", &["target=\"replica\""]);
    let before = on_replicas();
    callgrind.zero();
    for _ in 0..COUNTED {
        exchange.run(client);
    }
    let counted = callgrind.dump(exchange.name);
    let reads = on_replicas() - before;
    assert!(
        (reads - (exchange.reads * COUNTED) as f64).abs() < 0.5,
        "{}: {reads} on replicas",
        exchange.name
    );
    counted / COUNTED
}

/// Shows the counts, and fails if one is too high. Asked to, it makes them the limits.
fn judge(counts: &[(&str, u64)]) {
    let limits = Limits::read();
    let mut table = format!("{:<18}{:>12}{:>12}{:>10}\n", "transaction", "counted", "limit", "change");
    let mut verdicts = Vec::new();
    for (name, count) in counts {
        let (limit, verdict) = limits.judge(name, *count);
        let change = percent(*count, limit);
        writeln!(table, "{name:<18}{count:>12}{limit:>12}{change:>+8.1} %").unwrap();
        verdicts.push((*name, verdict));
    }
    let those = |verdict: Verdict| {
        verdicts.iter().filter(|(_, is)| *is == verdict).map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
    };
    say(&table);
    if update_is_asked_for() {
        Limits::write(counts);
        return say("These are the limits now: tests/instructions/limits.txt");
    }
    let loose = those(Verdict::Loose);
    if !loose.is_empty() {
        say(&format!("Lower the limits of {loose}: make instructions ARGS=--update"));
    }
    let exceeded = those(Verdict::Exceeded);
    let here = limits::compiler();
    let of = if here == limits.compiler {
        String::new()
    } else {
        format!(" They were counted with rustc {}, this is {here}.", limits.compiler)
    };
    assert!(
        exceeded.is_empty(),
        "instructions per transaction are above their limits: {exceeded}.{of} If it is worth it: \
         make instructions ARGS=--update\n{table}"
    );
}

fn update_is_asked_for() -> bool {
    match std::env::var("TIDEGATE_INSTRUCTIONS").as_deref() {
        Ok("--update") => true,
        Ok("") | Err(_) => false,
        Ok(other) => panic!("unknown: {other}. There is --update"),
    }
}

/// Says something to whoever runs the test, also when it succeeds.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
