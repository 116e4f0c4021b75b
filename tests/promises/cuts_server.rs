//! Conversations that are cut after every byte, or come one byte at a time: the server's side.

use super::cuts::{Conversation, answer, assert_whole, common, conversations, messages};
use super::support::cutting::{Cutting, Plan};
use super::support::proxy::{RunningProxy, Tidegate};
use super::support::raw::{Message, Raw, bind, describe, execute, parse, query, sync, tagged};
use super::{WHERE, schema, shared, support};

/// A schema with a table, a server that can be cut, and a proxy with one connection to it.
fn stage() -> (String, Cutting, RunningProxy) {
    let schema = schema();
    shared()
        .primary()
        .psql(&format!("create table {schema}.t (n int); alter table {schema}.t owner to app"))
        .unwrap();
    let server = Cutting::before(shared().primary().port());
    let url = format!(
        "postgres://app:secret@127.0.0.1:{}/app?connection_limit=1&tidegate_client_auth=trust",
        server.port()
    );
    let proxy = Tidegate::bare().args(["--url", &url]).args(["--log", "off"]).start();
    (schema, server, proxy)
}

/// Makes the pool open its connection, with the settings of the conversations' clients, as whole as it gets.
fn warm(proxy: &RunningProxy) {
    let mut raw = Raw::app(proxy.address());
    raw.ok("select 'warm' /* tidegate: intent=primary */");
    raw.terminate();
}

/// Ends the pool's connection.
fn cool(proxy: &RunningProxy, server: &Cutting) {
    server.plan(Plan::Pass);
    warm(proxy);
    server.plan(Plan::Cut(0));
    let mut raw = Raw::app(proxy.address());
    // Not a read, which would be run again.
    raw.query("begin");
    assert!(!server.is_pending());
}

fn count(schema: &str) -> usize {
    let sql = format!("select count(*) from {schema}.t");
    shared().primary().psql(&sql).unwrap().trim().parse().unwrap()
}

/// Either the beginning of the whole answer and then an error of the proxy's, or its end; rows and COPY data can be
/// torn if it is the end.
#[track_caller]
fn judge(name: &str, bytes: &[u8], whole: &[Message]) -> bool {
    let (said, torn) = messages(bytes);
    let same = common(&said, whole);
    if same == whole.len() && said.len() == same && torn.is_empty() {
        return true;
    }
    let (mut rest, mut lost) = (&said[same..], false);
    while let [first, others @ ..] = rest {
        match first.tag {
            b'E' => {
                let code = first.field(b'C').unwrap();
                assert!(matches!(&*code, "08006" | "08007" | "08001" | "57P01"), "{name}: {said:?}");
                lost = true;
            }
            b'Z' => {}
            _ => panic!("{name}: {said:?} instead of {whole:?}"),
        }
        rest = others;
    }
    assert!(
        torn.is_empty() || (!lost && matches!(torn[0], b'D' | b'd' | b'V')),
        "{name}: {torn:?} after {said:?}"
    );
    false
}

#[test]
fn an_answer_cut_at_any_byte_is_an_error_or_the_end() {
    let (schema, server, proxy) = stage();
    let (mut cuts, begin) = (0, std::time::Instant::now());
    for Conversation { name, bytes, rows } in conversations(&schema) {
        cool(&proxy, &server);
        warm(&proxy);
        server.plan(Plan::Pass);
        let whole = answer(&mut Raw::app(proxy.address()), &bytes);
        let len = server.passed();
        for cut in 0..len {
            cool(&proxy, &server);
            warm(&proxy);
            let mut raw = Raw::app(proxy.address());
            server.plan(Plan::Cut(cut));
            raw.send(&[&bytes[..], &tagged(b'X', b"")].concat());
            let said = raw.everything();
            judge(&format!("{name}, cut at {cut} of {len}"), &said, &whole);
            server.plan(Plan::Pass);
            cuts += 1;
        }
        assert_whole(&proxy);
        assert!(count(&schema).is_multiple_of(rows.max(1)), "{name}");
        shared().primary().psql(&format!("truncate {schema}.t")).unwrap();
    }
    println!("{cuts} cuts in {:?}", begin.elapsed());
}

#[test]
fn a_login_cut_at_any_byte_is_no_connection_and_tried_again() {
    let (_, server, proxy) = stage();
    let ask = query("select 'whole' /* tidegate: intent=primary */");
    warm(&proxy);
    let whole = answer(&mut Raw::app(proxy.address()), &ask);
    let answered: usize = whole.iter().map(|m| 5 + m.body.len()).sum();
    cool(&proxy, &server);
    server.plan(Plan::Pass);
    answer(&mut Raw::app(proxy.address()), &ask);
    let login = server.passed() - answered;
    for cut in 0..login {
        cool(&proxy, &server);
        let mut raw = Raw::app(proxy.address());
        server.plan(Plan::Cut(cut));
        // Nothing was sent on the connection that failed, so the client need not hear of it.
        assert_eq!(answer(&mut raw, &ask), whole, "cut at {cut} of {login}");
        assert!(!server.is_pending());
    }
    assert_whole(&proxy);
    println!("{login} cuts");
}

#[test]
fn a_read_whose_replica_hangs_up_before_the_first_row_runs_elsewhere() {
    let (primary, replica) = (shared().primary(), shared().replica(0));
    let server = Cutting::before(replica.port());
    let url = format!(
        "postgres://app:secret@127.0.0.1:{},127.0.0.1:{}/app?connection_limit=1&tidegate_client_auth=trust",
        primary.port(),
        server.port()
    );
    let proxy = Tidegate::bare().args(["--url", &url, "--log", "off"]).start();
    let reader = || Raw::app_with(proxy.address(), &[("options", "-c tidegate.consistency=eventual")]);
    let serving = || {
        let mut raw = reader();
        support::wait_until("the replica serves", || raw.query(WHERE).value() == replica.name());
        raw.terminate();
    };
    let extended = [
        parse("", "select n from generate_series(1, 2) n"),
        bind("", "", &[]),
        describe(b'P', ""),
        execute(""),
        sync(),
    ];
    let (mut cuts, mut elsewhere) = (0, 0);
    for (name, bytes) in [
        ("a query", query("select 1, 'two', null")),
        ("a prepared statement", extended.concat()),
        ("an error", query("select 1/0")),
    ] {
        serving();
        let whole = answer(&mut reader(), &bytes);
        serving();
        server.plan(Plan::Cut(0));
        reader().ok(WHERE);
        assert!(!server.is_pending());
        serving();
        server.plan(Plan::Pass);
        assert_eq!(answer(&mut reader(), &bytes), whole);
        for cut in 0..server.passed() {
            // The cut before has ended its connection.
            serving();
            server.plan(Plan::Cut(cut));
            let mut raw = reader();
            raw.send(&[&bytes[..], &tagged(b'X', b"")].concat());
            let said = raw.everything();
            let name = format!("{name}, cut at {cut}");
            let is_whole = judge(&name, &said, &whole);
            // An error that is the client's own was passed on before.
            let begun = said.first().is_some_and(|tag| *tag != b'E') || name.starts_with("an error");
            assert!(is_whole || begun, "{name}: {:?}", messages(&said));
            assert!(!server.is_pending());
            elsewhere += usize::from(is_whole);
            cuts += 1;
        }
    }
    assert_whole(&proxy);
    assert!(elsewhere > cuts / 4, "{elsewhere} of {cuts}");
    println!("{cuts} cuts, {elsewhere} answers from elsewhere");
}

#[test]
fn an_answer_one_byte_at_a_time_is_the_same() {
    let (schema, server, proxy) = stage();
    for Conversation { name, bytes, .. } in conversations(&schema) {
        server.plan(Plan::Pass);
        let whole = answer(&mut Raw::app(proxy.address()), &bytes);
        for cold in [false, true] {
            if cold {
                // Logged in to byte by byte, too.
                cool(&proxy, &server);
            }
            server.plan(Plan::Drip);
            assert_eq!(answer(&mut Raw::app(proxy.address()), &bytes), whole, "{name}, cold: {cold}");
        }
    }
    assert_whole(&proxy);
}

#[test]
fn whatever_a_server_says_the_client_gets_an_error_or_the_end() {
    let (_, server, proxy) = stage();
    let known = b"DdZCT123RKcGHWIEVvnNAtSs";
    let lengths = [0_u32, 3, 4, 5, 8, 0x3fff_ffff, 0x4000_0000, 0x8000_0000, 0xffff_ffff];
    let all = (0..=u8::MAX).flat_map(|tag| {
        let lengths = if known.contains(&tag) { &lengths[..] } else { &lengths[3..4] };
        lengths.iter().map(move |length| (tag, *length))
    });
    let extended = parse("", "select 1");
    warm(&proxy);
    for (tag, length) in all {
        for ask in [query("select 'asked'"), [&extended[..], &sync()].concat()] {
            cool(&proxy, &server);
            warm(&proxy);
            let mut raw = Raw::app(proxy.address());
            server.plan(Plan::Say([&[tag][..], &length.to_be_bytes(), b"\0\0\0\0\0"].concat()));
            raw.send(&[&ask[..], &tagged(b'X', b"")].concat());
            let bytes = raw.everything();
            let (said, torn) = messages(&bytes);
            let name = format!("tag {:?}, length {length:#x}: {said:?}, {torn:?}", char::from(tag));
            assert!(torn.is_empty() || matches!(torn[0], b'D' | b'd' | b'V'), "{name}");
            // The read has no effect, so it may have been run again, and answered in full.
            let is_right = |m: &Message| m.body.len() < 10 || m.body.ends_with(b"asked");
            assert!(said.iter().filter(|m| m.tag == b'D').all(is_right), "{name}");
        }
        // At the login: there is a second try, unless it is the server's own refusal.
        cool(&proxy, &server);
        let mut raw = Raw::app(proxy.address());
        server.plan(Plan::Say([&[tag][..], &length.to_be_bytes(), b"\0\0\0\0\0"].concat()));
        let said = answer(&mut raw, &query("select 'asked'"));
        assert!(
            matches!(said[0].tag, b'T' | b'E'),
            "at login, tag {:?}, length {length:#x}: {said:?}",
            char::from(tag)
        );
    }
    assert_whole(&proxy);
}
