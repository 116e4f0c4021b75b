//! The proxy explains its decisions, and can be watched before it is trusted.

use super::support::raw::{Answer, Raw, bind, describe, execute, flush, parse, sync};
use super::{proxy, schema, wait_open};

/// The texts of one column.
fn lines(answer: &Answer) -> Vec<String> {
    answer.rows().into_iter().map(|row| row[0].clone().unwrap()).collect()
}

/// What the notices of an answer say.
fn notices(answer: &Answer) -> Vec<String> {
    answer.0.iter().filter(|m| m.tag == b'N').filter_map(|m| m.field(b'M')).collect()
}

#[test]
fn the_last_route_can_be_shown() {
    let proxy = proxy("");
    let mut app = Raw::app(proxy.address());
    assert_eq!(lines(&app.ok("show tidegate.last_route")), ["no statement was routed yet"]);
    let s = schema();
    app.ok(&format!("create table {s}.t (n int)"));
    wait_open(&proxy);
    app.ok(&format!("select * from {s}.t"));
    let shown = lines(&app.ok("show tidegate.last_route"));
    assert!(shown[0].starts_with("to: replica ") && shown[0].ends_with("reason fresh"), "{shown:?}");
    assert!(shown.iter().any(|l| l == "class: read: the statement only reads"), "{shown:?}");
    assert_eq!(shown.iter().filter(|l| l.starts_with("replica ")).count(), 2, "{shown:?}");
    assert_eq!(shown, lines(&app.ok("SHOW tidegate.LAST_ROUTE;")), "asking changes nothing");
    app.ok("select pg_backend_pid()");
    let shown = lines(&app.ok("show tidegate.last_route"));
    assert!(shown.iter().any(|l| l.contains("pg_backend_pid(): it is about the session")), "{shown:?}");
    // In a transaction, and in a failed one as PostgreSQL would.
    app.ok("begin");
    app.ok("select 1");
    assert!(lines(&app.ok("show tidegate.last_route"))[0].ends_with("reason transaction"));
    assert_eq!(app.query("select 1/0").status(), 'E');
    assert_eq!(app.query("show tidegate.last_route").code(), "25P02");
    app.ok("rollback");
    assert_eq!(app.query("set tidegate.last_route = 'x'").code(), "55P02");
}

#[test]
fn questions_are_answered_in_the_extended_protocol() {
    let proxy = proxy("");
    let mut app = Raw::app(proxy.address());
    let s = schema();
    app.ok(&format!("create table {s}.t (n int)"));
    wait_open(&proxy);
    app.extended(&format!("select * from {s}.t"), &[]).ok();
    let shown = app.extended("show tidegate.last_route", &[]).ok();
    assert_eq!(shown.tags().chars().filter(|t| *t != 'D').collect::<String>(), "12TCZ");
    assert!(lines(&shown)[0].contains("reason fresh"));
    // Prepared under a name, described, and run twice.
    app.send(&[parse("q", "explain (route) select pg_backend_pid()"), describe(b'S', "q"), flush()].concat());
    assert_eq!(app.until(b"T").tags(), "1tT");
    app.send(&sync());
    app.answer();
    for _ in 0..2 {
        app.send(&[bind("", "q", &[]), execute(""), sync()].concat());
        let answer = app.answer().ok();
        assert!(lines(&answer).iter().any(|l| l.contains("pg_backend_pid")), "{:?}", lines(&answer));
    }
    app.ok("select 1");
}

#[test]
fn a_statement_is_explained_and_not_run() {
    let proxy = proxy("");
    let mut app = Raw::app(proxy.address());
    let s = schema();
    app.ok(&format!("create table {s}.t (n int)"));
    wait_open(&proxy);
    let delete = lines(&app.ok(&format!("explain (route) delete from {s}.t")));
    assert!(delete[0].ends_with("reason write"), "{delete:?}");
    let read = lines(&app.ok(&format!("explain (route) select * from {s}.t /* tidegate: intent=primary */")));
    assert!(read[0].ends_with("reason intent_primary"), "{read:?}");
    let read = lines(&app.ok(&format!("explain (route) select * from {s}.t")));
    assert!(read[0].starts_with("to: replica "), "{read:?}");
    assert!(read.iter().any(|l| l.contains(": taken, horizon ")), "{read:?}");
    let nonsense = lines(&app.ok("explain (route) select 1"));
    assert!(nonsense[0].starts_with("to: replica"), "{nonsense:?}");
    assert_eq!(app.query("explain (route) selec 1").code(), "42601");
    assert_eq!(app.query("explain (route, analyze) select 1").code(), "42601");
}

#[test]
fn a_trace_tells_of_every_decision() {
    let proxy = proxy("");
    let mut app = Raw::app_with(proxy.address(), &[("options", "-c tidegate.trace=on")]);
    let s = schema();
    app.ok(&format!("create table {s}.t (n int)"));
    wait_open(&proxy);
    let said = notices(&app.ok(&format!("select * from {s}.t")));
    assert!(
        said.len() == 1 && said[0].starts_with("tidegate: replica ") && said[0].ends_with("reason fresh"),
        "{said:?}"
    );
    app.ok("begin");
    assert!(notices(&app.ok("select 1"))[0].ends_with("reason transaction"));
    app.ok("commit");
    let extended = app.extended(&format!("select * from {s}.t"), &[]);
    assert_eq!(notices(&extended).len(), 1);
    app.ok("set tidegate.trace = off");
    assert!(notices(&app.ok("select 1")).is_empty());
    assert_eq!(app.query("set tidegate.trace = 'sometimes'").code(), "22023");
}

#[test]
fn who_only_observes_sends_everything_to_the_primary_and_says_what_it_would_do() {
    let proxy = proxy("tidegate_mode=observe");
    let mut app = Raw::app_with(proxy.address(), &[("options", "-c tidegate.trace=on")]);
    let s = schema();
    app.ok(&format!("create table {s}.t (n int)"));
    super::support::wait_until("replicas are fresh", || {
        let said = notices(&app.ok(&format!("select * from {s}.t")));
        said[0].contains("reason observe; would be replica ")
    });
    let read = app.ok("select pg_is_in_recovery()");
    assert!(notices(&read)[0].ends_with("reason unknown"), "{:?}", notices(&read));
    assert_eq!(app.ok(super::WHERE).value(), "primary");
}
