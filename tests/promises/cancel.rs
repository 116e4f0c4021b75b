//! Cancellation reaches the statement it was meant for, and no other.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::support::raw::{Raw, V3_2, query};
use super::{proxy, support, wait_both};

#[test]
fn a_statement_is_cancelled_wherever_it_runs() {
    let proxy = proxy("tidegate_client_auth=trust");
    wait_both(&proxy);
    for sql in ["select pg_sleep(30)", "select pg_sleep(30) /* tidegate: intent=primary */"] {
        for version in [super::support::raw::V3_0, V3_2] {
            let parameters = [("user", "app"), ("database", "app")];
            let mut raw = Raw::log_in(proxy.address(), version, &parameters, "secret").unwrap();
            assert_eq!(raw.secret.len(), if version == V3_2 { 32 } else { 4 });
            raw.send(&query(sql));
            let begin = Instant::now();
            let answer = raw.cancelled(proxy.address());
            assert_eq!(answer.code(), "57014", "{sql}");
            assert!(begin.elapsed() < Duration::from_secs(1), "{:?}", begin.elapsed());
            assert_eq!(raw.ok("select 1").value(), "1");
        }
    }
}

#[test]
fn a_wrong_key_cancels_nothing() {
    let proxy = proxy("tidegate_client_auth=trust");
    wait_both(&proxy);
    let mut raw = Raw::app(proxy.address());
    raw.send(&query("select pg_sleep(0.5)"));
    let mut wrong = raw.secret.clone();
    wrong[0] ^= 1;
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_millis(300) {
        Raw::cancel(proxy.address(), raw.pid, &wrong);
        Raw::cancel(proxy.address(), raw.pid, &[&raw.secret[..], &[0]].concat());
        Raw::cancel(proxy.address(), raw.pid ^ 1, &raw.secret);
    }
    assert_eq!(raw.answer().error(), None);
}

#[test]
fn a_cancel_never_hits_a_neighbour() {
    let proxy = proxy("tidegate_client_auth=trust&connection_limit=1");
    wait_both(&proxy);
    let (mut target, mut neighbour) = (Raw::app(proxy.address()), Raw::app(proxy.address()));
    let (pid, secret, address) = (target.pid, target.secret.clone(), proxy.address());
    let done = AtomicBool::new(false);
    let hint = "/* tidegate: intent=primary */";
    let (mut cancelled, mut sent) = (0, 0);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let answer = target.query(&format!("select pg_sleep(0.002) {hint}"));
                cancelled += u32::from(answer.code() == "57014");
            }
        });
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                Raw::cancel(address, pid, &secret);
                sent += 1;
            }
        });
        for i in 0..200 {
            // Both use the one server connection, in turns.
            let answer = neighbour.query(&format!("select {i}, pg_sleep(0.001) {hint}"));
            assert_eq!(answer.error(), None, "statement {i}");
        }
        done.store(true, Ordering::Relaxed);
    });
    println!(
        "{sent} requests cancelled {cancelled} statements of their own session and none of the neighbour's"
    );
    assert!(cancelled > 0, "of {sent} requests none has worked");
}

#[test]
fn a_cancel_of_an_idle_session_does_nothing() {
    let proxy = proxy("tidegate_client_auth=trust");
    wait_both(&proxy);
    let mut raw = Raw::app(proxy.address());
    raw.ok("begin");
    raw.ok("select 1");
    Raw::cancel(proxy.address(), raw.pid, &raw.secret);
    support::wait_until("the transaction is as before", || raw.ok("select 2").status() == 'T');
    raw.ok("commit");
}
