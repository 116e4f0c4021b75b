//! Settings at the console: all are shown, no secret is, and some can be changed.

use std::collections::BTreeMap;

use super::console::{console, table, with_console};
use super::support::proxy::Tidegate;
use super::support::raw::{Answer, Raw};
use super::{own_with_facts, shared, wait_both};

/// SHOW CONFIG, by key: value, default, and whether it can be changed.
fn settings(ops: &mut Raw) -> BTreeMap<String, [String; 3]> {
    let rows = table(&ops.ok("show config")).into_iter();
    rows.map(|row| (row["key"].clone(), ["value", "default", "changeable"].map(|name| row[name].clone())))
        .collect()
}

fn error(answer: &Answer) -> [String; 3] {
    let error = answer.0.iter().find(|message| message.tag == b'E').unwrap_or_else(|| panic!("{answer:?}"));
    [b'C', b'M', b'H'].map(|name| error.field(name).unwrap_or_default())
}

#[test]
fn settings_are_shown_with_their_defaults() {
    let proxy = with_console("connection_limit=7&tidegate_query_timeout=90s&application_name=me");
    let all = settings(&mut console(&proxy));
    for (key, wanted) in [
        ("log", ["warn", "warn", "yes"]),
        ("listen", ["127.0.0.1:0", "127.0.0.1:6432", "no"]),
        ("console_users", ["app", "", "yes"]),
        ("shutdown_timeout", ["30s", "30s", "yes"]),
        ("upgrade_timeout", ["10min", "10min", "yes"]),
        ("database.app.connection_limit", ["7", "20", "yes"]),
        ("database.app.query_timeout", ["90s", "off", "yes"]),
        ("database.app.server_lifetime", ["1h", "1h", "yes"]),
        ("database.app.application_name", ["me", "", "yes"]),
        ("database.app.user", ["app", "", "yes"]),
        // By PgBouncer's names.
        ("default_pool_size", ["7", "20", "yes"]),
        ("max_client_conn", ["10000", "10000", "yes"]),
        ("pool_mode", ["transaction", "transaction", "yes"]),
        ("listen_port", ["0", "6432", "no"]),
    ] {
        assert_eq!(
            all.get(key).unwrap_or_else(|| panic!("no {key}")).each_ref().map(String::as_str),
            wanted,
            "{key}"
        );
    }
    let nodes = &all["database.app.nodes"][0];
    assert!(
        nodes.contains(&shared().primary().port().to_string()) && nodes.split(", ").count() == 3,
        "{nodes}"
    );
    assert!(all.values().all(|[value, ..]| !value.contains("secret")), "{all:?}");
}

#[test]
fn a_setting_is_changed_until_the_next_reload() {
    let cluster = own_with_facts();
    let proxy = Tidegate::tuned(&cluster, "").args(["--console-users", "app"]).start();
    wait_both(&proxy);
    let (mut ops, mut client) = (console(&proxy), Raw::app(proxy.address()));
    let pid = client.ok("select pg_backend_pid() /* tidegate: intent=primary */").value();
    let answer = ops.ok("set query_timeout = '200ms'");
    let notice = answer.0.iter().find(|message| message.tag == b'N').expect("a notice").field(b'M').unwrap();
    assert_eq!(notice, "query_timeout = 200ms until the next RELOAD or restart");
    assert_eq!(settings(&mut ops)["database.app.query_timeout"], ["200ms", "off", "yes"]);
    // A session that was there goes by it, and its server connection stays.
    assert_eq!(client.query("select pg_sleep(20)").code(), "57014");
    assert_eq!(client.ok("select pg_backend_pid() /* tidegate: intent=primary */").value(), pid);
    ops.ok("SET query_timeout TO off OF app;");
    client.ok("select pg_sleep(0.3)");
    // Everything to the primary, and back.
    let node = "select current_setting('app.node')";
    ops.ok("set mode=observe");
    assert_eq!(client.ok(node).value(), "primary");
    ops.ok("set mode = route; set query_timeout = 5s");
    assert!(client.ok(node).value().starts_with('r'));
    // The log, at once.
    assert!(!proxy.stderr().contains("client logged in"));
    ops.ok("set log = 'warn,tidegate::session=info'");
    drop(Raw::app(proxy.address()));
    super::support::wait_until("a login is logged", || proxy.stderr().contains("client logged in"));
    ops.ok("reload");
    let after = settings(&mut ops);
    assert_eq!((&*after["log"][0], &*after["database.app.query_timeout"][0]), ("warn", "off"));
}

#[test]
fn what_cannot_be_set_is_refused_with_what_can() {
    let proxy = with_console("");
    let mut ops = console(&proxy);
    let before = settings(&mut ops);
    for (command, code, message, hint) in [
        (
            "set query_timeut = 1",
            "22023",
            "there is no setting \"query_timeut\"",
            "Did you mean query_timeout?",
        ),
        (
            "set listen = '0.0.0.0:1'",
            "22023",
            "listen cannot be changed by SET",
            "say RELOAD; SET changes log,",
        ),
        ("set console_password = x", "22023", "console_password cannot be changed by SET", "RELOAD"),
        ("set query_timeout = soon", "22023", "\"soon\" is not a duration", "Write seconds (20)"),
        ("set max_clients = 0", "22023", "is not a whole number from 1", "Write digits only."),
        ("set query_timeout = 1 of ap", "22023", "there is no database \"ap\"", "There are: app."),
        ("set log = info of app", "22023", "log is a setting of the whole proxy", "Leave out OF"),
        ("set log = 'tidegate=nonsense'", "22023", "is not a log filter", "Write a level"),
        ("set query_timeout", "42601", "\"set query_timeout\"", "SET is written SET key = value [OF db]."),
        ("suspend", "0A000", "there is no SUSPEND", "PAUSE lets statements wait."),
        ("shutdown wait_for_clients", "0A000", "SHUTDOWN waits for clients", "Say SHUTDOWN."),
    ] {
        let [found, said, advice] = error(&ops.query(command));
        assert_eq!(found, code, "{command}: {said}");
        assert!(said.contains(message) && advice.contains(hint), "{command}: {said} ({advice})");
    }
    assert_eq!(settings(&mut ops), before);
    // What drivers set for themselves means nothing.
    ops.ok("SET extra_float_digits = 3; set application_name = 'x'; SET client_encoding TO 'UTF8'");
    assert_eq!(ops.ok("show client_encoding").value(), "UTF8");
}
