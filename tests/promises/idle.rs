//! A client that does nothing costs next to nothing.

use std::fs::read_to_string;

use super::support::raw::Raw;
use super::{RunningProxy, proxy, wait_both};

/// What an idle client may take, in bytes.
const EACH: usize = 4 * 1024;
/// For what comes and goes meanwhile in the rest of the proxy, in bytes.
const SPARE: usize = 1024 * 1024;
/// File descriptors for everything else, this program's other tests among it.
const DESCRIPTORS: usize = 500;

/// How many clients to hold: as many as there are file descriptors for, which the proxy may have as many of as we.
fn possible() -> usize {
    let limits = read_to_string("/proc/self/limits").unwrap();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    let limit = line.split_whitespace().next().unwrap().parse().unwrap_or(usize::MAX);
    (limit - DESCRIPTORS).min(2_000)
}

/// Resident memory of the proxy without what is mapped from files, in bytes.
fn memory(proxy: &RunningProxy) -> usize {
    let status = read_to_string(format!("/proc/{}/status", proxy.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<usize>().unwrap() * 1024
}

#[test]
fn an_idle_client_takes_little_memory() {
    let proxy = proxy("tidegate_max_clients=3000&tidegate_client_auth=trust");
    wait_both(&proxy);
    // They differ in nothing, give settings, and have done something.
    let client = |_| {
        let settings = [("application_name", "idle"), ("client_encoding", "UTF8"), ("TimeZone", "UTC")];
        let mut raw = Raw::app_with(proxy.address(), &settings);
        raw.ok("select 1");
        raw.extended("select $1::int", &["1"]).ok();
        raw
    };
    let first: Vec<Raw> = (0..20).map(client).collect();
    let before = memory(&proxy);
    let count = possible();
    let mut clients: Vec<Raw> = (0..count).map(client).collect();
    let taken = memory(&proxy).saturating_sub(before);
    assert!(taken <= count * EACH + SPARE, "{} bytes for each of {count} idle clients", taken / count);
    // And it is there when it is needed.
    for raw in [0, count / 2, count - 1] {
        assert_eq!(clients[raw].ok("select 1").value(), "1");
    }
    drop(first);
}
