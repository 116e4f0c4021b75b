//! What a session remembers of sequences is its own: `currval` and `lastval`.

use super::support::raw::Raw;
use super::{proxy, schema, shared, support, wait_both};

/// A sequence and a table with an identity column, in a schema of their own.
fn prepare() -> String {
    let schema = schema();
    shared()
        .primary()
        .psql(&format!(
            "set role app; create sequence {schema}.s; create table {schema}.t (id serial, note text);
             create table {schema}.checked (a int, b int default currval('{schema}.s'))"
        ))
        .unwrap();
    shared().wait_caught_up().unwrap();
    schema
}

fn as_application(proxy: &support::proxy::RunningProxy, name: &str) -> Raw {
    Raw::app_with(proxy.address(), &[("application_name", name)])
}

#[test]
fn in_one_transaction() {
    let schema = prepare();
    let proxy = proxy("connection_limit=2&tidegate_client_auth=trust");
    wait_both(&proxy);
    let (mut a, mut b) = (Raw::app(proxy.address()), Raw::app(proxy.address()));
    a.ok(&format!("begin; select nextval('{schema}.s')"));
    assert_eq!(a.ok(&format!("select currval('{schema}.s')")).value(), "1");
    b.ok(&format!("select nextval('{schema}.s')"));
    assert_eq!(a.ok("select lastval()").value(), "1");
    a.ok("commit");
}

#[test]
fn an_application_that_asks_keeps_its_connections() {
    let schema = prepare();
    let proxy = proxy("connection_limit=4&tidegate_client_auth=trust");
    wait_both(&proxy);
    let insert = format!("insert into {schema}.t (note) values ('x')");
    // The first question may fail, as it does in a session that has not used a sequence, and is the last that does.
    let mut first = as_application(&proxy, "asking");
    first.ok(&insert);
    let _ = first.query("select lastval()");
    let mut clients: Vec<_> = (0..4).map(|_| as_application(&proxy, "asking")).collect();
    first.terminate();
    for round in 0..5 {
        let ids: Vec<_> =
            clients.iter_mut().map(|c| c.ok(&format!("{insert} returning id")).value()).collect();
        for (client, id) in clients.iter_mut().zip(&ids) {
            assert_eq!(client.ok("select lastval()").value(), *id, "round {round}");
            assert_eq!(client.ok(&format!("select currval('{schema}.t_id_seq')")).value(), *id);
        }
    }
    assert!((proxy.metric("tidegate_pinned_clients", &["reason=\"sequence\""]) - 4.0).abs() < 0.1);
    for client in &mut clients {
        client.ok("discard sequences");
        assert_eq!(client.query("select lastval()").code(), "55000");
    }
    support::wait_until("nobody is pinned", || proxy.metric("tidegate_pinned_clients", &[]) < 0.5);
    // Others are not bound.
    let mut others: Vec<_> = (0..8).map(|_| as_application(&proxy, "writing")).collect();
    others.iter_mut().for_each(|client| drop(client.ok(&insert)));
    assert!(proxy.metric("tidegate_pinned_clients", &[]) < 0.5);
}

#[test]
fn nobody_is_told_another_clients_value() {
    let schema = prepare();
    // One connection: whatever is remembered there is somebody's.
    for asked in ["select lastval()", "select currval('SCHEMA.s')", "insert into SCHEMA.checked values (1)"] {
        let asked = asked.replace("SCHEMA", &schema);
        for transaction in [false, true] {
            let proxy = proxy("connection_limit=1&tidegate_client_auth=trust");
            wait_both(&proxy);
            let (mut a, mut b) = (Raw::app(proxy.address()), Raw::app(proxy.address()));
            a.ok(&format!("select nextval('{schema}.s')"));
            if transaction {
                b.ok("begin");
            }
            assert_eq!(b.query(&asked).code(), "55000", "{asked}");
            if transaction {
                b.ok("rollback");
            }
            // Used in between by nobody else, it is its own still.
            let id = b.ok(&format!("select nextval('{schema}.s')")).value();
            assert_eq!(b.ok("select lastval()").value(), id);
        }
    }
}
